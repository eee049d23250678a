"""What each tenant may upload, and for how long what was uploaded is kept. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct

from actors.video_intake import places
from actors.video_intake.core import Kept, Upload, UploadState
from media.verdicts import IntakeLimits
from schemas.base import EPOCH
from schemas.video import VideoMetadata

Days = Annotated[int, Meta(ge=0)]
NEVER: Final = 0
"""Days that never end."""
REFUSED: Final = frozenset({UploadState.REJECTED, UploadState.BLOCKED})


class TenantPolicy(Struct, frozen=True, kw_only=True):
    """What one tenant may upload."""

    limits: IntakeLimits = IntakeLimits()
    """Length, pixels, bytes, and what looking at a file may cost."""
    uploads_per_hour: Annotated[int, Meta(ge=1)] = 120


class RetentionPolicy(Struct, frozen=True, kw_only=True):
    """How many days are kept, from the upload on: 0 is for ever.

    The upload itself is only needed until it is normalised; the mezzanine is what providers get
    and what results are compared with.
    """

    raw_days: Days = 30
    derived_days: Days = NEVER
    refused_days: Days = 7
    """For everything of an upload that was rejected or blocked."""


def leaves(upload: Upload, policy: RetentionPolicy, *, at: datetime) -> Kept:
    """Return what the policy leaves of an upload; what waits for an admin stays until he decides.

    An upload that was never worked on has nothing but itself.
    """
    if upload.state is UploadState.HELD or upload.kept is Kept.NOTHING:
        return upload.kept
    if upload.state in REFUSED:
        return Kept.NOTHING if _over(upload, policy.refused_days, at) else upload.kept
    if _over(upload, policy.derived_days, at):
        return Kept.NOTHING
    if _over(upload, policy.raw_days, at):
        return Kept.NOTHING if upload.state is UploadState.ACCEPTED else Kept.DERIVED
    return upload.kept


def dropped(upload: Upload, kept: Kept) -> tuple[str, ...]:
    """Return the addresses that are to be empty when only so much of an upload is kept."""
    whole = places.everything_of(upload.tenant_id, upload.video_id, upload.source_uri)
    if kept is Kept.NOTHING:
        return whole
    made = places.Derived.of(upload.tenant_id, upload.video_id).all()
    return tuple(uri for uri in whole if uri not in made) if kept is Kept.DERIVED else ()


def ends(days: int, *, at: datetime) -> datetime:
    """Return the time before which an upload's days are over; for ever is before all uploads."""
    return EPOCH if days == NEVER else at - timedelta(days=days)


def allows(limits: IntakeLimits, metadata: VideoMetadata) -> bool:
    """Tell whether a clip that was measured before is within a tenant's limits of today."""
    width, _, height = metadata.resolution.partition("x")
    return (
        metadata.file_size_bytes <= limits.max_bytes
        and limits.min_duration_ms <= metadata.duration_ms <= limits.max_duration_ms
        and limits.min_frames <= metadata.frame_count <= limits.max_frames
        and int(width) * int(height) <= limits.max_pixels
        and min(int(width), int(height)) >= limits.min_side
    )


def _over(upload: Upload, days: int, at: datetime) -> bool:
    return upload.uploaded_at < ends(days, at=at)
