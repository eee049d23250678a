"""From measures to the vector and the composite: the anchors, all in one place.

Raw numbers are mapped with fixed anchors, never with the least and the most of a batch, so that a
score does not hang on who else took part. The anchors were set on a ladder of damage (see
``docs/benchmarks.md``, group ``quality``): untouched gives at least 0.95 of a dimension, the first
rung about 0.9, the middle about 0.5, ruined at most 0.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Weights = tuple[float, float, float, float]

EVEN: Final[Weights] = (0.25, 0.25, 0.25, 0.25)
WEIGHTS: Final[Mapping[str, Weights]] = {
    "color_correction": (0.25, 0.25, 0.25, 0.25),
    "style_transfer": (0.20, 0.25, 0.30, 0.25),
    "motion_enhancement": (0.25, 0.20, 0.25, 0.30),
}
"""Fidelity, clean of artifacts, style adherence, temporal consistency."""

FLOOR: Final = 0.005
_STRUCTURE: Final = ((-1.0, 0.15, 0.35, 0.5, 0.75, 1.0), (0.0, 0.0, 0.5, 0.85, 0.96, 1.0))
"""Rank correlation of edge strength to fidelity: other content stays under 0.2."""
_MOSAIC: Final = 0.2
"""A look of so much pixelation is one of blocks; fewer come with any drawing."""
_HASH: Final = ((0.0, 0.1, 0.3, 0.42, 0.5), (1.0, 1.0, 0.9, 0.35, 0.1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the look itself does to the texture, so that it is not taken for damage."""

    softness: float = 0.0
    grain: float = 0.0
    pixelation: float = 0.0
    flatness: float = 0.0
    posterization: float = 0.0
    lines: bool = False
    """Whether the look says nothing of detail: drawing makes some, lines and edges of tones."""
    contrast: float = 1.0
    """Of the result against the input, as measured."""


def fidelity(means: Mapping[str, Values]) -> Values:
    """Return 1 for the same content, 0 for other content."""
    return np.interp(means["structure"], *_STRUCTURE) * np.interp(means["distance"], *_HASH)


def temporal(means: Mapping[str, Values], wanted: Wanted) -> Values:
    """Return 1 when the result moves as the input does.

    A drawn look finds its lines and tones anew in every frame; that much unrest is its own.
    """
    drawn = _drawn(wanted)
    warp = _excess(means["warp_out"], means["warp_in"], 0.02)
    apart = means["apart"] / (means["speed"] + 0.25)
    flicker = np.maximum(0.0, means["flicker_out"] - means["flicker_in"])
    smeared = np.maximum(0.0, -_excess(means["change_out"], means["change_in"], 0.1) - 0.05)
    backwards = np.maximum(0.0, -means["along"] / (means["lengths"] + 0.02))
    jerk = means["jerk"]
    cost = (
        0.5 * np.maximum(0.0, warp - 0.1 - 0.6 * drawn)
        + 0.5 * np.log1p(np.maximum(0.0, apart - 0.2 - 0.1 * drawn))
        + 0.11 * np.power(np.maximum(0.0, flicker - 0.1 - 0.7 * drawn), 0.8)
        + 1.2 * backwards
        + 0.9 * smeared
        + 2.4 * jerk
        + 3.0 * jerk**4
    )
    # a little unrest goes unnoticed where a stop of the same cost would not
    felt = cost * (cost + 0.1) / (cost + 0.4)
    return np.asarray(np.exp(-felt))


def artifacts(means: Mapping[str, Values], wanted: Wanted) -> Values:
    """Return the share that is ruined: each kind of damage beyond the look takes its part."""
    contrast = min(max(wanted.contrast, 0.25), 1.0)
    grain = means["noise_out"] / min(max(wanted.contrast, 1.0), 4.0) - means["noise_in"]
    blocks = means["blockiness_out"] - means["blockiness_in"] - 0.03
    mosaic = (means["mosaic_out"] - means["mosaic_in"]) / np.maximum(1 - means["mosaic_in"], 0.05)
    bands = (means["spikiness_out"] - means["spikiness_in"]) * contrast
    sharper = np.log2((means["detail_out"] + 1e-3) / (means["detail_in"] + 1e-3)) - math.log2(
        min(max(1.0 - wanted.softness, 0.05), 8.0)
    )
    lines = _drawn(wanted) if wanted.lines else 0.0
    soft, halo = np.maximum(0.0, -sharper - 0.15), np.maximum(0.0, sharper - 0.15 - 1.4 * lines)
    cost = (
        0.4 * soft
        + 0.12 * soft**2
        + 0.45 * halo * contrast
        + 45.0 * np.maximum(0.0, grain - max(0.0, wanted.grain) - 0.002 - 0.02 * lines)
        + 1.5 * np.maximum(0.0, mosaic - wanted.pixelation - 0.1)
        + 2.2 * np.maximum(0.0, bands - max(0.0, wanted.posterization) - 0.03)
    )
    if wanted.pixelation < _MOSAIC:
        cost = cost + 0.6 * np.log1p(2.0 * np.maximum(0.0, blocks))
    return np.asarray(1.0 - np.exp(-cost))


def _drawn(wanted: Wanted) -> float:
    """Return how much of a drawing the look is, 0 to 1."""
    return min(1.0, max(wanted.flatness, wanted.posterization, wanted.pixelation, 0.0) / 0.3)


def composite(parts: Sequence[float], effect_type: str) -> float:
    """Return the weighted geometric mean; a part of 0 weighs as ``FLOOR``, so order remains."""
    return float(composites(np.asarray(parts, dtype=np.float64)[:, None], effect_type)[0])


def composites(parts: Values, effect_type: str) -> Values:
    """Return the composite of each column: fidelity, 1 - artifacts, style, temporal."""
    weights = np.asarray(WEIGHTS.get(effect_type, EVEN))
    bounded = np.clip(parts, FLOOR, 1.0)
    return np.asarray(np.exp(weights @ np.log(bounded)))


def _excess(after: Values, before: Values, floor: float) -> Values:
    return np.asarray(np.log((after + floor) / (before + floor)))
