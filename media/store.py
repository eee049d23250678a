"""Where media lives. Every object has an ``s3://bucket/key`` address, on local disk too.

``MediaStore`` is what everybody needs. The smaller ports beside it are for the few who list, sign
addresses for a browser, or let a browser upload past the gateway.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

MAX_URL_SECONDS: Final = 900
"""A signed URL that leaks is worth nothing after this."""


class MediaStore(Protocol):
    """Objects by address. A write is whole or absent; a delete of nothing is no error."""

    async def put_file(self, uri: str, path: Path, *, content_type: str) -> None:
        """Store a local file under ``uri``; replaces what was there, atomically.

        Raises:
            InvalidUriError: not ``s3://bucket/key``, or a key that leaves the bucket.
            StoreFullError: no room; nothing was stored.
            StoreAwayError: the store cannot be reached; try again later.
        """
        ...

    def as_file(self, uri: str) -> AbstractAsyncContextManager[Path]:
        """Yield a local path with the object's bytes, for reading only.

        Raises:
            MediaNotFoundError: nothing is stored there.
            MediaCorruptError: the bytes are not those that were stored.
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


class Listing(Protocol):
    """Says what is stored."""

    def addresses(self, prefix: str) -> AsyncIterator[str]:
        """Yield the address of every object that starts with ``prefix``, in order.

        Raises:
            InvalidUriError: ``prefix`` is no address; a last slash is allowed.
        """
        ...


class SignedUrls(Protocol):
    """Lets whoever holds a URL read one object for a while."""

    async def signed_url(self, uri: str, *, seconds: int) -> str:
        """Return a URL that answers GET, with ranges, for so many seconds.

        Raises:
            InvalidUriError: not an address.
            ValueError: not between one second and ``MAX_URL_SECONDS``.
        """
        ...


class PartUrl(Struct, frozen=True, kw_only=True):
    """Where one part of an upload is put: exactly ``size`` bytes, with these headers."""

    number: int
    url: str
    size: int
    headers: dict[str, str] = {}


class UploadPlan(Struct, frozen=True, kw_only=True):
    """How a browser uploads an object by itself. ``upload_id`` is empty for a single PUT."""

    uri: str
    upload_id: str
    part_bytes: int
    parts: tuple[PartUrl, ...]
    seconds: int


class PartTag(Struct, frozen=True, kw_only=True):
    """What the store answered to one part."""

    number: int
    etag: str


class DirectUploads(Protocol):
    """Uploads that do not pass through the gateway."""

    async def begin(self, uri: str, *, size: int, seconds: int) -> UploadPlan:
        """Return where the parts of an object of ``size`` bytes are to be put.

        Raises:
            InvalidUriError: not an address.
            ValueError: nothing to upload, or more parts than are allowed.
        """
        ...

    async def complete(self, uri: str, *, upload_id: str, parts: Sequence[PartTag]) -> None:
        """Make the object of its parts. Repeating it changes nothing.

        Raises:
            UploadUnknownError: no such upload, or its parts are not those.
        """
        ...

    async def abort(self, uri: str, *, upload_id: str) -> None:
        """Forget an upload and its parts, if it is there."""
        ...

    async def abort_stale(self, *, before: datetime) -> int:
        """Forget the uploads that began before a time; return how many."""
        ...
