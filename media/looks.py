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
hue           0         how far the colours are turned around the circle, in half turns (-1..1)
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
    "hue": 0.03,
    "softness": 0.15,
    "grain": 0.006,
    "pixelation": 0.12,
    "flatness": 0.10,
    "posterization": 0.10,
    "bloom": 0.03,
    "motion": 0.25,
}
"""One visible step of each key; they make unlike numbers comparable."""
COLOUR: Final = frozenset(
    {"brightness", "contrast", "saturation", "warmth", "tint", "hue", "bloom"}
)
"""Keys that must stay as they were when the look does not name them."""
_NAMED: Final = 0.5
"""A wanted value of fewer steps names nothing; measured looks are full of such."""
_NAMED_TEXTURE: Final = 1.5
"""The same for texture and motion, which every change of colour moves a little."""
_SAMPLES: Final = 32
_PAIRS: Final = 120
"""Neighbouring frames whose change is looked at."""
_CHROMA_FLOOR: Final = 0.01
_LEAST_CHROMA: Final = 1.0
"""Mean distance of the colours from their mean, in units of Lab, below which a clip is grey."""
_CONTRAST_FLOOR: Final = 0.01
_MOTION_FLOOR: Final = 0.01
_MOST_RATIO: Final = 8.0
_HIGHLIGHT: Final = 92
_GLOW_REACH: Final = 3
_ENOUGH: Final = 0.75
"""From this share of the way to the target on, a look counts as reached."""
_TOO_MUCH: Final = 1.35
_TOLERATED_STEPS: Final = 1.5
_EXACT: Final = 0.1
"""Share of a look's size that a result may be beside it."""
_JUST_VISIBLE: Final = 0.8
_STEPS_OFF: Final = 3.0
_DRAWN: Final = frozenset({"flatness", "posterization", "pixelation"})
"""What drawing and painting do to a picture."""
_BROAD: Final = 5
"""How many times smaller frames are looked at for colour and contrast."""


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
    broad_before, broad_after = _broad(before), _broad(after)
    change = _colour(broad_after) - _colour(broad_before)
    contrast = _ratio(_contrast(broad_after), _contrast(broad_before), _CONTRAST_FLOOR)
    return {
        "brightness": float(change[0]),
        "contrast": contrast,
        "saturation": _ratio(_chroma(broad_after), _chroma(broad_before), _CHROMA_FLOOR),
        "warmth": float(change[1]),
        "tint": float(change[2]),
        "hue": _turned(broad_before, broad_after),
        "softness": 1.0 - _ratio(result_texture.detail, source_texture.detail, 1e-3),
        "grain": result_texture.noise / max(contrast, 0.25) - source_texture.noise,
        "pixelation": _pixelation(source_texture, result_texture),
        "flatness": result_texture.flatness - source_texture.flatness,
        "posterization": result_texture.spikiness - source_texture.spikiness,
        "bloom": _bloom(greys(broad_before), greys(broad_after)),
        "motion": _ratio(
            _restlessness(result.small[matched[pairs]], result.small[matched[pairs + 1]]),
            _restlessness(source.small[pairs], source.small[pairs + 1]),
            _MOTION_FLOOR,
        ),
    }


