"""HTTP of uploads: one request, or tus 1.0."""

from __future__ import annotations

from collections.abc import AsyncIterator
from email.utils import format_datetime
from typing import Final

from litestar import Response, delete, get, head, patch, post, route
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import FromPath, SkipValidation

from gateway.bodies import UploadView
from gateway.errors import Refusal, not_found
from gateway.guards import PUBLIC, SignedIn, WebRequest
from gateway.problems import PROBLEMS
from gateway.settings import GatewaySettings
from gateway.tus import METADATA_LIMIT, TusState, TusUploads
from gateway.uploads import Uploads

TheUploads = NamedDependency[SkipValidation[Uploads]]
Tus = NamedDependency[SkipValidation[TusUploads]]
Settings = NamedDependency[SkipValidation[GatewaySettings]]

VERSION: Final = "1.0.0"
EXTENSIONS: Final = "creation,expiration,termination"
OFFSET_TYPE: Final = "application/offset+octet-stream"
DIGITS: Final = 18
"""Digits of a length that is still a number of bytes."""


@post("/uploads", status_code=201, request_max_body_size=None, responses=PROBLEMS)
async def upload(request: WebRequest, caller: SignedIn, uploads: TheUploads) -> UploadView:
    """Take a video as the raw request body."""
    announced = _length(request, "content-length")
    return await uploads.receive(caller, _body(request), announced=announced)


@get("/uploads/{video_id:str}", responses=PROBLEMS)
async def show_upload(video_id: FromPath[str], caller: SignedIn, uploads: TheUploads) -> UploadView:
    """Show what was measured of an accepted upload."""
    found, metadata = await uploads.find(caller, video_id)
    if metadata is None:
        raise not_found("UNKNOWN_VIDEO", "video", video_id)
    return UploadView(video_id=found, metadata=metadata)


@delete("/uploads/{video_id:str}", status_code=204, responses=PROBLEMS)
async def delete_upload(
    video_id: FromPath[str], caller: SignedIn, uploads: TheUploads
) -> Response[None]:
    """Remove a video: the upload, the clip and pictures made of it, its jobs' renders."""
    await uploads.delete(caller, video_id)
    return Response(None, status_code=204)


@route("/tus", http_method=["OPTIONS"], include_in_schema=False, opt={PUBLIC: True})
async def describe_tus(settings: Settings) -> Response[None]:
    """Say what of tus is spoken here."""
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": EXTENSIONS,
        "Tus-Max-Size": str(settings.max_upload_bytes),
    }
    return Response(None, status_code=204, headers=headers)


@post("/tus", status_code=201, responses=PROBLEMS)
async def create_tus(request: WebRequest, caller: SignedIn, tus: Tus) -> Response[None]:
    """Make room for a resumable upload of ``Upload-Length`` bytes."""
    _check_version(request)
    length = _length(request, "upload-length")
    metadata = request.headers.get("upload-metadata", "")
    if length is None or len(metadata) > METADATA_LIMIT:
        raise Refusal(
            400,
            "INVALID_UPLOAD",
            detail=f"Upload-Length is needed, Upload-Metadata up to {METADATA_LIMIT} letters",
            hint="the length must be known when the upload is created",
        )
    state = await tus.create(caller, length=length, metadata=metadata)
    headers = {"Location": f"/v1/tus/{state.record.upload_id}"} | _headers(state)
    return Response(None, status_code=201, headers=headers)


@head("/tus/{upload_id:str}", responses=PROBLEMS)
async def show_tus(
    request: WebRequest, upload_id: FromPath[str], caller: SignedIn, tus: Tus
) -> Response[None]:
    """Say where an upload goes on."""
    _check_version(request)
    state = await tus.find(caller, upload_id)
    headers = _headers(state) | {"Upload-Length": str(state.record.length)}
    if state.record.metadata:
        headers["Upload-Metadata"] = state.record.metadata
    return Response(None, status_code=200, headers=headers)


@patch("/tus/{upload_id:str}", status_code=204, request_max_body_size=None, responses=PROBLEMS)
async def append_tus(
    request: WebRequest, upload_id: FromPath[str], caller: SignedIn, tus: Tus
) -> Response[None]:
    """Add bytes; with the last one the video is judged, and ``Video-Id`` says what it is called."""
    _check_version(request)
    offset = _length(request, "upload-offset")
    if request.headers.get("content-type") != OFFSET_TYPE or offset is None:
        raise Refusal(
            415 if offset is not None else 400,
            "INVALID_PATCH",
            detail=f"a PATCH has an Upload-Offset and the content type {OFFSET_TYPE}",
            hint="see tus.io, core protocol 1.0",
        )
    announced = _length(request, "content-length")
    state = await tus.append(caller, upload_id, _body(request), offset=offset, announced=announced)
    return Response(None, status_code=204, headers=_headers(state))


@delete("/tus/{upload_id:str}", status_code=204, responses=PROBLEMS)
async def drop_tus(
    request: WebRequest, upload_id: FromPath[str], caller: SignedIn, tus: Tus
) -> Response[None]:
    """Forget an upload and its bytes."""
    _check_version(request)
    await tus.drop(caller, upload_id)
    return Response(None, status_code=204)


async def _body(request: WebRequest) -> AsyncIterator[bytes]:
    """Yield the body piece by piece; a client that goes away is no bug of ours."""
    while True:
        event = await request.receive()
        if event["type"] != "http.request":
            raise HTTPException("the client went away", status_code=400)
        yield event["body"]
        if not event.get("more_body", False):
            return


def _headers(state: TusState) -> dict[str, str]:
    headers = {
        "Upload-Offset": str(state.offset),
        "Upload-Expires": format_datetime(state.expires_at, usegmt=True),
    }
    if state.record.view is not None:
        headers["Video-Id"] = state.record.video_id
    return headers


def _length(request: WebRequest, name: str) -> int | None:
    text = request.headers.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= DIGITS:
        return int(text)
    raise Refusal(
        400, "INVALID_HEADER", detail=f"{name} is no number of bytes: {text!r}", hint="send digits"
    )


def _check_version(request: WebRequest) -> None:
    if request.headers.get("tus-resumable") == VERSION:
        return
    raise Refusal(
        412,
        "TUS_VERSION",
        detail=f"only tus {VERSION} is spoken here",
        hint=f"send the header 'Tus-Resumable: {VERSION}'",
        headers={"Tus-Version": VERSION},
    )


HANDLERS = (
    upload,
    show_upload,
    delete_upload,
    describe_tus,
    create_tus,
    show_tus,
    append_tus,
    drop_tus,
)
