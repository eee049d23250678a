"""Files that commands read and write: their names on a terminal, and nothing half written."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PosixPath
from tempfile import TemporaryDirectory
from typing import IO, Any, Final

from effectmesh.cli.console import USAGE, fail
from effectmesh.footage.names import shown

_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})


class NotWrittenError(Exception):
    """A finished file did not get to its place."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def readable(file: Path) -> Path:
    """Return a file that can be read, or end with what is wrong with it."""
    name = shown(file)
    if not file.exists():
        fail(f"there is no file {name}", hint="check the name and the folder", status=USAGE)
    if not file.is_file():
        fail(f"{name} is not a file", hint="name a video file", status=USAGE)
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        why = error.strerror or "unknown reason"
        fail(f"{name} cannot be read: {why.lower()}", hint="check its rights", status=USAGE)


def writable(targets: Mapping[str, Path], *, force: bool, inputs: tuple[Path, ...]) -> None:
    """End with what is wrong when any of some files may not be written."""
    taken: dict[Path, str] = {}
    for what, target in targets.items():
        name = shown(target)
        if target.is_dir():
            fail(f"{name} is a folder", hint=f"name the file for the {what}", status=USAGE)
        if not target.parent.is_dir():
            fail(f"there is no folder {shown(target.parent)}", hint="make it first", status=USAGE)
        if any(target.exists() and target.samefile(each) for each in inputs):
            fail(f"{name} is what is read", hint=f"name another {what}", status=USAGE)
        if other := taken.get(target.absolute()):
            fail(f"{name} cannot be both {other} and {what}", hint="name two files", status=USAGE)
        taken[target.absolute()] = what
        if target.exists() and not force:
            fail(f"{name} exists", hint="name another file, or --force", status=USAGE)


def placed(made: Path, target: Path, *, force: bool) -> None:
    """Move a finished file to its place in one step, so that nobody ever sees half of it.

    Raises:
        NotWrittenError: something is there by now, or the folder does not take it.
    """
    name = shown(target)
    try:
        if force:
            made.replace(target)
            return
        try:
            target.hardlink_to(made)
        except FileExistsError as error:
            hint = "name another file, or --force"
            raise NotWrittenError(f"{name} exists by now", hint=hint) from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            made.replace(target)
    except OSError as error:
        why = (error.strerror or "unknown reason").lower()
        hint = "check the folder and the disk"
        raise NotWrittenError(f"{name} cannot be written: {why}", hint=hint) from error


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """Give an empty folder on the disk where a file is to be; gone afterwards, come what may.

    Raises:
        NotWrittenError: the folder does not take anything.
    """
    try:
        folder = TemporaryDirectory(prefix=".effectmesh-", dir=target.parent)
    except OSError as error:
        why = (error.strerror or "unknown reason").lower()
        what = f"nothing can be written to {shown(target.parent)}: {why}"
        raise NotWrittenError(what, hint="name another folder") from error
    with folder as path:
        yield Path(path)


@contextmanager
def ended_like_ctrl_c() -> Iterator[None]:
    """Let a polite kill, and a terminal that closes, end a command as Ctrl-C does: cleaned up."""
    kinds = (signal.SIGTERM, signal.SIGHUP)
    before = {each: signal.getsignal(each) for each in kinds}
    for each in kinds:
        signal.signal(each, signal.getsignal(signal.SIGINT))
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class FollowedFile(PosixPath):
    """A file that tells how far whoever opened it has read.

    A child that inherits an open file shares its position, so this sees how far the child is.
    """

    _handle: int | None = None
    _size = 0

    def open(self, *arguments: Any, **more: Any) -> IO[Any]:  # type: ignore[override]  # one of seven
        """Open the file as usual, and remember its number."""
        file: IO[Any] = super().open(*arguments, **more)
        self._handle, self._size = file.fileno(), os.fstat(file.fileno()).st_size
        return file

    def read_share(self) -> float:
        """Return the share of the file before the position, 0 when it is not open."""
        if self._handle is None or not self._size:
            return 0.0
        try:
            return min(1.0, os.lseek(self._handle, 0, os.SEEK_CUR) / self._size)
        except OSError:
            return 0.0
