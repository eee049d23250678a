"""What an effect did to a clip, as a few numbers: the look.

A look is a ``dict[str, float]``. ``measure_look`` gives all keys; a provider's ``target_look``
names those that its effect is about. A colour key that is absent should stay as it was; texture and
motion are the business of artifacts and temporal consistency unless the look names them.

============= ========= ====================================================================
key           neutral   meaning (of the result, against the input)
============= ========= ====================================================================
brightness    0         mean luma, difference in shares of full scale (-1..1)
contrast      1         spread of luma, ratio
saturation    1         mean chroma, ratio
warmth        0         mean of red minus blue, difference in shares of full scale
tint          0         mean of green minus the other two, difference in shares of full scale
softness      0         share of the fine detail that is gone; negative when there is more
grain         0         noise in calm areas, difference in shares of full scale
pixelation    0         share of the steps that moved onto a few rows and columns (0..1)
flatness      0         share of the picture that lost all structure, difference (-1..1)
posterization 0         share of tones that collapsed into a few, difference (-1..1)
bloom         0         how much brighter the surroundings of highlights became than the rest
motion        1         change from frame to frame against the contrast, ratio
============= ========= ====================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from media.frames import Footage, Numbers, Pixels
from media.motion import greys
from media.texture import Texture, detail_size, texture

RATIOS: Final = frozenset({"contrast", "saturation", "motion"})
"""Keys whose neutral value is 1; they are compared as logarithms."""
STEP: Final[Mapping[str, float]] = {
    "brightness": 0.05,
    "contrast": 0.12,
    "saturation": 0.18,
    "warmth": 0.04,
    "tint": 0.03,
    "softness": 0.15,
    "grain": 0.006,
    "pixelation": 0.12,
    "flatness": 0.10,
    "posterization": 0.10,
    "bloom": 0.03,
    "motion": 0.25,
}
"""One visible step of each key; they make unlike numbers comparable."""
COLOUR: Final = frozenset({"brightness", "contrast", "saturation", "warmth", "tint", "bloom"})
"""Keys that must stay as they were when the look does not name them."""
_NAMED: Final = 0.5
"""A wanted value of fewer steps names nothing; measured looks are full of such."""
_SAMPLES: Final = 32
_PAIRS: Final = 120
"""Neighbouring frames whose change is looked at."""
_CHROMA_FLOOR: Final = 0.01
_CONTRAST_FLOOR: Final = 0.01
_MOTION_FLOOR: Final = 0.01
_MOST_RATIO: Final = 8.0
_HIGHLIGHT: Final = 92
_GLOW_REACH: Final = 15
_ENOUGH: Final = 0.75
"""From this share of the way to the target on, a look counts as reached."""
_TOO_MUCH: Final = 1.35
_TOLERATED_STEPS: Final = 1.5


class UnknownLookError(ValueError):
    """A look names a key that nobody measures."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no such look: {key!r}")
        self.key = key


def measure_look(source: Footage, result: Footage) -> dict[str, float]:
    """Return every key of the look: what the effect did to ``source``."""
    size = detail_size(source.width, source.height)
    before, after = texture(source, size), texture(result, size)
    return compare(source, before, result, after, match(source, result))


def match(source: Footage, result: Footage) -> NDArray[np.intp]:
    """Return for each frame of ``source`` the frame of ``result`` shown at that time."""
    after = np.searchsorted(result.times_ms, source.times_ms)
    after = np.clip(after, 1, max(1, len(result) - 1))
    late = np.clip(after, 0, len(result) - 1)
    early = after - 1
    nearer = np.abs(result.times_ms[early] - source.times_ms) <= np.abs(
        result.times_ms[late] - source.times_ms
    )
    return np.where(nearer, early, late)


def compare(
    source: Footage,
    source_texture: Texture,
    result: Footage,
    result_texture: Texture,
    matched: NDArray[np.intp],
) -> dict[str, float]:
    """Return the look of clips whose texture and matching frames are known."""
    picked = np.linspace(0, len(source) - 1, min(_SAMPLES, len(source))).astype(int)
    pairs = np.linspace(0, max(0, len(source) - 2), min(_PAIRS, len(source) - 1)).astype(int)
    before = source.small[picked]
    after = fit(result.small[matched[picked]], before.shape)
    change = _colour(after) - _colour(before)
    contrast = _ratio(_contrast(after), _contrast(before), _CONTRAST_FLOOR)
    return {
        "brightness": float(change[0]),
        "contrast": contrast,
        "saturation": _ratio(_chroma(after), _chroma(before), _CHROMA_FLOOR),
        "warmth": float(change[1]),
        "tint": float(change[2]),
        "softness": 1.0 - _ratio(result_texture.detail, source_texture.detail, 1e-3),
        "grain": result_texture.noise / max(contrast, 0.25) - source_texture.noise,
        "pixelation": _pixelation(source_texture, result_texture),
        "flatness": result_texture.flatness - source_texture.flatness,
        "posterization": result_texture.spikiness - source_texture.spikiness,
        "bloom": _bloom(greys(before), greys(after)),
        "motion": _ratio(
            _restlessness(result.small[matched[pairs]], result.small[matched[pairs + 1]]),
            _restlessness(source.small[pairs], source.small[pairs + 1]),
            _MOTION_FLOOR,
        ),
    }


