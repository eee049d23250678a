"""What the decoding child is asked, and how it answers; known to both sides, imports no decoder."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from media.verdicts import IntakeLimits

READY: Final = b"ready\n"
"""Said before the first look at the file: whatever fails earlier is no fault of the file."""


VIDEO_NAME: Final = "mezzanine.mp4"
POSTER_NAME: Final = "poster.jpg"


class Job(Struct, frozen=True, kw_only=True):
    """What to do with the file on standard input."""

    limits: IntakeLimits
    normalize: bool = False
