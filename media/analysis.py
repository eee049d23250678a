"""What is in a clip: shots, light, colours, motion, faces, and looks it already has.

Everything here is measured. There is no object model: only faces are looked for, and what is not
seen is not named.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media import scenes
from media.faces import FaceFinder
from media.frames import Footage, load
from media.motion import greys, speeds
from media.palette import Light, colour_names, light
from media.texture import detail_size, texture

ANALYZER_VERSION: Final = "measured-1"
"""Goes up with every change of what is measured."""

MAX_SCENES: Final = 200
_SHOWN_FRAMES: Final = 8
"""Frames of a shot whose colours are looked at."""
_FLOW_PAIRS: Final = 12
_FACE_FRAMES: Final = 6
"""Frames of the whole clip in which faces are looked for; they cost most."""
_FADE_MS: Final = 1_500
_FADED: Final = 0.06
_LIT: Final = 0.12
_FLASH: Final = 0.12
_BAR_BRIGHT: Final = 22
_BAR_SHARE: Final = 0.04
_WARM: Final = 0.06
_MONOCHROME: Final = 0.035


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One shot, measured."""

    start_ms: int
    end_ms: int
    light: Light
    colours: tuple[str, ...]
    speed: float
    """Picture widths a second."""
    face: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A whole clip, measured. The shots cover it without a gap or an overlap."""

    shots: tuple[Shot, ...]
    duration_ms: int
    frames: int
    light: Light
    speed: float
    detail: float
    effects: tuple[str, ...]
    """Looks and tricks the clip already has, such as ``letterbox``."""
    complete: bool = True
    """False when decoding broke off."""


def watch(path: Path) -> Sighting:
    """Decode a clip and measure it.

    Raises:
        UnreadableFootageError: it cannot be decoded.
    """
    return describe(load(path))


def describe(footage: Footage) -> Sighting:
    """Measure a decoded clip."""
    spans = _bounded(scenes.spans(footage))
    starts = [round(float(footage.times_ms[first])) for first, _ in spans]
    duration = max(round(footage.duration_ms), starts[-1] + 1)
    ends = [*starts[1:], duration]
    faces = _faces(footage)
    shots = tuple(
        _shot(footage, span, start, end, face=any(span[0] <= at < span[1] for at in faces))
        for span, start, end in zip(spans, starts, ends, strict=True)
    )
    lengths = [shot.end_ms - shot.start_ms for shot in shots]
    overall = light(footage.small[:: max(1, len(footage) // 48)])
    surface = texture(footage, detail_size(footage.width, footage.height))
    return Sighting(
        shots=shots,
        duration_ms=duration,
        frames=len(footage),
        light=overall,
        speed=float(np.average([shot.speed for shot in shots], weights=lengths)),
        detail=surface.detail,
        effects=_effects(footage, overall, cuts={first for first, _ in spans}),
        complete=not footage.damaged,
    )


def _bounded(spans: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Let the last shot take what is beyond the limit."""
    if len(spans) <= MAX_SCENES:
        return spans
    return (*spans[: MAX_SCENES - 1], (spans[MAX_SCENES - 1][0], spans[-1][1]))


def _shot(
    footage: Footage, span: tuple[int, int], start_ms: int, end_ms: int, *, face: bool
) -> Shot:
    first, end = span
    shown = footage.small[np.unique(np.linspace(first, end - 1, _SHOWN_FRAMES).astype(int))]
    pairs = (
        np.unique(np.linspace(first, end - 2, _FLOW_PAIRS).astype(int)) if end - first > 1 else ()
    )
    moved = speeds(footage, [int(pair) for pair in pairs])
    return Shot(
        start_ms=start_ms,
        end_ms=end_ms,
        light=light(shown),
        colours=colour_names(shown),
        speed=float(np.median(moved)) if moved.size else 0.0,
        face=face,
    )


def _faces(footage: Footage) -> list[int]:
    """Return which of the sampled frames show a face."""
    if not footage.full:
        return []
    finder = FaceFinder()
    picked = np.unique(np.linspace(0, len(footage.full) - 1, _FACE_FRAMES).astype(int))
    return [footage.full_at[at] for at in picked if finder.finds(footage.full[at])]


def _effects(footage: Footage, overall: Light, *, cuts: set[int]) -> tuple[str, ...]:
    level = footage.small.mean(axis=(1, 2, 3)) / 255.0
    found = []
    if _fades(level, footage.times_ms):
        found.append("fade_in")
    if _fades(level[::-1], footage.times_ms[-1] - footage.times_ms[::-1]):
        found.append("fade_out")
    if _letterboxed(footage):
        found.append("letterbox")
    if overall.chroma < _MONOCHROME:
        found.append("monochrome")
    elif abs(overall.warmth) > _WARM:
        found.append("color_grade_warm" if overall.warmth > 0 else "color_grade_cool")
    if _flashes(level, cuts):
        found.append("flash")
    return tuple(found)


def _fades(level: NDArray[np.float64], times_ms: NDArray[np.float64]) -> bool:
    """Say whether the clip rises from darkness, slowly, at this end."""
    lit = np.flatnonzero(level > _LIT)
    if not lit.size or level[0] > _FADED or times_ms[lit[0]] > _FADE_MS:
        return False
    rise = level[: lit[0] + 1]
    return len(rise) >= 4 and bool((np.diff(rise) >= -0.005).all())


def _flashes(level: NDArray[np.float64], cuts: set[int]) -> bool:
    """Say whether light jumps up for a frame or two and comes back."""
    for index in range(2, len(level) - 3):
        before, after = level[index - 2], level[index + 3]
        near_cut = any(index + step in cuts for step in range(-1, 4))
        if not near_cut and level[index] - max(before, after) > _FLASH:
            return True
    return False


def _letterboxed(footage: Footage) -> bool:
    """Say whether black bars stand above and below in every sampled frame."""
    grey = greys(footage.small[:: max(1, len(footage) // 24)])
    brightest = grey.max(axis=(0, 2))
    rows = len(brightest)
    bar = max(2, round(rows * _BAR_SHARE))
    middle = float(brightest[rows // 3 : -rows // 3].max())
    dark = max(int(brightest[:bar].max()), int(brightest[-bar:].max()))
    # one row below the reduced picture's edge is blended with it
    return dark <= _BAR_BRIGHT and middle > 4 * _BAR_BRIGHT and _edge(brightest) >= bar


def _edge(brightest: NDArray[np.uint8]) -> int:
    """Return how many dark rows stand at the top."""
    bright = np.flatnonzero(brightest > _BAR_BRIGHT)
    return int(bright[0]) if bright.size else 0
