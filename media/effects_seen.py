"""Effects a clip already has, each seen by a rule over measured numbers.

A rule answers with a margin: above 0 the effect is there, at 1 beyond doubt. The limits were set by
looking at real clips with and without each effect (``benchmarks.analysis``); other footage may be
read less well than those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media import surface
from media.frames import Footage, Pixels
from media.motion import greys
from media.palette import Light
from media.text import LEAST_SHARE
from media.texture import Texture
from media.tone import Tone, tone

_SAMPLED: Final = 4
"""Full-size frames that are looked at closely."""
_HALF_SIDE: Final = 320
_SPREAD: Final = 24
"""Small frames that tone and bars are read in."""
_FADE_MS: Final = 1_500
_FADED: Final = 0.06
_LIT: Final = 0.12
_FLASH: Final = 0.12
_BAR_BRIGHT: Final = 22
_BAR_SHARE: Final = 0.04
_BAR_EDGE: Final = 0.4
"""Share of the row next to a bar that must be lit, or the bar is only a dark sky."""
_HELD: Final = 0.35
"""Tones that a repeated frame may differ by, coding included."""
_HELD_SHARE: Final = 0.22
"""The same in shares of the clip's own change."""
_EMPTY: Final = 0.93
_FREEZE_S: Final = 0.45
_REPEATED: Final = 0.3
_RESTLESS: Final = 0.5
"""Tones between frames below which nothing can be said about repeated ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenEffect:
    """One effect and how sure that is."""

    name: str
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What the rules look at."""

    light: Light
    tone: Tone
    texture: Texture
    sharpness: float
    broad_sharpness: float
    """The same at half the size, where a coder's own edges are gone."""
    halos: float
    parted: float
    lines: float
    symmetry: float
    falloff: float
    grain: float
    tones: float
    text: float
    """Share of the picture that rows of writing cover."""
    level: NDArray[np.float64]
    """Mean luma of every frame, 0..1."""
    changes: NDArray[np.float64]
    """Mean change from each frame to the next, in tones."""
    times_ms: NDArray[np.float64]
    bars: float
    """Share of the height that black bars take above and below, the thinner twice."""
    cuts: frozenset[int]


def signals(
    footage: Footage, *, light: Light, texture: Texture, cuts: frozenset[int], text: float = 0.0
) -> Signals:
    """Measure a clip once for all rules; ``text`` is the share of ``media.text``."""
    full = _some(footage.full)
    grey = greys(footage.small)
    spread = np.unique(np.linspace(0, len(footage) - 1, _SPREAD).astype(int))
    return Signals(
        light=light,
        tone=tone(footage.small[spread]),
        texture=texture,
        sharpness=_mean(surface.sharpness, full),
        broad_sharpness=_mean(partial(surface.sharpness, side=_HALF_SIDE), full),
        halos=_mean(surface.halos, full),
        parted=_mean(surface.parted, _some(footage.colour)),
        lines=_mean(surface.lines, full),
        symmetry=_mean(surface.symmetry, full),
        falloff=surface.falloff(grey[spread].mean(axis=0, dtype=np.float32)),
        grain=surface.grain(grey),
        tones=_mean(surface.tones, full),
        text=text,
        level=grey.mean(axis=(1, 2)) / 255.0,
        changes=np.abs(np.diff(grey.astype(np.int16), axis=0)).mean(axis=(1, 2)),
        times_ms=footage.times_ms,
        bars=_bars(grey[spread]),
        cuts=cuts,
    )


def effects(seen: Signals) -> tuple[SeenEffect, ...]:
    """Return the effects that a clip has."""
    margins = {name: rule(seen) for name, rule in RULES.items()}
    for winner, losers in _EXPLAINS.items():
        if margins[winner] > 0:
            margins |= dict.fromkeys(losers, 0.0)
    return tuple(
        SeenEffect(name=name, confidence=round(0.5 + 0.45 * min(1.0, margin), 3))
        for name, margin in margins.items()
        if margin > 0
    )


def _some(frames: Sequence[Pixels]) -> list[Pixels]:
    picked = np.unique(np.linspace(0, len(frames) - 1, _SAMPLED).astype(int)) if frames else ()
    return [frames[at] for at in picked]


def _mean(measure: Callable[[Pixels], float], frames: Sequence[Pixels]) -> float:
    return float(np.mean([measure(frame) for frame in frames])) if frames else 0.0


# -- rules


def _above(value: float, limit: float, sure: float) -> float:
    return (value - limit) / (sure - limit)


def _fades(level: NDArray[np.float64], times_ms: NDArray[np.float64]) -> float:
    """Say whether the clip rises from darkness, slowly, at this end."""
    lit = np.flatnonzero(level > _LIT)
    if not lit.size or level[0] > _FADED or times_ms[lit[0]] > _FADE_MS:
        return 0.0
    rise = level[: lit[0] + 1]
    return 1.0 if len(rise) >= 4 and bool((np.diff(rise) >= -0.005).all()) else 0.0


def _fade_in(seen: Signals) -> float:
    return _fades(seen.level, seen.times_ms)


def _fade_out(seen: Signals) -> float:
    return _fades(seen.level[::-1], seen.times_ms[-1] - seen.times_ms[::-1])


def _flash(seen: Signals) -> float:
    """Light jumps up for a frame or two and comes back."""
    level, most = seen.level, 0.0
    for index in range(2, len(level) - 3):
        jump = float(level[index] - max(level[index - 2], level[index + 3]))
        if jump > _FLASH and not any(index + step in seen.cuts for step in range(-1, 4)):
            most = max(most, _above(jump, _FLASH, 0.4))
    return most


