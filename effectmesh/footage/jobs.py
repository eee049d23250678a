"""What a child is asked about files, and what it answers; known to both sides, imports no decoder.

Files are open files by number, so a child is never given a name that a decoder could misread.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from media.verdicts import IntakeLimits
from schemas.video import Analysis

READY: Final = b"ready\n"
"""Said before the first look at a file: whatever fails earlier is no fault of the file."""
LIMITS: Final = IntakeLimits(cpu_seconds=300, wall_seconds=240.0, memory_bytes=4 * 1024**3)
MAX_STILLS: Final = 16


class Peek(Struct, frozen=True, kw_only=True, tag=True):
    """How is this file stored? Only its first picture is decoded."""

    file: int
    limits: IntakeLimits


class Watch(Struct, frozen=True, kw_only=True, tag=True):
    """What is in this mezzanine?"""

    file: int
    limits: IntakeLimits = LIMITS


class Stills(Struct, frozen=True, kw_only=True, tag=True):
    """What is to be seen at these times, counted from the first picture?"""

    file: int
    at_ms: tuple[int, ...]
    side: int
    """The longer side of a still, in pixels."""
    limits: IntakeLimits = LIMITS


class Vmaf(Struct, frozen=True, kw_only=True, tag=True):
    """What does Netflix's metric say? It takes paths, for another program opens them."""

    source: str
    result: str
    limits: IntakeLimits = LIMITS


Job = Peek | Watch | Stills | Vmaf


class Peeked(Struct, frozen=True, kw_only=True, tag=True):
    """How a file is stored."""

    container: str
    codec: str
    pixel_format: str
    stored_size: str
    """``WIDTHxHEIGHT`` before it is set upright."""
    rotation: str
    """``none``, or what sets it upright: ``90 clockwise``, ``90 counterclockwise``, ``180`` ..."""
    pixel_aspect: str
    """``1:1`` for square pixels."""
    hdr: str
    """``PQ`` or ``HLG``; empty for standard range."""
    sound_codec: str = ""
    """Empty when there is none, or none that can be decoded."""
    sound_rate_hz: int = 0
    sound_channels: int = 0
    mezzanine: bool = False
    """Whether it is what normalising makes, so that normalising it again only costs quality."""


class Watched(Struct, frozen=True, kw_only=True, tag=True):
    """What is in a clip."""

    analysis: Analysis
    complete: bool
    """False when decoding broke off."""


class Pictures(Struct, frozen=True, kw_only=True, tag=True):
    """A JPEG for each time that was asked for; empty where the clip is over or broken by then."""

    stills: tuple[bytes, ...]


class Opinion(Struct, frozen=True, kw_only=True, tag=True):
    """A number from 0 to 100."""

    value: float


class Failed(Struct, frozen=True, kw_only=True, tag=True):
    """There is no answer, and this is why."""

    why: str


Answer = Peeked | Watched | Pictures | Opinion | Failed