def adherence(measured: Mapping[str, float], wanted: Mapping[str, float]) -> float:
    """Return how far a measured change goes toward the wanted look, 0..1.

    Nothing changed is 0. Half the way is less than half as good, far beyond the target is worse
    than on it, and a change of what should have stayed counts against it.

    >>> adherence({"warmth": 0.06}, {"warmth": 0.06})
    1.0
    >>> adherence({"warmth": 0.0}, {"warmth": 0.06})
    0.0

    Raises:
        UnknownLookError: ``wanted`` names a key that nobody measures.
    """
    for key in wanted:
        if key not in STEP:
            raise UnknownLookError(key)
    wanted = {key: value for key, value in wanted.items() if abs(steps(key, value)) >= _NAMED}
    target = np.array([steps(key, wanted[key]) for key in wanted])
    seen = np.array([steps(key, measured.get(key, _neutral(key))) for key in wanted])
    size = max(float(np.linalg.norm(target)), 1e-9)
    along = float(seen @ target) / size / max(size, 1.0)
    if along <= 0:
        return 0.0
    across = float(np.linalg.norm(seen - target * (along * max(size, 1.0) / size))) / max(size, 1.0)
    aside = math.sqrt(
        sum(steps(key, measured[key]) ** 2 for key in COLOUR & measured.keys() - wanted.keys())
    )
    return (
        _reached(along)
        * math.exp(-0.8 * max(0.0, across - 0.25))
        * math.exp(-0.12 * max(0.0, aside - _TOLERATED_STEPS))
    )


def amount(measured: Mapping[str, float]) -> float:
    """Return how much was changed at all, 0..1, for an effect without a wanted look."""
    size = math.sqrt(sum(steps(key, value) ** 2 for key, value in measured.items()))
    return 1.0 - math.exp(-size / 3.0)


def steps(key: str, value: float) -> float:
    """Return how many visible steps a value is from neutral."""
    if key in RATIOS:
        bounded = min(max(value, 1.0 / _MOST_RATIO), _MOST_RATIO)
        return math.log(bounded) / math.log1p(STEP[key])
    return value / STEP[key]


def _neutral(key: str) -> float:
    return 1.0 if key in RATIOS else 0.0


def _reached(along: float) -> float:
    if along < _ENOUGH:
        return math.pow(along / _ENOUGH, 1.2)
    beyond = max(0.0, along - _TOO_MUCH)
    return max(0.2, 1.0 - 0.5 * beyond)


def fit(frames: Pixels, shape: tuple[int, ...]) -> Pixels:
    """Return frames at the size of ``shape``, as they are when they have it."""
    if frames.shape[1:3] == shape[1:3]:
        return frames
    size = (shape[2], shape[1])
    fitted = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.asarray(fitted, dtype=np.uint8)


def _colour(frames: Pixels) -> Numbers:
    """Return mean luma, warmth and tint."""
    blue, green, red = frames.mean(axis=(0, 1, 2)) / 255.0
    luma = 0.114 * blue + 0.587 * green + 0.299 * red
    return np.array([luma, red - blue, green - (red + blue) / 2], dtype=np.float32)


def _contrast(frames: Pixels) -> float:
    return float(np.mean(greys(frames).std(axis=(1, 2)))) / 255.0


def _chroma(frames: Pixels) -> float:
    return float((frames.max(axis=3) - frames.min(axis=3)).mean()) / 255.0


def _restlessness(first: Pixels, second: Pixels) -> float:
    """Return how much frames change to their neighbours, against their contrast."""
    if not len(first):
        return 0.0
    one, other = greys(first), greys(second)
    # the median leaves cuts out
    changed = np.abs(other.astype(np.int16) - one).mean(axis=(1, 2))
    return float(np.median(changed)) / max(float(np.std(one)), 1.0)


def _pixelation(before: Texture, after: Texture) -> float:
    gained = (after.mosaic - before.mosaic) / max(1.0 - before.mosaic, 0.05)
    return min(max(gained, 0.0), 1.0)


def _bloom(before: Pixels, after: Pixels) -> float:
    """Return how much more the surroundings of highlights rose than the rest of the picture."""
    kernel = np.ones((_GLOW_REACH, _GLOW_REACH), np.uint8)
    glows = []
    for one, other in zip(before, after, strict=True):
        level = max(float(np.percentile(one, _HIGHLIGHT)), 1.0)
        bright = (one >= level).astype(np.uint8)
        around = cv2.dilate(bright, kernel).astype(bool) & ~bright.astype(bool)
        rest = ~around & ~bright.astype(bool)
        if around.any() and rest.any():
            rise = other.astype(np.float32) - one
            glows.append(float(rise[around].mean() - rise[rest].mean()) / 255.0)
    return float(np.mean(glows)) if glows else 0.0


def _ratio(after: float, before: float, floor: float) -> float:
    return min((after + floor) / (before + floor), _MOST_RATIO)
