"""Every error as RFC 9457 problem details: what, why, and what to do. Never a stack trace."""

from __future__ import annotations

import errno
import logging
from http import HTTPStatus
from typing import Final

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import ResponseSpec
from msgspec import Struct

from gateway.errors import AskTimedOutError, BusUnavailableError, Refusal, UploadTooLargeError
from media.errors import StoreAwayError, StoreFullError

MEDIA_TYPE: Final = "application/problem+json"

RETRY_AFTER_S: Final = 2
"""What a client is told to wait when the bus is away."""

_log = logging.getLogger("effectmesh.gateway")


class Problem(Struct, frozen=True, kw_only=True):
    """What every error looks like. ``code`` is stable, the sentences may change."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    hint: str = ""
    instance: str = ""


_CODES: Final = {
    400: ("INVALID_REQUEST", "compare the request with /schema/openapi.json"),
    401: ("UNAUTHENTICATED", "send the header 'Authorization: Bearer <token>'"),
    403: ("FORBIDDEN", "use a token with the right role"),
    404: ("NOT_FOUND", "the addresses are listed in /schema/openapi.json"),
    405: ("METHOD_NOT_ALLOWED", "the methods of each address are in /schema/openapi.json"),
    413: ("BODY_TOO_LARGE", "send a smaller body"),
    415: ("UNSUPPORTED_MEDIA_TYPE", "send the content type named in /schema/openapi.json"),
    429: ("TOO_MANY_REQUESTS", "wait as long as Retry-After says"),
}


_DESCRIBED: Final = {
    400: "the request does not have the right shape",
    401: "no known token",
    403: "the token's role may not do this",
    404: "no such object, or another tenant's",
    409: "it conflicts with what was done before",
    412: "somebody else changed it first",
    413: "more bytes than allowed",
    422: "understood, but it cannot be done",
    428: "it must be said which revision is meant",
    503: "a part of the platform is away; Retry-After says when to try again",
}

PROBLEMS: Final = {
    status: ResponseSpec(Problem, description=text, media_type=MEDIA_TYPE)
    for status, text in _DESCRIBED.items()
}
"""What the interface description says of each kind of problem."""


def refused(request: Request[object, object, State], refusal: Refusal) -> Response[bytes]:
    """Answer a refusal of our own."""
    problem = {
        "type": _type(refusal.code),
        "title": _title(refusal.status),
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "hint": refusal.hint,
        "instance": request.url.path,
        **refusal.more,
    }
    return Response(
        msgspec.json.encode(problem),
        status_code=refusal.status,
        media_type=MEDIA_TYPE,
        headers=refusal.headers,
    )


def refused_by_framework(
    request: Request[object, object, State], error: HTTPException
) -> Response[bytes]:
    """Answer what routing and validation refuse."""
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return unexpected(request, error)
    code, hint = _CODES.get(error.status_code, ("REFUSED", "compare with /schema/openapi.json"))
    refusal = Refusal(
        error.status_code,
        code,
        detail=_sentence(error),
        hint=hint,
        headers=error.headers,
        more={"errors": error.extra} if error.extra else None,
    )
    return refused(request, refusal)


def bus_away(
    request: Request[object, object, State], error: BusUnavailableError | AskTimedOutError
) -> Response[bytes]:
    """Answer that it is not the client's fault, and when to try again."""
    _log.info("answered 503: %s", error)
    refusal = Refusal(
        503,
        "BUS_UNAVAILABLE" if isinstance(error, BusUnavailableError) else "MODULE_SILENT",
        detail="a part of the platform does not answer at the moment; nothing was changed",
        hint="send the same request again after the time in Retry-After",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
    return refused(request, refusal)


def store_away(request: Request[object, object, State], error: StoreAwayError) -> Response[bytes]:
    """Answer that the media store does not answer, and when to try again."""
    _log.info("answered 503: %s", error)
    refusal = Refusal(
        503,
        "STORE_UNAVAILABLE",
        detail="the media store does not answer at the moment; nothing was changed",
        hint="send the same request again after the time in Retry-After",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )
    return refused(request, refusal)


def too_large(
    request: Request[object, object, State], error: UploadTooLargeError
) -> Response[bytes]:
    """Answer an upload over the limit."""
    refusal = Refusal(
        413,
        "UPLOAD_TOO_LARGE",
        detail=f"an upload may hold {error.limit} bytes at most",
        hint="shorten the clip or encode it with a lower bit rate",
        more={"limit_bytes": error.limit},
    )
    return refused(request, refusal)


def too_deep(request: Request[object, object, State], _: RecursionError) -> Response[bytes]:
    """Answer a body with brackets in brackets in brackets, which no decoder follows."""
    refusal = Refusal(
        400,
        "INVALID_REQUEST",
        detail="the body is nested too deeply",
        hint="compare the request with /schema/openapi.json",
    )
    return refused(request, refusal)


def no_room(request: Request[object, object, State], error: StoreFullError) -> Response[bytes]:
    """Answer that the store is full."""
    _log.error("answered 507: %s", error)
    refusal = Refusal(
        507,
        "STORE_FULL",
        detail="there is no room left to store this; nothing was kept",
        hint="tell the operator; trying again helps only after space was made",
    )
    return refused(request, refusal)


def disk_trouble(request: Request[object, object, State], error: OSError) -> Response[bytes]:
    """Answer an error of the operating system; a full disk has its own answer."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        _log.error("answered 507: %s", error)
        refusal = Refusal(
            507,
            "DISK_FULL",
            detail="the gateway has no room left for uploads; what was acknowledged is kept",
            hint="tell the operator; a resumable upload can go on after space was made",
        )
        return refused(request, refusal)
    return unexpected(request, error)


def unexpected(request: Request[object, object, State], error: Exception) -> Response[bytes]:
    """Answer a bug of ours: the log has the trace, the client has none of it."""
    _log.error("answered 500 to %s %s", request.method, request.url.path, exc_info=error)
    refusal = Refusal(
        500,
        "INTERNAL_ERROR",
        detail="the gateway failed; the operator's log says how",
        hint="try again; if it stays so, tell the operator the time and the address",
    )
    return refused(request, refusal)


def _sentence(error: HTTPException) -> str:
    if error.extra:
        return "the request does not have the shape that is asked for; see errors"
    return error.detail


def _type(code: str) -> str:
    return "urn:effectmesh:problem:" + code.lower().replace("_", "-")


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"
