"""The rules of intake: what is taken, what is remembered, what is answered. All pure.

Where things are stored is in ``places.py``, what each tenant may do and for how long things are
kept in ``policy.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct

from actors.video_intake import places
from media.likeness import NEAR, distance
from media.screening import Outcome, Screening
from media.verdicts import Normalized, Refusal
from schemas.asks import InspectUpload, PendingReview, UploadFound, UploadInspected
from schemas.base import EPOCH, TenantId, UserId, VideoId
from schemas.commands import IngestVideo
from schemas.events import Rejection
from schemas.video import Video, VideoMetadata

GONE: Final = Refusal(
    code="UPLOAD_GONE",
    reason="The uploaded file is no longer there.",
    hint="Upload the clip again.",
)
UNDER_REVIEW: Final = Refusal(
    code="UNDER_REVIEW",
    reason="The clip must be looked at by a person before it can be used.",
    hint="Order the effect again once the review is done; nothing was charged.",
)
BLOCKED: Final = Refusal(
    code="CONTENT_BLOCKED",
    reason="The clip cannot be used because of what it shows.",
    hint="Use another clip, or ask the operator to have it reviewed.",
)


def too_many_uploads(limit: int) -> Refusal:
    """Return the refusal of one upload too many."""
    return Refusal(
        code="TOO_MANY_UPLOADS",
        reason=f"More than {limit} clips were uploaded within an hour.",
        hint="Wait a while, then upload the clip again.",
    )


class UploadState(StrEnum):
    """How far an upload has come."""

    ACCEPTED = "accepted"
    NORMALIZED = "normalized"
    REJECTED = "rejected"
    HELD = "held"
    """It is normalised, and an admin must look at it before anybody works on it."""
    BLOCKED = "blocked"


class Kept(StrEnum):
    """What retention has left of an upload."""

    ALL = "all"
    DERIVED = "derived"
    """Without the uploaded file itself."""
    NOTHING = "nothing"


DONE: Final = frozenset({UploadState.NORMALIZED, UploadState.HELD, UploadState.BLOCKED})
"""Work on these bytes came to an end; an accepting question does not undo it."""
_AFTER: Final = {
    Outcome.PASSED: UploadState.NORMALIZED,
    Outcome.HELD: UploadState.HELD,
    Outcome.BLOCKED: UploadState.BLOCKED,
}


class Review(Struct, frozen=True, kw_only=True):
    """What an admin decided about an upload."""

    decided_by: UserId
    decided_at: datetime
    note: str = ""


class Upload(Struct, frozen=True, kw_only=True):
    """What is remembered of an upload."""

    video_id: VideoId
    tenant_id: TenantId
    user_id: UserId
    source_uri: str
    state: UploadState
    uploaded_at: datetime = EPOCH
    """When it was first seen."""
    metadata: VideoMetadata | None = None
    """Of the file as it was uploaded."""
    normalized: VideoMetadata | None = None
    """Of the mezzanine; its hash is the upload's."""
    fingerprint: str = ""
    duplicate_of: VideoId = VideoId("")
    similar_to: VideoId = VideoId("")
    screening: Screening | None = None
    review: Review | None = None
    kept: Kept = Kept.ALL
    code: str = ""
    reason: str = ""
    hint: str = ""
    detail: str = ""

    @property
    def content_hash(self) -> str:
        """The SHA-256 of the uploaded bytes; empty when it is not known."""
        return self.metadata.content_hash if self.metadata else ""


def still_known(known: Upload | None, question: InspectUpload, size: int) -> Upload | None:
    """Return what is remembered when this very upload was asked about before."""
    if known is None or known.state is UploadState.REJECTED:
        return None
    if known.source_uri != question.source_uri or known.metadata is None:
        return None
    return known if known.metadata.file_size_bytes == size else None


def accepted(
    question: InspectUpload, metadata: VideoMetadata, *, at: datetime, twin: Upload | None
) -> Upload:
    """Return what is remembered of an upload that may be worked on."""
    return Upload(
        video_id=question.video_id,
        tenant_id=question.tenant_id,
        user_id=question.user_id,
        source_uri=question.source_uri,
        state=UploadState.ACCEPTED,
        uploaded_at=at,
        metadata=metadata,
        duplicate_of=_id_of(twin),
    )


def normalized(
    heard: IngestVideo,
    made: Normalized,
    screening: Screening,
    *,
    at: datetime,
    similar: Upload | None = None,
) -> Upload:
    """Return what is remembered of an upload that was worked on and screened."""
    return msgspec.structs.replace(
        _ordered(heard, _AFTER[screening.outcome], at),
        metadata=made.source,
        normalized=made.metadata,
        fingerprint=made.fingerprint,
        similar_to=_id_of(similar),
        screening=screening,
        detail=screening.why,
    )


