"""What intake may say of a file: its measures, or a refusal with a code that never changes.

This module imports no decoder, so an actor can use it; the numbers are found in ``media.probe``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from schemas.video import VideoMetadata


class IntakeLimits(Struct, frozen=True, kw_only=True):
    """What a clip may be, and what looking at it may cost."""

    max_bytes: int = 500_000_000
    max_duration_ms: int = 60_000
    min_duration_ms: int = 200
    max_pixels: int = 4096 * 2304
    min_side: int = 16
    max_frames: int = 7_200
    """A minute at 120 frames a second."""
    min_frames: int = 5
    cpu_seconds: int = 270
    """A minute of clip, four times over, and half a minute."""
    wall_seconds: float = 180.0
    memory_bytes: int = 2 * 1024**3


class Code(StrEnum):
    """Why a file is refused. Clients compare these, so a code is never renamed."""

    EMPTY_FILE = "EMPTY_FILE"
    TOO_LARGE = "TOO_LARGE"
    NOT_A_VIDEO = "NOT_A_VIDEO"
    NO_PICTURE = "NO_PICTURE"
    ZERO_SIZE = "ZERO_SIZE"
    TOO_SMALL = "TOO_SMALL"
    TOO_MANY_PIXELS = "TOO_MANY_PIXELS"
    TOO_FEW_FRAMES = "TOO_FEW_FRAMES"
    TOO_MANY_FRAMES = "TOO_MANY_FRAMES"
    TOO_SHORT = "TOO_SHORT"
    TOO_LONG = "TOO_LONG"
    TRUNCATED = "TRUNCATED"
    UNREADABLE = "UNREADABLE"
    TIMED_OUT = "TIMED_OUT"


class Refusal(Struct, frozen=True, kw_only=True, tag_field="verdict", tag="refused"):
    """The file cannot be used: a stable code, a sentence, what to do next."""

    code: str
    reason: str
    hint: str
    detail: str = ""
    """For the operator, never shown to the user."""


class Inspected(Struct, frozen=True, kw_only=True, tag_field="verdict", tag="inspected"):
    """The file can be used; this is what it is."""

    metadata: VideoMetadata


class Normalized(Struct, frozen=True, kw_only=True, tag_field="verdict", tag="normalized"):
    """The mezzanine and what goes with it, by their names in the folder given."""

    source: VideoMetadata
    metadata: VideoMetadata
    """Of the mezzanine, measured by decoding it again; the hash is the upload's."""
    video: str
    poster: str
    preview: str = ""
    waveform: str = ""
    """Empty when the clip is silent."""
    fingerprint: str = ""
    """What it looks like; see ``media.likeness``. Empty when it looks like nothing."""
    nudity: tuple[float, ...] | None = None
    """The score of some pictures, from 0 to 1; ``None`` when no model looked at them."""


class OutOfRoom(Struct, frozen=True, kw_only=True, tag_field="verdict", tag="out_of_room"):
    """The disk is full. That is no fault of the file."""


Verdict = Inspected | Normalized | Refusal | OutOfRoom


class RefusedError(Exception):
    """Looking at a file came to a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.code}: {refusal.reason}")
        self.refusal = refusal


_REEXPORT: Final = "Export it again as MP4 (H.264) and upload the new file."
_SENTENCES: Final[dict[Code, tuple[str, str]]] = {
    Code.EMPTY_FILE: (
        "The file is empty.",
        "Check that it plays on your device, then upload it again.",
    ),
    Code.TOO_LARGE: (
        "The file has {found:,} bytes; at most {limit:,} are taken.",
        "Shorten the clip or export it at a lower bit rate.",
    ),
    Code.NOT_A_VIDEO: (
        "The file is not in a video format we read.",
        "Upload an MP4, MOV, WebM, MKV, AVI, MPEG or animated GIF file.",
    ),
    Code.NO_PICTURE: (
        "The file has no pictures, only sound or other data.",
        "Upload the video itself, not its sound track.",
    ),
    Code.ZERO_SIZE: (
        "The pictures in the file are {width} x {height} pixels.",
        _REEXPORT,
    ),
    Code.TOO_SMALL: (
        "The pictures are {width} x {height} pixels; each side needs at least {limit}.",
        "Upload the clip in its original size.",
    ),
    Code.TOO_MANY_PIXELS: (
        "The pictures are {width} x {height}; at most {limit:,} pixels are taken.",
        "Export it at 4K or smaller.",
    ),
    Code.TOO_FEW_FRAMES: (
        "The file has {found} picture(s); a clip needs at least {limit}.",
        "Upload a moving clip, not a still picture.",
    ),
    Code.TOO_MANY_FRAMES: (
        "The clip has more than {limit:,} pictures.",
        "Shorten it or export it at a lower frame rate.",
    ),
    Code.TOO_SHORT: (
        "The clip lasts {found} ms; it needs at least {limit}.",
        "Upload a longer clip.",
    ),
    Code.TOO_LONG: (
        "The clip lasts longer than {limit} ms.",
        "Cut out the part you want and upload that.",
    ),
    Code.TRUNCATED: (
        "Part of the file is missing or damaged: {found} of it can be read.",
        "The upload or an earlier copy was probably cut off: upload the original again.",
    ),
    Code.UNREADABLE: (
        "The file looks like a video but cannot be decoded.",
        _REEXPORT,
    ),
    Code.TIMED_OUT: (
        "Looking at the file took longer than is allowed.",
        "Shorten the clip or export it in a smaller size, then try again.",
    ),
}


def refuse(code: Code, *, detail: str = "", **values: int | str) -> Refusal:
    """Return the refusal for a code, its sentence filled with what was found and allowed."""
    reason, hint = _SENTENCES[code]
    return Refusal(code=code.value, reason=reason.format(**values), hint=hint, detail=detail)


def size_refusal(size: int, limits: IntakeLimits) -> Refusal | None:
    """Return why a file of this many bytes is not even opened, if so."""
    if size == 0:
        return refuse(Code.EMPTY_FILE)
    if size > limits.max_bytes:
        return refuse(Code.TOO_LARGE, found=size, limit=limits.max_bytes)
    return None
