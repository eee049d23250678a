"""The rules of intake: where things are stored, what is taken, what is remembered. All pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from media.address import parse
from media.errors import InvalidUriError
from media.verdicts import Normalized, Refusal
from schemas.asks import InspectUpload, UploadFound, UploadInspected
from schemas.base import TenantId, UserId, VideoId
from schemas.commands import IngestVideo
from schemas.events import Rejection
from schemas.video import Video, VideoMetadata

RAW: Final = "s3://intake/raw"
NORMALIZED: Final = "s3://intake/normalized"
POSTERS: Final = "s3://intake/posters"
VIDEO_TYPE: Final = "video/mp4"
POSTER_TYPE: Final = "image/jpeg"

UPLOAD_GONE: Final = "UPLOAD_GONE"
GONE: Final = Refusal(
    code=UPLOAD_GONE,
    reason="The uploaded file is no longer there.",
    hint="Upload the clip again.",
)


class UploadState(StrEnum):
    """How far an upload has come."""

    ACCEPTED = "accepted"
    NORMALIZED = "normalized"
    REJECTED = "rejected"


class Upload(Struct, frozen=True, kw_only=True):
    """What is remembered of an upload."""

    video_id: VideoId
    tenant_id: TenantId
    user_id: UserId
    source_uri: str
    state: UploadState
    metadata: VideoMetadata | None = None
    """Of the file as it was uploaded."""
    normalized: VideoMetadata | None = None
    """Of the mezzanine; its hash is the upload's."""
    code: str = ""
    reason: str = ""
    hint: str = ""
    detail: str = ""


def owns(tenant_id: TenantId, source_uri: str) -> bool:
    """Return whether an address lies where this tenant's uploads are.

    Intake reads and deletes what it is pointed at, so it must not be pointed elsewhere.
    """
    try:
        address, area = parse(source_uri), parse(f"{RAW}/{tenant_id}")
    except InvalidUriError:
        return False
    inside = address.parts[: len(area.parts)] == area.parts
    return address.bucket == area.bucket and inside and len(address.parts) > len(area.parts)


def normalized_uri(tenant_id: TenantId, video_id: VideoId) -> str:
    """Return where the mezzanine of an upload is stored."""
    return f"{NORMALIZED}/{tenant_id}/{video_id}.mp4"


def poster_uri(tenant_id: TenantId, video_id: VideoId) -> str:
    """Return where the poster of an upload is stored."""
    return f"{POSTERS}/{tenant_id}/{video_id}.jpg"


def still_known(known: Upload | None, question: InspectUpload, size: int) -> VideoMetadata | None:
    """Return what was measured when this very upload was asked about before."""
    if known is None or known.state is UploadState.REJECTED:
        return None
    if known.source_uri != question.source_uri or known.metadata is None:
        return None
    return known.metadata if known.metadata.file_size_bytes == size else None


def accepted(question: InspectUpload, metadata: VideoMetadata) -> Upload:
    """Return what is remembered of an upload that may be worked on."""
    return Upload(
        video_id=question.video_id,
        tenant_id=question.tenant_id,
        user_id=question.user_id,
        source_uri=question.source_uri,
        state=UploadState.ACCEPTED,
        metadata=metadata,
    )


def normalized(heard: IngestVideo, made: Normalized) -> Upload:
    """Return what is remembered of an upload whose mezzanine is stored."""
    return msgspec.structs.replace(
        _ordered(heard, UploadState.NORMALIZED), metadata=made.source, normalized=made.metadata
    )


def rejected(heard: IngestVideo, refusal: Refusal) -> Upload:
    """Return what is remembered of an upload that could not be normalised."""
    return msgspec.structs.replace(
        _ordered(heard, UploadState.REJECTED),
        code=refusal.code,
        reason=refusal.reason,
        hint=refusal.hint,
        detail=refusal.detail,
    )


def _ordered(heard: IngestVideo, state: UploadState) -> Upload:
    order = heard.payload
    return Upload(
        video_id=order.video_id,
        tenant_id=heard.tenant_id,
        user_id=order.user_id,
        source_uri=order.source_uri,
        state=state,
    )


def video(heard: IngestVideo, metadata: VideoMetadata) -> Video:
    """Return the clip as every later step sees it; ``metadata`` is the mezzanine's."""
    order = heard.payload
    return Video(
        video_id=order.video_id,
        user_id=order.user_id,
        tenant_id=heard.tenant_id,
        source_uri=order.source_uri,
        normalized_uri=normalized_uri(heard.tenant_id, order.video_id),
        poster_uri=poster_uri(heard.tenant_id, order.video_id),
        metadata=metadata,
        request=order.request,
    )


def rejection(heard: IngestVideo, refusal: Refusal) -> Rejection:
    """Return what the user is told; the detail stays with the operator."""
    order = heard.payload
    return Rejection(
        video_id=order.video_id,
        user_id=order.user_id,
        code=refusal.code,
        reason=refusal.reason,
        hint=refusal.hint,
    )


def inspected(video_id: VideoId, metadata: VideoMetadata) -> UploadInspected:
    """Return the answer about a file that is taken."""
    return UploadInspected(video_id=video_id, accepted=True, metadata=metadata)


def declined(video_id: VideoId, refusal: Refusal) -> UploadInspected:
    """Return the answer about a file that is not taken."""
    return UploadInspected(
        video_id=video_id,
        accepted=False,
        code=refusal.code,
        reason=refusal.reason,
        hint=refusal.hint,
    )


def found(video_id: VideoId, upload: Upload | None) -> UploadFound:
    """Return the answer about an upload; another tenant's is the same as none."""
    if upload is None:
        return UploadFound(video_id=video_id)
    return UploadFound(video_id=video_id, source_uri=upload.source_uri, metadata=upload.metadata)