def _held(seen: Signals) -> NDArray[np.bool_]:
    """Say of each change whether it is none, in a clip that moves."""
    moving = float(np.quantile(seen.changes, 0.9)) if seen.changes.size else 0.0
    if moving < _RESTLESS:
        return np.zeros(len(seen.changes), bool)
    return np.asarray(seen.changes < min(_HELD, _HELD_SHARE * moving))


def _longest(held: NDArray[np.bool_]) -> int:
    longest = run = 0
    for each in held.tolist():
        run = run + 1 if each else 0
        longest = max(longest, run)
    return longest


def _freeze(seen: Signals) -> float:
    if seen.times_ms.size < 2:
        return 0.0
    frame_s = float(np.median(np.diff(seen.times_ms))) / 1000.0
    return _above(_longest(_held(seen)) * frame_s, _FREEZE_S, 1.0)


def _duplicated(seen: Signals) -> float:
    """Many frames are repeated, all along the clip, and none of them for long."""
    held = _held(seen)
    if held.size < 8 or _longest(held) > 6:
        return 0.0
    quarters = [float(part.mean()) for part in np.array_split(held, 4)]
    return _above(float(held.mean()), _REPEATED, 0.6) if min(quarters) > 0.15 else 0.0


def _monochrome(seen: Signals) -> float:
    lit = seen.light.brightness > 0.03 and seen.tone.chroma < 2.5
    return (0.035 - seen.light.chroma) / 0.03 if lit else 0.0


def _sepia(seen: Signals) -> float:
    tinted = 6.5 < seen.tone.chroma < 26.0 and 40 < seen.tone.hue < 95
    return _above(-seen.tone.stray, -3.3, -1.0) if tinted else 0.0


def _teal_orange(seen: Signals) -> float:
    one = seen.tone
    apart = _above(one.light_b - one.shadow_b - one.shadow_a, 13.5, 40.0)
    teal = one.shadow_a < 1.0 and (one.shadow_b < -1.0 or one.shadow_a < -4.0)
    return apart if teal and one.light_b > 3.0 else 0.0


def _vignette(seen: Signals) -> float:
    return _above(seen.falloff, 1.1, 2.1)


def _sharpened(seen: Signals) -> float:
    return min(_above(seen.sharpness, 0.47, 0.7), _above(seen.halos, 0.055, 0.1))


def _pixelate(seen: Signals) -> float:
    # on an empty page a line of words is all the steps there are
    page = seen.texture.flatness > _EMPTY
    return 0.0 if page else _above(seen.texture.mosaic, 0.67, 0.95)


def _soft(seen: Signals) -> float:
    # nothing to be in focus is no blur
    if min(seen.sharpness, seen.broad_sharpness) <= 0:
        return 0.0
    return max(_above(-seen.sharpness, -0.235, -0.17), _above(-seen.broad_sharpness, -0.25, -0.17))


RULES: Final[Mapping[str, Callable[[Signals], float]]] = {
    "fade_in": _fade_in,
    "fade_out": _fade_out,
    "letterbox": lambda seen: _above(seen.bars, _BAR_SHARE, 0.1),
    "monochrome": _monochrome,
    "sepia": _sepia,
    "teal_orange": _teal_orange,
    "color_grade_warm": lambda seen: _above(seen.tone.cast, 8.0, 22.0),
    "color_grade_cool": lambda seen: _above(-seen.tone.cast, 7.0, 20.0),
    "flash": _flash,
    "film_grain": lambda seen: _above(seen.grain, 1.32, 2.4),
    "vignette": _vignette,
    "soft_focus": _soft,
    "oversharpened": _sharpened,
    "pixelate": _pixelate,
    "posterize": lambda seen: _above(seen.tones, 0.29, 0.6),
    "rgb_shift": lambda seen: _above(seen.parted, 1.4, 4.0),
    "scanlines": lambda seen: _above(seen.lines, 4.0, 10.0),
    "mirrored": lambda seen: _above(seen.symmetry, 0.86, 0.97),
    "freeze": _freeze,
    "duplicated_frames": _duplicated,
    "text_overlay": lambda seen: _above(seen.text, LEAST_SHARE, 8 * LEAST_SHARE),
}
"""All effects that are looked for."""
_EXPLAINS: Final[Mapping[str, tuple[str, ...]]] = {
    "monochrome": ("sepia", "color_grade_warm", "color_grade_cool", "teal_orange"),
    "sepia": ("color_grade_warm", "teal_orange"),
    "teal_orange": ("color_grade_warm", "color_grade_cool"),
    "pixelate": ("oversharpened", "soft_focus"),
    "scanlines": ("oversharpened",),
}
"""What an effect does to the numbers of others."""


def _bars(grey: Pixels) -> float:
    """Return the share of the height that black bars take in every sampled frame."""
    brightest = grey.max(axis=0)
    rows = np.flatnonzero(brightest.max(axis=1) > _BAR_BRIGHT)
    if not rows.size:
        return 0.0
    top, bottom = int(rows[0]), len(brightest) - 1 - int(rows[-1])
    # one row at the edge of the reduced picture may be blended with the bar
    edges = [brightest[top : top + 3], brightest[len(brightest) - bottom - 3 :][:3]]
    lit = min(float((edge.max(axis=0) > _BAR_BRIGHT).mean()) for edge in edges)
    even = min(top, bottom) > 0.5 * max(top, bottom)
    return min(top, bottom) / len(brightest) if lit >= _BAR_EDGE and even else 0.0
