"""The style of a clip, by name: from its numbers alone, or from what an effect changed in them.

Numbers of tone, surface and detail of a few frames are compared with those of fifteen styles, after
Fisher's linear discriminants. Against the input the same numbers tell far more than alone: whether
a dark clip was made dark or was shot at night. ``styles.json`` beside this file holds the
directions and the middle of each style; ``python -m benchmarks.styles`` makes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from media import surface
from media.frames import Footage, Numbers, Pixels
from media.motion import greys
from media.texture import detail_size, texture
from media.tone import tone

NATURAL: Final = "natural"
"""No style: nothing was done, or nothing to speak of."""
FEATURES: Final = 64
_SHOWN: Final = 12
_CLOSE: Final = 4
_SIDE: Final = 320
_SCALES: Final = (0.7, 1.4, 2.8, 5.6)
_QUANTILES: Final = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
_SHRINK: Final = 0.12
"""How much of the spread within styles is taken as equal in all directions."""

_STRONG_CLAIMS: Final = frozenset({"painterly", "dreamy", "sepia", "toon", "vhs", "pixelated"})
_CLAIMED: Final = 0.5

Vector = NDArray[np.float64]


class Styles(Struct, frozen=True, kw_only=True):
    """Discriminants: numbers are centred, scaled, projected, and compared with the middles."""

    names: tuple[str, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    directions: tuple[tuple[float, ...], ...]
    middles: tuple[tuple[float, ...], ...]


class StyleBook(Struct, frozen=True, kw_only=True):
    """What is shipped: one for clips alone, one for what an effect changed."""

    alone: Styles
    against: Styles


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A style and how sure that is, 0..1; ``near`` is the runner-up."""

    name: str
    confidence: float
    near: str = ""


def shipped() -> StyleBook:
    """Read the book beside this file."""
    return msgspec.json.decode(Path(__file__).with_name("styles.json").read_bytes(), type=StyleBook)


def name_style(footage: Footage, book: StyleBook) -> Named:
    """Name the style of a clip that nothing is known about."""
    return settled(nearest(features(footage), book.alone))


def settled(named: Named) -> Named:
    """Return the runner-up where the first is a strong claim and not sure enough.

    That a clip was painted or toned takes more than to be likeliest.
    """
    if named.name in _STRONG_CLAIMS and named.confidence < _CLAIMED:
        return Named(name=named.near, confidence=1 - named.confidence, near=named.name)
    return named


def name_change(source: Footage, result: Footage, book: StyleBook) -> Named:
    """Name the style that was put on a clip; ``natural`` when it is as it was."""
    return nearest(features(result) - features(source), book.against)


def nearest(numbers: Vector, styles: Styles) -> Named:
    """Return the style whose middle is nearest."""
    place = (numbers - np.asarray(styles.centre)) / np.asarray(styles.scale)
    seen = np.asarray(styles.directions) @ place
    apart = ((np.asarray(styles.middles) - seen) ** 2).sum(axis=1) / 2
    weight = np.exp(apart.min() - apart)
    order = np.argsort(apart)
    return Named(
        name=styles.names[int(order[0])],
        confidence=float(weight.max() / weight.sum()),
        near=styles.names[int(order[1])],
    )


def fit(rows: Vector, labels: list[str]) -> Styles:
    """Learn the discriminants of labelled numbers."""
    names = tuple(sorted(set(labels)))
    centre, scale = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    standard = (rows - centre) / scale
    which = np.array([names.index(label) for label in labels])
    middles = np.stack([standard[which == at].mean(axis=0) for at in range(len(names))])
    within = standard - middles[which]
    spread = within.T @ within / max(1, len(rows) - len(names))
    even = np.eye(len(spread)) * np.trace(spread) / len(spread)
    values, vectors = np.linalg.eigh((1 - _SHRINK) * spread + _SHRINK * even)
    whiten = vectors / np.sqrt(values)
    between = (middles - middles.mean(axis=0)) @ whiten
    _, _, axes = np.linalg.svd(between, full_matrices=False)
    directions = (whiten @ axes[: len(names) - 1].T).T
    return Styles(
        names=names,
        centre=_rounded(centre),
        scale=_rounded(scale),
        directions=tuple(_rounded(row) for row in directions),
        middles=tuple(_rounded(row) for row in middles @ directions.T),
    )


def _rounded(values: Vector) -> tuple[float, ...]:
    return tuple(float(f"{value:.5g}") for value in values.tolist())


def features(footage: Footage) -> Vector:
    """Return the numbers that styles are compared by, ``FEATURES`` of them."""
    shown = footage.small[np.unique(np.linspace(0, len(footage) - 1, _SHOWN).astype(int))]
    colour = _some(footage.colour) or list(shown[:_CLOSE])
    full = _some(footage.full) or list(greys(shown[:_CLOSE]))
    return np.concatenate(
        (
            _light(shown),
            _surface(footage, full, colour),
            np.mean([_layers(frame) for frame in colour], axis=0),
        )
    ).astype(np.float64)


