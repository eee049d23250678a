"""Light and colour of frames, in numbers and in plain names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from media.frames import Pixels

_HUES: Final = (
    (8, "red"),
    (20, "orange"),
    (34, "yellow"),
    (78, "green"),
    (96, "teal"),
    (128, "blue"),
    (148, "purple"),
    (170, "pink"),
    (180, "red"),
)
"""Upper bounds on OpenCV's half circle of hues."""
_BLACK_BELOW: Final = 38
_WHITE_ABOVE: Final = 205
_GREY_CHROMA: Final = 24
_BROWN_BELOW: Final = 130
_LEAST_SHARE: Final = 0.10
_MOST_NAMES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Light and colour of some frames; shares of full scale."""

    brightness: float
    contrast: float
    chroma: float
    warmth: float
    """Red minus blue."""


def light(frames: Pixels) -> Light:
    """Measure BGR frames."""
    blue, green, red = (float(value) / 255.0 for value in frames.mean(axis=(0, 1, 2)))
    spread = [float(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).std()) for frame in frames]
    return Light(
        brightness=0.114 * blue + 0.587 * green + 0.299 * red,
        contrast=float(np.mean(spread)) / 255.0,
        chroma=float(np.mean(frames.max(axis=3) - frames.min(axis=3))) / 255.0,
        warmth=red - blue,
    )


def colour_names(frames: Pixels) -> tuple[str, ...]:
    """Return the names of the colours that fill most of the frames, the largest first."""
    pixels = np.concatenate([frame.reshape(-1, 3) for frame in frames])
    hsv = cv2.cvtColor(pixels[None], cv2.COLOR_BGR2HSV)[0]
    hue, value = hsv[:, 0], hsv[:, 2]
    chroma = pixels.max(axis=1) - pixels.min(axis=1)
    shares: dict[str, float] = {}
    black = value < _BLACK_BELOW
    plain = ~black & (chroma < _GREY_CHROMA)
    white = plain & (value > _WHITE_ABOVE)
    coloured = ~black & ~plain
    shares["black"] = float(black.mean())
    shares["white"] = float(white.mean())
    shares["grey"] = float((plain & ~white).mean())
    lower = 0
    for upper, name in _HUES:
        here = coloured & (hue >= lower) & (hue < upper)
        dark = here & (value < _BROWN_BELOW) & (name == "orange")
        shares["brown"] = shares.get("brown", 0.0) + float(dark.mean())
        shares[name] = shares.get(name, 0.0) + float((here & ~dark).mean())
        lower = upper
    ranked = sorted(shares, key=lambda name: -shares[name])
    named = [name for name in ranked if shares[name] >= _LEAST_SHARE][:_MOST_NAMES]
    return tuple(named or ranked[:1])
