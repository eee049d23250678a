"""A stretch of a file as a file of its own, so that a part is sent without being held in memory."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE: Final = 256 * 1024


class FileSlice(io.RawIOBase):
    """Bytes ``start`` to ``start + size`` of a file; opened by ``with``."""

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._path = path
        self._start = start
        self._at = 0
        self._handle = -1
        self.size = size

    def __enter__(self) -> FileSlice:
        """Open the file."""
        self._handle = os.open(self._path, os.O_RDONLY)
        return self

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        super().close()

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move within the slice."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the place within the slice."""
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill a buffer from here on."""
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self.size - self._at))
        piece = os.pread(self._handle, wanted, self._start + self._at)
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def digest(self) -> bytes:
        """Return the SHA-256 of the slice, and go back to its start."""
        digest = hashlib.sha256()
        self.seek(0)
        while piece := self.read(_PIECE):
            digest.update(piece)
        self.seek(0)
        return digest.digest()


def digest_of(path: Path) -> bytes:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
