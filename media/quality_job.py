"""What the scoring child is asked; known to both sides, imports no decoder."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from media.verdicts import IntakeLimits

READY: Final = b"ready\n"
"""Said before the first look at a file: whatever fails earlier is no fault of the files."""
LIMITS: Final = IntakeLimits(cpu_seconds=300, wall_seconds=240.0, memory_bytes=3 * 1024**3)
"""Two clips are decoded and compared; ten seconds of 720p take about seven."""


class ScoringJob(Struct, frozen=True, kw_only=True):
    """Two open files by number, and what was wanted."""

    source: int
    result: int
    effect_type: str
    look: dict[str, float] = {}
    until_ms: float | None = None
    """Score the beginning only, to give up early on what is no good."""
    limits: IntakeLimits = LIMITS
