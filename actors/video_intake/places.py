"""Where the objects of an upload are, and only those: what is deleted is deleted by this list."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from media.address import parse
from media.errors import InvalidUriError
from schemas.base import TenantId, VideoId

RAW: Final = "s3://intake/raw"
NORMALIZED: Final = "s3://intake/normalized"
POSTERS: Final = "s3://intake/posters"
PREVIEWS: Final = "s3://intake/previews"
WAVEFORMS: Final = "s3://intake/waveforms"

VIDEO_TYPE: Final = "video/mp4"
PICTURE_TYPE: Final = "image/webp"
WAVEFORM_TYPE: Final = "application/json"


class Derived(Struct, frozen=True, kw_only=True):
    """The addresses of everything that intake makes of an upload."""

    video: str
    poster: str
    preview: str
    waveform: str

    @classmethod
    def of(cls, tenant_id: TenantId, video_id: VideoId) -> Derived:
        """Return where it is stored for one upload."""
        name = f"{tenant_id}/{video_id}"
        return cls(
            video=f"{NORMALIZED}/{name}.mp4",
            poster=f"{POSTERS}/{name}.webp",
            preview=f"{PREVIEWS}/{name}.webp",
            waveform=f"{WAVEFORMS}/{name}.json",
        )

    def all(self) -> tuple[str, ...]:
        """Return every address; the mezzanine last, because the others are found by it."""
        return (self.waveform, self.preview, self.poster, self.video)


_TYPES: Final = {".mp4": VIDEO_TYPE, ".webp": PICTURE_TYPE, ".json": WAVEFORM_TYPE}


def type_of(uri: str) -> str:
    """Return the content type of something that intake makes."""
    return _TYPES[uri[uri.rindex(".") :]]


def everything_of(tenant_id: TenantId, video_id: VideoId, source_uri: str) -> tuple[str, ...]:
    """Return every address at which something of an upload may be stored.

    A poster was a JPEG once, so that place is on the list too.
    """
    made = Derived.of(tenant_id, video_id).all()
    older = f"{POSTERS}/{tenant_id}/{video_id}.jpg"
    raw = (source_uri,) if owns(tenant_id, source_uri) else ()
    return (*raw, older, *made)


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
