"""From numbers to words: styles, motion, sentences, and the analysis as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from actors.content_analysis import fitting
from actors.content_analysis.fitting import eligible as eligible
from media.analysis import ANALYZER_VERSION, Shot, Sighting
from media.palette import Light
from schemas.events import Rejection
from schemas.video import Analysis, Scene, Video

MODELLED: Final = "+tags"
"""Part of the version when a model named things: with and without one are two answers."""

_SPEEDS: Final = (
    (0.004, "static"),
    (0.03, "low_movement"),
    (0.1, "moderate_movement"),
)
"""Picture widths a second, up to which a clip moves like this."""
_FASTEST: Final = "high_movement"
_FULL_SPEED: Final = 0.4
"""Picture widths a second that count as motion 1."""
_FULL_SUBJECT: Final = 0.25
_BUSY: Final = 0.02
"""Subject motion from which a sentence speaks of it."""
_MOTION_WORDS: Final = {
    "static": "still",
    "low_movement": "slow motion",
    "moderate_movement": "steady motion",
    "high_movement": "fast motion",
}
_CAMERA_WORDS: Final = {
    "pan_left": "the camera pans left",
    "pan_right": "the camera pans right",
    "tilt_up": "the camera tilts up",
    "tilt_down": "the camera tilts down",
    "zoom_in": "the camera moves closer",
    "zoom_out": "the camera moves away",
    "roll": "the camera rolls",
    "handheld": "held by hand",
}
_LOWEST_CONFIDENCE: Final = 0.4
_HIGHEST_CONFIDENCE: Final = 0.75
"""Heuristics never claim more; a model may."""
_WITHOUT_MODEL: Final = 0.8
"""What confidence is worth when no model looked."""
MAX_DESCRIPTION: Final = 300
_MOST_THINGS: Final = 3

_MONOCHROME: Final = 0.035
_LOW_KEY: Final = 0.28
_HIGH_KEY: Final = 0.7
_TINTED: Final = 0.06
_VIVID: Final = 0.32
_MUTED: Final = 0.12


def describe(seen: Sighting) -> Analysis:
    """Say what a clip is like and which effects it is eligible for."""
    style, confidence, near = _style(seen)
    pattern = motion_pattern(seen.speed)
    told = fitting.eligibility(seen, pattern)
    return Analysis(
        scenes=tuple(_scene(shot) for shot in seen.shots),
        dominant_style=style,
        motion_pattern=pattern,
        detected_effects=seen.effects,
        eligible_effect_types=tuple(each.effect_type for each in told if each.eligible),
        style_confidence=round(confidence, 3),
        degraded=not seen.modelled,
        analyzer_version=version(modelled=seen.modelled),
        style_runner_up=near,
        effect_confidence=dict(seen.effect_confidence),
        eligibility=told,
    )


def version(*, modelled: bool, described_by: str = "") -> str:
    """Return under which name an answer is remembered: another one may answer otherwise.

    >>> version(modelled=True, described_by="") == f"{ANALYZER_VERSION}+tags"
    True
    """
    words = f"+{described_by}" if described_by else ""
    return f"{ANALYZER_VERSION}{MODELLED if modelled else ''}{words}"


def in_words(analysis: Analysis, said: Sequence[str], *, by: str) -> Analysis:
    """Return the analysis with a captioner's words where it has some; the rest stays as it is.

    They are a stranger's words: cut to a length, on one line, without control characters.
    """
    words = [plain_words(each) for each in said]
    if not any(words):
        return analysis
    scenes = tuple(
        structs.replace(scene, description=words[at]) if at < len(words) and words[at] else scene
        for at, scene in enumerate(analysis.scenes)
    )
    return structs.replace(
        analysis,
        scenes=scenes,
        described_by=by,
        analyzer_version=f"{analysis.analyzer_version}+{by}",
    )


def plain_words(said: str) -> str:
    """Return a text as one plain line of at most ``MAX_DESCRIPTION`` characters.

    >>> plain_words("  a <b>cat</b>   sits ")
    'a b cat /b sits'
    """
    kept = "".join(each if each.isprintable() else " " for each in said[: 4 * MAX_DESCRIPTION])
    for each in "<>{}[]`|\\":
        kept = kept.replace(each, " ")
    line = " ".join(kept.split())
    return line if len(line) <= MAX_DESCRIPTION else line[:MAX_DESCRIPTION].rsplit(" ", 1)[0]


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


def failure(video: Video, *, code: str, reason: str, hint: str) -> Rejection:
    """Return why a clip could not be analysed."""
    return Rejection(
        video_id=video.video_id, user_id=video.user_id, code=code, reason=reason, hint=hint
    )


def _style(seen: Sighting) -> tuple[str, float, str]:
    """Return the style, how sure that is, and the runner-up."""
    name, confidence, near = seen.style.name, seen.style.confidence, seen.style.near
    if confidence <= 0:
        name, confidence = style_of(seen.light)
    confidence = min(confidence, _HIGHEST_CONFIDENCE)
    if not seen.modelled:
        confidence *= _WITHOUT_MODEL
    return name, confidence if seen.complete else confidence / 2, near


def _scene(shot: Shot) -> Scene:
    people = shot.face or any(each.name == "person" for each in shot.things)
    named = {each.name: each.confidence for each in shot.things}
    objects = tuple(dict.fromkeys((*(("person",) if people else ()), *named)))
    return Scene(
        start_ms=shot.start_ms,
        end_ms=shot.end_ms,
        description=_sentence(shot),
        objects=objects,
        brightness=round(min(max(shot.light.brightness, 0.0), 1.0), 3),
        motion=round(min(shot.speed / _FULL_SPEED, 1.0), 3),
        colors=shot.colours,
        camera=shot.movement.camera,
        subject_motion=round(min(shot.movement.subject / _FULL_SUBJECT, 1.0), 3),
        people=people,
        text=shot.text,
        object_confidence=named,
    )


def _sentence(shot: Shot) -> str:
    """Say what was measured, and nothing else."""
    things = [each.name.replace("_", " ") for each in shot.things[:_MOST_THINGS]]
    words = [
        *([" and ".join(things)] if things else []),
        _light_word(shot.light.brightness),
        "mostly " + " and ".join(shot.colours[:2]),
        _MOTION_WORDS[motion_pattern(shot.speed)],
    ]
    if (camera := shot.movement.camera) in _CAMERA_WORDS:
        words.append(_CAMERA_WORDS[camera])
    if shot.movement.subject > _BUSY:
        words.append("something moves in view")
    if shot.face:
        words.append("a face in view")
    if shot.text:
        words.append("words in view")
    return ", ".join(words)


def _light_word(brightness: float) -> str:
    if brightness < _LOW_KEY:
        return "dark"
    if brightness < 0.42:
        return "dim"
    return "bright" if brightness > 0.6 else "evenly lit"


def _confidence(margin: float) -> float:
    span = _HIGHEST_CONFIDENCE - _LOWEST_CONFIDENCE
    return _LOWEST_CONFIDENCE + span * min(max(margin, 0.0), 1.0)
