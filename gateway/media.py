"""Streaming clips from the store: Range, ETag, HEAD, and headers that let no clip act as a page."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Final

from litestar import Request, Response
from litestar.datastructures import State
from litestar.response import Stream

from gateway.errors import Refusal, not_found
from gateway.ranges import Span, UnsatisfiableRangeError, span_of
from media.errors import MediaNotFoundError
from media.store import MediaStore

CONTENT_TYPES: Final = {".mp4": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime"}
"""Only what a player plays; anything else is a download."""

FALLBACK_TYPE: Final = "application/octet-stream"
PRIVATE: Final = "private, max-age=300"
REVALIDATE: Final = "public, no-cache"
"""A revision never changes, but its effect may get another one: ask again, by ETag."""


class MediaDesk:
    """Answers GET and HEAD for one stored object."""

    def __init__(self, *, store: MediaStore) -> None:
        self._store = store

    async def answer(
        self,
        request: Request[object, object, State],
        uri: str,
        *,
        name: str,
        cache: str,
        content_hash: str = "",
    ) -> Response[None] | Stream:
        """Return the object, a part of it, or that the client has it already.

        Raises:
            Refusal: nothing is stored there, or no byte of the wanted range.
        """
        size = await self._size(uri, name)
        etag = _etag(content_hash or f"{uri}:{size}")
        headers = _headers(uri, name=name, cache=cache, etag=etag)
        if _matches(request.headers.get("if-none-match"), etag):
            return Response(None, status_code=304, headers=headers)
        span = _wanted(request, size, etag)
        part = span or Span(0, size)
        if span is not None:
            headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
        headers["Content-Length"] = str(part.length)
        return Stream(
            self._store.read(uri, start=part.start, end=part.end),
            status_code=200 if span is None else 206,
            media_type=_type_of(uri),
            headers=headers,
        )

    async def head(
        self, uri: str, *, name: str, cache: str, content_hash: str = ""
    ) -> Response[None]:
        """Return what GET would say of the whole object, without a byte of it.

        Raises:
            Refusal: nothing is stored there.
        """
        size = await self._size(uri, name)
        headers = _headers(uri, name=name, cache=cache, etag=_etag(content_hash or f"{uri}:{size}"))
        headers |= {"Content-Length": str(size), "Content-Type": _type_of(uri)}
        return Response(None, status_code=200, headers=headers)

    async def _size(self, uri: str, name: str) -> int:
        try:
            return await self._store.size(uri)
        except MediaNotFoundError:
            raise not_found("MEDIA_NOT_FOUND", "clip", name) from None


def _wanted(request: Request[object, object, State], size: int, etag: str) -> Span | None:
    known = request.headers.get("if-range")
    if known is not None and known != etag:
        return None
    try:
        return span_of(request.headers.get("range"), size)
    except UnsatisfiableRangeError as error:
        raise Refusal(
            416,
            "RANGE_NOT_SATISFIABLE",
            detail=f"the clip is {size} bytes long",
            hint="ask for a range that starts before its end",
            headers={"Content-Range": f"bytes */{size}"},
        ) from error


def _headers(uri: str, *, name: str, cache: str, etag: str) -> dict[str, str]:
    suffix = PurePosixPath(uri).suffix.lower()
    kind = "inline" if suffix in CONTENT_TYPES else "attachment"
    return {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": cache,
        "Content-Disposition": f'{kind}; filename="{name}{suffix}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
    }


def _type_of(uri: str) -> str:
    return CONTENT_TYPES.get(PurePosixPath(uri).suffix.lower(), FALLBACK_TYPE)


def _etag(of: str) -> str:
    return '"' + hashlib.sha256(of.encode()).hexdigest()[:32] + '"'


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    return header.strip() == "*" or etag in (
        one.strip().removeprefix("W/") for one in header.split(",")
    )
