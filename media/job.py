"""What the decoding child is asked, and how it answers; known to both sides, imports no decoder."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from media.verdicts import IntakeLimits

READY: Final = b"ready\n"
"""Said before the first look at the file: whatever fails earlier is no fault of the file."""


VIDEO_NAME: Final = "mezzanine.mp4"
POSTER_NAME: Final = "poster.webp"
PREVIEW_NAME: Final = "preview.webp"
WAVEFORM_NAME: Final = "waveform.json"


class ScreenModel(Struct, frozen=True, kw_only=True):
    """The model that looks for nudity: a file and its checksum."""

    path: str
    sha256: str


class Job(Struct, frozen=True, kw_only=True):
    """What to do with the file on standard input."""

    limits: IntakeLimits
    normalize: bool = False
    screen: ScreenModel | None = None
    """Score some pictures of the mezzanine too."""
