"""Which effect types make sense for a clip, and why; why not for the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from media.analysis import Sighting
from schemas.video import Eligibility

COLOR_CORRECTION: Final = "color_correction"
STYLE_TRANSFER: Final = "style_transfer"
MOTION_ENHANCEMENT: Final = "motion_enhancement"
DETAIL_ENHANCEMENT: Final = "detail_enhancement"
UPSCALE: Final = "upscale"
FRAMING: Final = "framing"
TEXT_OVERLAY: Final = "text_overlay"

_BLACK: Final = 0.03
_LEAST_FRAMES: Final = 12
_SLOWEST_RATE: Final = 40.0
"""Frames a second below which movement can be made smoother for everyone to see."""

Verdict = tuple[bool, str]


def eligibility(seen: Sighting, pattern: str) -> tuple[Eligibility, ...]:
    """Say of every effect type whether it fits, with a reason that a user can read."""
    rules = _rules(pattern)
    verdicts = {effect: rules[effect](seen) for effect in EFFECT_TYPES}
    return tuple(
        Eligibility(effect_type=effect, eligible=fits, reason=reason)
        for effect, (fits, reason) in verdicts.items()
    )


def eligible(seen: Sighting, pattern: str) -> tuple[str, ...]:
    """Return the effect types that make sense for a clip."""
    return tuple(each.effect_type for each in eligibility(seen, pattern) if each.eligible)


def _visible(seen: Sighting) -> bool:
    return seen.light.brightness > _BLACK


def _colour(seen: Sighting) -> Verdict:
    if "monochrome" in seen.effects:
        return True, "light and contrast can be corrected; the clip has no colour to balance"
    for name, word in (("color_grade_warm", "warm"), ("color_grade_cool", "cool")):
        if name in seen.effects:
            return True, f"the clip looks {word}, which can be balanced or driven further"
    return True, "light and colour of any clip can be corrected"


def _style(seen: Sighting) -> Verdict:
    if not _visible(seen):
        return False, "the clip is almost black, a style would have nothing to show on"
    if seen.frames < _LEAST_FRAMES:
        return False, f"a style needs {_LEAST_FRAMES} frames to be seen in, there are {seen.frames}"
    return True, "there is enough to be seen, for long enough"


def _motion(seen: Sighting, pattern: str) -> Verdict:
    if not _visible(seen):
        return False, "the clip is almost black, nothing is seen to move"
    if seen.frames < _LEAST_FRAMES:
        return (
            False,
            f"movement needs {_LEAST_FRAMES} frames to be made smoother, there are {seen.frames}",
        )
    if pattern == "static":
        return False, "nothing moves, so no movement can be made smoother"
    if "duplicated_frames" in seen.effects:
        return True, "frames are repeated, new ones between them would move smoothly"
    if 1000.0 * seen.frames / max(1, seen.duration_ms) < _SLOWEST_RATE:
        return True, "there is movement, and so few frames a second that more would show"
    return True, "there is movement that can be made smoother"


def _detail(seen: Sighting) -> Verdict:
    if not _visible(seen):
        return False, "the clip is almost black, there is no detail to bring out"
    if "soft_focus" in seen.effects:
        return True, "the clip is soft, detail can be brought out"
    if "oversharpened" in seen.effects:
        return True, "detail can be brought out, though edges have been sharpened before"
    return True, "there is detail that can be brought out"


def _upscale(seen: Sighting) -> Verdict:
    if not _visible(seen):
        return False, "the clip is almost black, enlarging it shows nothing more"
    width, height = seen.size
    size = f" of {width}x{height}" if width else ""
    return True, f"pictures{size} can be enlarged"


def _framing(seen: Sighting) -> Verdict:
    if "letterbox" in seen.effects:
        return True, "the clip has black bars already, which can be kept or replaced"
    return True, "any clip can be framed"


def _text(seen: Sighting) -> Verdict:
    if any(shot.text for shot in seen.shots):
        return True, "a caption can be added; there are words in view already"
    return True, "any clip takes a caption"


EFFECT_TYPES: Final = (
    COLOR_CORRECTION,
    STYLE_TRANSFER,
    MOTION_ENHANCEMENT,
    DETAIL_ENHANCEMENT,
    UPSCALE,
    FRAMING,
    TEXT_OVERLAY,
)
"""Every effect type that is known."""


def _rules(pattern: str) -> Mapping[str, Callable[[Sighting], Verdict]]:
    return {
        COLOR_CORRECTION: _colour,
        STYLE_TRANSFER: _style,
        MOTION_ENHANCEMENT: partial(_motion, pattern=pattern),
        DETAIL_ENHANCEMENT: _detail,
        UPSCALE: _upscale,
        FRAMING: _framing,
        TEXT_OVERLAY: _text,
    }
