"""HTTP of signed URLs: whoever has one reads one object for a while, without a token."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, head
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, SkipValidation
from litestar.response import Stream

from gateway.errors import Refusal
from gateway.guards import PUBLIC, WebRequest
from gateway.media import PRIVATE, MediaDesk
from gateway.problems import PROBLEMS
from media.errors import SignatureRefusedError
from media.local_urls import LocalUrls

Media = NamedDependency[SkipValidation[MediaDesk]]
Urls = NamedDependency[SkipValidation[LocalUrls | None]]
Ends = Annotated[str, QueryParameter(name="exp", max_length=12)]
Signature = Annotated[str, QueryParameter(name="sig", max_length=128)]


@get("/signed/{path:path}", responses=PROBLEMS, opt={PUBLIC: True})
async def read_signed(
    request: WebRequest, path: FromPath[str], media: Media, signed: Urls, exp: Ends, sig: Signature
) -> Response[None] | Stream:
    """Stream the object that a signed URL opens, or a part of it."""
    uri = _opened(signed, "GET", path, exp, sig)
    return await media.answer(request, uri, name="media", cache=PRIVATE)


@head("/signed/{path:path}", responses=PROBLEMS, opt={PUBLIC: True})
async def ask_signed(
    path: FromPath[str], media: Media, signed: Urls, exp: Ends, sig: Signature
) -> Response[None]:
    """Say how long the object is that a signed URL opens."""
    uri = _opened(signed, "HEAD", path, exp, sig)
    return await media.head(uri, name="media", cache=PRIVATE)


def _opened(signed: LocalUrls | None, method: str, path: str, exp: str, sig: str) -> str:
    if signed is None:
        raise _refused("no signed URL is given out here")
    try:
        return signed.opened(method, path.lstrip("/"), exp=exp, sig=sig)
    except SignatureRefusedError as error:
        raise _refused(str(error)) from error


def _refused(why: str) -> Refusal:
    return Refusal(403, "URL_REFUSED", detail=why, hint="ask for the object's address again")


HANDLERS = (read_signed, ask_signed)
