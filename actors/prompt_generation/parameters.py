"""Numbers chosen from what is in a clip: how strongly, in how many steps, how literally.

A clip shows *signs*; each moves a number a little. What a template says of its own effect is added
to what holds for every effect, and the sum is kept within bounds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from schemas.base import JobId
from schemas.video import Analysis

DARK: Final = "dark"
BRIGHT: Final = "bright"
PEOPLE: Final = "people"
TEXT: Final = "text"
STILL: Final = "still"
FAST: Final = "fast"
BUSY: Final = "busy"
SHAKY: Final = "shaky"
SIGNS: Final = frozenset({DARK, BRIGHT, PEOPLE, TEXT, STILL, FAST, BUSY, SHAKY})
"""What a template may ask for by name."""

STRENGTHS: Final = (0.05, 1.0)
STEPS: Final = (8, 40)
SCALES: Final = (1.0, 12.0)

_DARK_BELOW: Final = 0.3
_BRIGHT_ABOVE: Final = 0.6
_BUSY_SHOT_MS: Final = 1_500
"""Shots that are shorter on average leave no time to look at any."""
_SURE: Final = 0.6
_LEAST_TRUST: Final = 0.5
_SEED_BITS: Final = 31
_PEOPLE: Final = frozenset({"person", "people", "face", "man", "woman", "child"})
_HANDHELD: Final = "handheld"
_TEXT: Final = frozenset({"text", "caption", "subtitles", "text_overlay"})


class Shift(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sign adds to each number."""

    strength: float = 0.0
    steps: int = 0
    cfg_scale: float = 0.0


HOUSE: Final[Mapping[str, Shift]] = {
    # a changed face or a letter that cannot be read is seen at once
    PEOPLE: Shift(strength=-0.05, steps=4, cfg_scale=-0.5),
    TEXT: Shift(strength=-0.05, cfg_scale=-0.5),
    # literal guidance crushes shadows and clips lights
    DARK: Shift(cfg_scale=-0.5),
    BRIGHT: Shift(cfg_scale=-0.5),
    # nothing hides what boils in a still picture; motion and quick cuts do
    STILL: Shift(steps=4),
    FAST: Shift(steps=-4),
    BUSY: Shift(steps=-2),
    # strokes and grain swim over what a hand does not hold still
    SHAKY: Shift(strength=-0.03),
}
"""What holds for every effect that paints anew."""


def signs(analysis: Analysis) -> frozenset[str]:
    """Return what a clip shows of ``SIGNS``."""
    found = set()
    light = brightness(analysis)
    if light is not None and light < _DARK_BELOW:
        found.add(DARK)
    if light is not None and light > _BRIGHT_ABOVE:
        found.add(BRIGHT)
    seen = {name.lower() for scene in analysis.scenes for name in scene.objects}
    if seen & _PEOPLE or any(scene.people for scene in analysis.scenes):
        found.add(PEOPLE)
    written = (seen | set(analysis.detected_effects)) & _TEXT
    if written or any(scene.text for scene in analysis.scenes):
        found.add(TEXT)
    if camera(analysis) == _HANDHELD:
        found.add(SHAKY)
    if analysis.motion_pattern == "static":
        found.add(STILL)
    if analysis.motion_pattern == "high_movement":
        found.add(FAST)
    if len(analysis.scenes) > 1 and _mean_shot_ms(analysis) < _BUSY_SHOT_MS:
        found.add(BUSY)
    return frozenset(found)


def brightness(analysis: Analysis) -> float | None:
    """Return the mean light, longer scenes counting more; nothing without scenes."""
    lengths = [max(1, scene.end_ms - scene.start_ms) for scene in analysis.scenes]
    if not lengths:
        return None
    lit = sum(
        scene.brightness * length for scene, length in zip(analysis.scenes, lengths, strict=True)
    )
    return lit / sum(lengths)


def camera(analysis: Analysis) -> str:
    """Return how the camera moves for most of a clip; nothing where that is not known."""
    lengths: dict[str, int] = {}
    for scene in analysis.scenes:
        lengths[scene.camera] = lengths.get(scene.camera, 0) + scene.end_ms - scene.start_ms
    return max(lengths, key=lambda move: (lengths[move], move), default="")


def trust(confidence: float) -> float:
    """Return how much of a style's adjustment is made: half of it when the style is a guess.

    >>> trust(0.9), trust(0.0)
    (1.0, 0.5)
    """
    return min(1.0, max(_LEAST_TRUST, confidence / _SURE))


def shifted(
    start: Shift, shifts: Mapping[str, Shift], shown: frozenset[str], *, house: bool
) -> Shift:
    """Return the numbers after every sign that is shown, within bounds.

    >>> shifted(Shift(strength=0.7, steps=24, cfg_scale=6.5), {}, frozenset({"people"}), house=True)
    Shift(strength=0.65, steps=28, cfg_scale=6.0)
    """
    # in a fixed order, so that sums of floats are the same everywhere
    moves = [HOUSE[sign] for sign in sorted(shown) if house and sign in HOUSE]
    moves += [shifts[sign] for sign in sorted(shown) if sign in shifts]
    return Shift(
        strength=round(_bounded(sum((m.strength for m in moves), start.strength), STRENGTHS), 3),
        steps=int(_bounded(sum((m.steps for m in moves), start.steps), STEPS)),
        cfg_scale=round(_bounded(sum((m.cfg_scale for m in moves), start.cfg_scale), SCALES), 2),
    )


def seed(job_id: JobId, template_id: str, variant: str) -> int:
    """Return the same seed for the same job and variant, always."""
    digest = hashlib.sha256(f"{job_id}\x1f{template_id}\x1f{variant}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> (32 - _SEED_BITS)


def _mean_shot_ms(analysis: Analysis) -> float:
    lengths = [scene.end_ms - scene.start_ms for scene in analysis.scenes]
    return sum(lengths) / len(lengths)


def _bounded(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return min(max(value, low), high)