def copied(heard: IngestVideo, twin: Upload, *, at: datetime) -> Upload:
    """Return what is remembered of an upload whose bytes were worked on before.

    What an admin decided about the bytes holds for every copy.
    """
    return msgspec.structs.replace(
        twin,
        video_id=heard.payload.video_id,
        user_id=heard.payload.user_id,
        source_uri=heard.payload.source_uri,
        uploaded_at=at,
        duplicate_of=twin.video_id,
    )


def rejected(heard: IngestVideo, refusal: Refusal, *, at: datetime) -> Upload:
    """Return what is remembered of an upload that could not be normalised."""
    return msgspec.structs.replace(
        _ordered(heard, UploadState.REJECTED, at),
        code=refusal.code,
        reason=refusal.reason,
        hint=refusal.hint,
        detail=refusal.detail,
    )


def _ordered(heard: IngestVideo, state: UploadState, at: datetime) -> Upload:
    order = heard.payload
    return Upload(
        video_id=order.video_id,
        tenant_id=heard.tenant_id,
        user_id=order.user_id,
        source_uri=order.source_uri,
        state=state,
        uploaded_at=at,
    )


def _id_of(upload: Upload | None) -> VideoId:
    return VideoId("") if upload is None else upload.video_id


def lookalike(fingerprint: str, known: Iterable[Upload], *, but: VideoId) -> Upload | None:
    """Return the upload that looks most like a clip, if one is a near duplicate."""
    others = (upload for upload in known if upload.video_id != but)
    near = [
        (distance(fingerprint, upload.fingerprint), upload.video_id, upload) for upload in others
    ]
    best = min(near, key=lambda each: each[:2], default=None)
    return best[2] if best is not None and best[0] <= NEAR else None


def standing(upload: Upload) -> Refusal | None:
    """Return why an upload that was worked on may not be used, if so."""
    if upload.state is UploadState.HELD:
        return UNDER_REVIEW
    return BLOCKED if upload.state is UploadState.BLOCKED else None


def outcome_of(upload: Upload) -> VideoMetadata | Refusal:
    """Return what an upload that was worked on came to."""
    if upload.normalized is None:
        return Refusal(
            code=upload.code, reason=upload.reason, hint=upload.hint, detail=upload.detail
        )
    return standing(upload) or upload.normalized


def approved(known: Upload | None, content_hash: str) -> bool:
    """Tell whether an admin looked at these very bytes and let them pass."""
    return (
        known is not None
        and known.review is not None
        and known.state is UploadState.NORMALIZED
        and known.content_hash == content_hash
    )


def decided(upload: Upload, review: Review, *, approve: bool) -> Upload:
    """Return what is remembered of an upload after an admin's decision.

    Only what was held or blocked can be decided; anything else stays as it is. A clip that was
    blocked before anything of it was stored is accepted anew, so that it can be worked on.
    """
    if upload.state not in (UploadState.HELD, UploadState.BLOCKED):
        return upload
    state = UploadState.NORMALIZED if approve else UploadState.BLOCKED
    return msgspec.structs.replace(upload, state=state, review=review)


def video(heard: IngestVideo, metadata: VideoMetadata) -> Video:
    """Return the clip as every later step sees it; ``metadata`` is the mezzanine's."""
    order, tenant_id = heard.payload, heard.tenant_id
    made = places.Derived.of(tenant_id, order.video_id)
    return Video(
        video_id=order.video_id,
        user_id=order.user_id,
        tenant_id=tenant_id,
        source_uri=order.source_uri,
        normalized_uri=made.video,
        poster_uri=made.poster,
        preview_uri=made.preview,
        waveform_uri=made.waveform if metadata.has_audio else "",
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


def inspected(upload: Upload) -> UploadInspected:
    """Return the answer about a file that is taken."""
    return UploadInspected(
        video_id=upload.video_id,
        accepted=True,
        metadata=upload.metadata,
        duplicate_of=upload.duplicate_of,
    )


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
    return UploadFound(
        video_id=video_id,
        source_uri=upload.source_uri,
        metadata=upload.metadata,
        state=upload.state.value,
        duplicate_of=upload.duplicate_of,
        similar_to=upload.similar_to,
    )


def pending(upload: Upload) -> PendingReview:
    """Return one line of the review queue; what is blocked at once has no pictures to show."""
    made = places.Derived.of(upload.tenant_id, upload.video_id)
    shown = upload.state is UploadState.HELD
    review = upload.review
    return PendingReview(
        video_id=upload.video_id,
        tenant_id=upload.tenant_id,
        user_id=upload.user_id,
        state=upload.state.value,
        why=upload.screening.why if upload.screening else upload.detail,
        nudity=(upload.screening.nudity or ()) if upload.screening else (),
        video_uri=made.video if shown else "",
        poster_uri=made.poster if shown else "",
        preview_uri=made.preview if shown else "",
        uploaded_at=upload.uploaded_at,
        decided_by=review.decided_by if review else UserId(""),
        decided_at=review.decided_at if review else EPOCH,
        note=review.note if review else "",
    )
