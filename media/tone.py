"""How a clip is toned: the colours of its shadows, its lights, and what should be neutral."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from media.frames import Pixels

_LIT: Final = 12
"""Darker pixels have no colour to speak of."""
_PLAINEST: Final = 0.4
_DARK_SHARE: Final = 0.35
_ENOUGH: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """Lab numbers of the lit part of some frames; ``a`` is green to red, ``b`` blue to yellow."""

    cast: float
    """How yellow what should be neutral is; blue is negative."""
    shadow_a: float
    shadow_b: float
    light_b: float
    chroma: float
    stray: float
    """How far colours are from following lightness alone, as in a toned grey picture."""
    hue: float
    """Of the mean colour, in degrees."""


NEUTRAL: Final = Tone(
    cast=0.0, shadow_a=0.0, shadow_b=0.0, light_b=0.0, chroma=0.0, stray=0.0, hue=0.0
)


def tone(frames: Pixels) -> Tone:
    """Measure BGR frames."""
    pixels = frames.reshape(1, -1, 3)
    lab = cv2.cvtColor(pixels, cv2.COLOR_BGR2Lab)[0].astype(np.float64)
    lit = lab[lab[:, 0] > _LIT]
    if len(lit) < _ENOUGH * len(lab):
        return NEUTRAL
    light, a, b = lit[:, 0], lit[:, 1] - 128, lit[:, 2] - 128
    chroma = np.hypot(a, b)
    plain = chroma <= np.quantile(chroma, _PLAINEST)
    dark, bright = np.quantile(light, [_DARK_SHARE, 1 - _DARK_SHARE])
    shadow, high = light <= dark, light >= bright
    return Tone(
        cast=float(np.median(b[plain]) + np.median(b)) / 2,
        shadow_a=float(a[shadow].mean()),
        shadow_b=float(b[shadow].mean()),
        light_b=float(b[high].mean()),
        chroma=float(chroma.mean()),
        stray=float(np.hypot(_stray(light, a), _stray(light, b))),
        hue=float(np.degrees(np.arctan2(b.mean(), a.mean()))),
    )


def _stray(light: NDArray[np.float64], colour: NDArray[np.float64]) -> float:
    """Return the deviation of a colour from its mean at each lightness."""
    bins = light.astype(int) // 8
    counts = np.maximum(np.bincount(bins), 1)
    means = np.bincount(bins, weights=colour) / counts
    return float(np.std(colour - means[bins]))
