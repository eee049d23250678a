"""Media on a local disk, under the addresses it would have in S3.

A write goes to a hidden file in the same folder, is synced, and takes its name in one step, so
whoever reads sees the old object, the new one or none, never a half.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from anyio import to_thread

from media.address import SCHEME, parse, parse_prefix
from media.errors import InvalidUriError, MediaNotFoundError, StoreFullError

PIECE_BYTES: Final = 256 * 1024
"""The most that ``read`` holds in memory."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LocalMediaStore:
    """Keeps ``s3://bucket/key`` as ``root/bucket/key``."""

    def __init__(self, *, root: Path) -> None:
        self._root = root

    async def put_file(self, uri: str, path: Path, *, content_type: str) -> None:
        """Store a local file under ``uri``; replaces what was there, atomically.

        Raises:
            InvalidUriError: not ``s3://bucket/key``, or a key that leaves the bucket.
            StoreFullError: no room; nothing was stored.
        """
        del content_type  # a file has none; whoever serves it reads the key's ending
        await to_thread.run_sync(self._put, uri, path)

    @asynccontextmanager
    async def as_file(self, uri: str) -> AsyncIterator[Path]:
        """Yield the stored file itself, for reading only.

        Raises:
            MediaNotFoundError: nothing is stored there.
        """
        yield await to_thread.run_sync(self._found, uri)

    async def size(self, uri: str) -> int:
        """Return the size in bytes.

        Raises:
            MediaNotFoundError: nothing is stored there.
        """
        path = await to_thread.run_sync(self._found, uri)
        with _missing_is(uri):
            return path.stat().st_size

    async def exists(self, uri: str) -> bool:
        """Return whether an object is stored there."""
        return await to_thread.run_sync(self._path(uri).is_file)

    async def read(
        self, uri: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield bytes ``start`` to ``end`` (exclusive) in bounded pieces.

        Raises:
            MediaNotFoundError: nothing is stored there.
            ValueError: the range is negative.
        """
        if start < 0 or (end is not None and end < start):
            raise ValueError(f"not a range of bytes: {start} to {end}")
        path = await to_thread.run_sync(self._found, uri)
        with _missing_is(uri):
            handle = await to_thread.run_sync(os.open, path, os.O_RDONLY)
        try:
            at = start
            while end is None or at < end:
                wanted = PIECE_BYTES if end is None else min(PIECE_BYTES, end - at)
                piece = await to_thread.run_sync(os.pread, handle, wanted, at)
                if not piece:
                    return
                at += len(piece)
                yield piece
        finally:
            os.close(handle)

    async def delete(self, uri: str) -> None:
        """Remove the object if it is there."""
        await to_thread.run_sync(self._delete, uri)

    async def addresses(self, prefix: str) -> AsyncIterator[str]:
        """Yield the address of every object that starts with ``prefix``, in order.

        Raises:
            InvalidUriError: ``prefix`` is no address; a last slash is allowed.
        """
        for uri in await to_thread.run_sync(self._below, parse_prefix(prefix)):
            yield uri

    def _below(self, prefix: str) -> list[str]:
        # a prefix may end in the middle of a name, so its folder is looked through
        folder = self._root / prefix.removeprefix(SCHEME).rpartition("/")[0]
        found = (
            SCHEME + path.relative_to(self._root).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        )
        return sorted(uri for uri in found if uri.startswith(prefix))

    def _path(self, uri: str) -> Path:
        address = parse(uri)
        return self._root.joinpath(address.bucket, *address.parts)

    def _found(self, uri: str) -> Path:
        path = self._path(uri)
        if not path.is_file():
            raise MediaNotFoundError(uri)
        return path

    def _put(self, uri: str, source: Path) -> None:
        target = self._path(uri)
        # an address never has a part that starts with a dot, so this file has no address
        unfinished = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
        try:
            _make_folder(target.parent)
            shutil.copyfile(source, unfinished)
            _sync(unfinished)
            unfinished.replace(target)
            _sync(target.parent)
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            raise InvalidUriError(uri, "another object stands in its way") from error
        except OSError as error:
            if error.errno in _FULL:
                raise StoreFullError(uri) from error
            raise
        finally:
            with _ignore_missing():
                unfinished.unlink()

    def _delete(self, uri: str) -> None:
        path = self._path(uri)
        if not path.is_file():
            return
        with _ignore_missing():
            path.unlink()
        _sync(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, each name as durable as the file that will be in it."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        _make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
    _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _missing_is(uri: str) -> Iterator[None]:
    """Say the same of an object that was removed a moment ago as of one that never was."""
    try:
        yield
    except FileNotFoundError as error:
        raise MediaNotFoundError(uri) from error


@contextmanager
def _ignore_missing() -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        return