def _some(frames: tuple[Pixels, ...]) -> list[Pixels]:
    picked = np.unique(np.linspace(0, len(frames) - 1, _CLOSE).astype(int)) if frames else ()
    return [frames[at] for at in picked]


def _light(shown: Pixels) -> Vector:
    lab = cv2.cvtColor(shown.reshape(1, -1, 3), cv2.COLOR_BGR2Lab)[0].astype(np.float64)
    light, a, b = lab[:, 0], lab[:, 1] - 128, lab[:, 2] - 128
    chroma = np.hypot(a, b)
    toned = tone(shown)
    return np.array(
        [
            light.mean(),
            light.std(),
            *np.quantile(light, _QUANTILES),
            a.mean(),
            b.mean(),
            np.log(a.std() + 1),
            np.log(b.std() + 1),
            np.log(chroma.mean() + 1),
            *np.log(np.quantile(chroma, (0.1, 0.5, 0.9)) + 1),
            toned.cast,
            toned.shadow_a,
            toned.shadow_b,
            toned.light_b,
            toned.light_b - toned.shadow_b,
            np.log(toned.stray + 1),
            (shown.min(axis=3) < 4).mean(),
            (shown.max(axis=3) > 251).mean(),
        ]
    )


def _surface(footage: Footage, full: list[Pixels], colour: list[Pixels]) -> Vector:
    worn = texture(footage, detail_size(footage.width, footage.height))
    measured = [
        np.mean([measure(frame) for frame in frames])
        for measure, frames in (
            (surface.sharpness, full),
            (partial(surface.sharpness, side=_SIDE), full),
            (surface.halos, full),
            (surface.parted, colour),
            (surface.lines, full),
            (surface.tones, full),
        )
    ]
    measured[3], measured[4] = np.log(measured[3] + 1), np.log(measured[4] + 1)
    return np.array(
        [
            *measured,
            np.log(worn.detail + 0.01),
            np.log(worn.noise * 255 + 0.3),
            worn.blockiness,
            worn.mosaic,
            worn.flatness,
            worn.spikiness,
        ]
    )


def _layers(frame: Pixels) -> Vector:
    """Return how strongly simple filters answer, as the first layers of a network would."""
    scale = min(1.0, _SIDE / max(frame.shape[:2]))
    size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    lab = cv2.cvtColor(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2Lab)
    found: list[float] = []
    for channel in range(3):
        plain = lab[..., channel].astype(np.float32)
        found += _bands(plain)
        if channel == 0:
            found += _shapes(plain)
    return np.asarray(found)


def _bands(plain: Numbers) -> list[float]:
    blurred = [plain, *(cv2.GaussianBlur(plain, (0, 0), sigma) for sigma in _SCALES)]
    found = []
    for one, other in pairwise(blurred):
        answer = np.abs(one - other)
        found.append(float(np.log(answer.mean() + 0.05)))
    return found


def _shapes(plain: Numbers) -> list[float]:
    """Return dark and bright thin lines, calm and busy places, upright and level edges."""
    kernel = np.ones((5, 5), np.uint8)
    dark = cv2.morphologyEx(plain, cv2.MORPH_BLACKHAT, kernel)
    bright = cv2.morphologyEx(plain, cv2.MORPH_TOPHAT, kernel)
    mean = cv2.blur(plain, (7, 7))
    local = np.sqrt(np.maximum(cv2.blur(plain * plain, (7, 7)) - mean * mean, 0))
    across, down = (np.abs(cv2.Sobel(plain, cv2.CV_32F, *way)) for way in ((1, 0), (0, 1)))
    steep = np.hypot(across, down)
    low = cv2.erode(plain, np.ones((9, 9), np.uint8))
    return [
        *(float(np.log(thin.mean() + 0.1)) for thin in (dark, bright)),
        float(np.log((dark.mean() + 0.5) / (bright.mean() + 0.5))),
        *(float(np.log(each + 0.3)) for each in np.quantile(local, (0.1, 0.3, 0.5, 0.7, 0.9))),
        float(np.log((across.mean() + 1) / (down.mean() + 1))),
        float((steep < 4).mean()),
        float((steep > 60).mean()),
        float(np.log(steep[steep >= np.quantile(steep, 0.95)].mean() + 1)),
        float((mean - low).mean()),
        float(np.corrcoef(local.ravel(), mean.ravel())[0, 1]) if local.std() > 0 else 0.0,
        float((np.abs(plain - mean) < 2).mean()),
    ]
