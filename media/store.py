"""Where media lives. Every object has an ``s3://bucket/key`` address, on local disk too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol


class MediaStore(Protocol):
    """Objects by address. A write is whole or absent; a delete of nothing is no error."""

    async def put_file(self, uri: str, path: Path, *, content_type: str) -> None:
        """Store a local file under ``uri``; replaces what was there, atomically.

        Raises:
            InvalidUriError: not ``s3://bucket/key``, or a key that leaves the bucket.
            StoreFullError: no room; nothing was stored.
        """
        ...

    def as_file(self, uri: str) -> AbstractAsyncContextManager[Path]:
        """Yield a local path with the object's bytes, for reading only.

        Raises:
            MediaNotFoundError: nothing is stored there.
        """
        ...

    async def size(self, uri: str) -> int:
        """Return the size in bytes.

        Raises:
            MediaNotFoundError: nothing is stored there.
        """
        ...

    async def exists(self, uri: str) -> bool:
        """Return whether an object is stored there."""
        ...

    def read(self, uri: str, *, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield bytes ``start`` to ``end`` (exclusive) in bounded pieces.

        A range that reaches beyond the end gives what there is.

        Raises:
            MediaNotFoundError: nothing is stored there.
            ValueError: the range is negative.
        """
        ...

    async def delete(self, uri: str) -> None:
        """Remove the object if it is there."""
        ...
