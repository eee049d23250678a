"""From numbers to words: styles, motion, sentences, and which effects fit."""

from __future__ import annotations

from typing import Final

from media.analysis import ANALYZER_VERSION, Shot, Sighting
from media.palette import Light
from schemas.events import Rejection
from schemas.video import Analysis, Scene, Video

COLOR_CORRECTION: Final = "color_correction"
STYLE_TRANSFER: Final = "style_transfer"
MOTION_ENHANCEMENT: Final = "motion_enhancement"
DETAIL_ENHANCEMENT: Final = "detail_enhancement"
UPSCALE: Final = "upscale"
FRAMING: Final = "framing"
TEXT_OVERLAY: Final = "text_overlay"

_SPEEDS: Final = (
    (0.004, "static"),
    (0.03, "low_movement"),
    (0.1, "moderate_movement"),
)
"""Picture widths a second, up to which a clip moves like this."""
_FASTEST: Final = "high_movement"
_FULL_SPEED: Final = 0.4
"""Picture widths a second that count as motion 1."""
_MOTION_WORDS: Final = {
    "static": "still",
    "low_movement": "slow motion",
    "moderate_movement": "steady motion",
    "high_movement": "fast motion",
}
_BLACK: Final = 0.03
_LEAST_FRAMES: Final = 12
_LOWEST_CONFIDENCE: Final = 0.4
_HIGHEST_CONFIDENCE: Final = 0.75
"""Heuristics never claim more; a model may."""

_MONOCHROME: Final = 0.035
_LOW_KEY: Final = 0.28
_HIGH_KEY: Final = 0.7
_TINTED: Final = 0.06
_VIVID: Final = 0.32
_MUTED: Final = 0.12


def describe(seen: Sighting) -> Analysis:
    """Say what a clip is like and which effects it is eligible for."""
    style, confidence = style_of(seen.light)
    pattern = motion_pattern(seen.speed)
    return Analysis(
        scenes=tuple(_scene(shot) for shot in seen.shots),
        dominant_style=style,
        motion_pattern=pattern,
        detected_effects=seen.effects,
        eligible_effect_types=eligible(seen, pattern),
        style_confidence=round(confidence if seen.complete else confidence / 2, 3),
        # no object model is installed: only faces are looked for
        degraded=True,
        analyzer_version=ANALYZER_VERSION,
    )


def style_of(light: Light) -> tuple[str, float]:
    """Return the style and how sure that is: the farther past its limit, the surer."""
    rules = (
        ("monochrome", (_MONOCHROME - light.chroma) / _MONOCHROME),
        ("low_key", (_LOW_KEY - light.brightness) / _LOW_KEY),
        ("high_key", (light.brightness - _HIGH_KEY) / (1 - _HIGH_KEY)),
        ("vivid", (light.chroma - _VIVID) / _VIVID),
        ("cinematic_warm", (light.warmth - _TINTED) / _TINTED),
        ("cool", (-light.warmth - _TINTED) / _TINTED),
        ("muted", (_MUTED - light.chroma) / _MUTED),
    )
    for name, margin in rules:
        if margin > 0:
            return name, _confidence(margin)
    nearest = max(margin for _, margin in rules)
    return "natural", _confidence(-nearest)


def motion_pattern(speed: float) -> str:
    """Return how much a clip moves."""
    for limit, name in _SPEEDS:
        if speed < limit:
            return name
    return _FASTEST


def eligible(seen: Sighting, pattern: str) -> tuple[str, ...]:
    """Return the effect types that make sense for a clip.

    Colour can always be corrected, and any clip takes bars or a caption. A style needs something to
    be seen and a few frames to be seen in, detail and size need something to be seen, and motion
    can only be enhanced where there is some.
    """
    visible = seen.light.brightness > _BLACK
    lasting = visible and seen.frames >= _LEAST_FRAMES
    fitting = (
        (COLOR_CORRECTION, True),
        (STYLE_TRANSFER, lasting),
        (MOTION_ENHANCEMENT, lasting and pattern != "static"),
        (DETAIL_ENHANCEMENT, visible),
        (UPSCALE, visible),
        (FRAMING, True),
        (TEXT_OVERLAY, True),
    )
    return tuple(effect for effect, fits in fitting if fits)


def failure(video: Video, *, code: str, reason: str, hint: str) -> Rejection:
    """Return why a clip could not be analysed."""
    return Rejection(
        video_id=video.video_id, user_id=video.user_id, code=code, reason=reason, hint=hint
    )


def _scene(shot: Shot) -> Scene:
    pattern = motion_pattern(shot.speed)
    light = _light_word(shot.light.brightness)
    colours = " and ".join(shot.colours[:2])
    sentence = f"{light}, mostly {colours}, {_MOTION_WORDS[pattern]}"
    return Scene(
        start_ms=shot.start_ms,
        end_ms=shot.end_ms,
        description=f"{sentence}, a face in view" if shot.face else sentence,
        objects=("person",) if shot.face else (),
        brightness=round(min(max(shot.light.brightness, 0.0), 1.0), 3),
        motion=round(min(shot.speed / _FULL_SPEED, 1.0), 3),
        colors=shot.colours,
    )


def _light_word(brightness: float) -> str:
    if brightness < _LOW_KEY:
        return "dark"
    if brightness < 0.42:
        return "dim"
    return "bright" if brightness > 0.6 else "evenly lit"


def _confidence(margin: float) -> float:
    span = _HIGHEST_CONFIDENCE - _LOWEST_CONFIDENCE
    return _LOWEST_CONFIDENCE + span * min(max(margin, 0.0), 1.0)