def adherence(measured: Mapping[str, float], wanted: Mapping[str, float]) -> float:
    """Return how far a measured change goes toward the wanted look, 0..1.

    Nothing changed is 0. Half the way is less than half as good, far beyond the target is worse
    than on it, and a change of what should have stayed counts against it: much when the look says
    that it stays, less when the look does not speak of it.

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
    named = [key for key in wanted if _says_something(key, wanted[key])]
    target = np.array([steps(key, wanted[key]) for key in named])
    seen = np.array([_toward(key, measured, wanted[key]) for key in named])
    size = max(float(np.linalg.norm(target)), 1e-9)
    along = float(seen @ target) / (size * size)
    if along <= 0:
        return 0.0
    across = seen - target * along
    kept = [
        steps(key, measured.get(key, _neutral(key))) for key in COLOUR & wanted.keys() - set(named)
    ]
    off = math.hypot(*across.tolist(), *kept)
    aside = math.hypot(
        *(steps(key, measured[key]) for key in COLOUR & measured.keys() - wanted.keys())
    )
    return (
        _reached(along)
        * _near(off - _EXACT * size)
        * math.exp(-0.2 * max(0.0, aside - _TOLERATED_STEPS))
    )


def _says_something(key: str, value: float) -> bool:
    return abs(steps(key, value)) >= (_NAMED if key in COLOUR else _NAMED_TEXTURE)


def _toward(key: str, measured: Mapping[str, float], value: float) -> float:
    """Return the measured steps; those of texture within bounds, the rest is for artifacts."""
    seen, target = steps(key, measured.get(key, _neutral(key))), steps(key, value)
    if key in COLOUR:
        return seen
    low, high = sorted((0.0, 2.0 * target))
    return min(max(seen, low), high)


def sameness(measured: Mapping[str, float]) -> float:
    """Return how much the colours stayed as they were, 0..1, where no effect was asked for."""
    return _near(math.hypot(*(steps(key, measured[key]) for key in COLOUR & measured.keys())))


def amount(measured: Mapping[str, float]) -> float:
    """Return how much was changed at all, 0..1, for an effect without a wanted look.

    Only what somebody may have wanted counts: lost detail, noise and another motion are damage
    until a look asks for them.
    """
    changes = [steps(key, measured[key]) for key in (COLOUR | _DRAWN) & measured.keys()]
    sharper = min(0.0, steps("softness", measured.get("softness", 0.0)))
    return 1.0 - math.exp(-math.hypot(*changes, sharper) / 2.0)


def _near(off: float) -> float:
    """Return 1 within a fraction of a visible step, and less and less the more steps it is off."""
    return math.exp(-math.pow(max(0.0, off - _JUST_VISIBLE) / _STEPS_OFF, 1.3))


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
        return math.pow(along / _ENOUGH, 2.0)
    beyond = max(0.0, along - _TOO_MUCH)
    return max(0.2, 1.0 - 0.5 * beyond)


def fit(frames: Pixels, shape: tuple[int, ...]) -> Pixels:
    """Return frames at the size of ``shape``, as they are when they have it."""
    if frames.shape[1:3] == shape[1:3]:
        return frames
    size = (shape[2], shape[1])
    fitted = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.asarray(fitted, dtype=np.uint8)


def _broad(frames: Pixels) -> Pixels:
    """Return frames so small that neither noise nor sharpening counts as colour or contrast."""
    size = (max(8, frames.shape[2] // _BROAD), max(8, frames.shape[1] // _BROAD))
    tiny = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.asarray(tiny, dtype=np.uint8)


def _colour(frames: Pixels) -> Numbers:
    """Return mean luma, warmth and tint."""
    blue, green, red = frames.mean(axis=(0, 1, 2)) / 255.0
    luma = 0.114 * blue + 0.587 * green + 0.299 * red
    return np.array([luma, red - blue, green - (red + blue) / 2], dtype=np.float32)


def _contrast(frames: Pixels) -> float:
    return float(np.mean(greys(frames).std(axis=(1, 2)))) / 255.0


def _chroma(frames: Pixels) -> float:
    return float((frames.max(axis=3) - frames.min(axis=3)).mean()) / 255.0


def _turned(before: Pixels, after: Pixels) -> float:
    """Return the turn that brings the colours of coarse cells closest to those before.

    The least-squares rotation between two sets of points, weighted with how well it explains them:
    a cast moves all colours and turns none, and what lost its colour has no turn.
    """
    one, other = _chroma_cells(before), _chroma_cells(after)
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    if size < 1e-6:
        return 0.0
    turn = complex(np.vdot(one, other)) / size
    return math.atan2(turn.imag, turn.real) / math.pi * min(1.0, abs(turn) * 1.2)


def _chroma_cells(frames: Pixels) -> NDArray[np.complex128]:
    """Return the chroma of cells as complex numbers about their mean, nearly grey ones as none."""
    lab = np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2Lab) for frame in frames]).astype(np.float64)
    chroma = (lab[..., 1] + 1j * lab[..., 2]).ravel()
    chroma -= chroma.mean()
    return chroma if float(np.abs(chroma).mean()) > _LEAST_CHROMA else np.zeros_like(chroma)


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
