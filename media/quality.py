"""How good a result is: pixels in, numbers out.

Each dimension is measured so that damage lowers it and the wanted effect does not.

fidelity    is it still the same clip? The order of edge strengths on a coarse grid, which every
            look keeps and other content does not; whether things move as they did; a perceptual
            hash.
artifacts   blocks, blur, noise and lost structure of the result beyond the input's and beyond
            what the look asks for.
temporal    against the input's own motion: error after motion compensation along the *input's*
            flow, flicker, frozen frames, and flow that differs. Measured on the result alone the
            first two would reward frozen and blurred results.
style       how far the measured change goes toward the wanted look; see ``media.looks``.

The composite is a weighted geometric mean, so one ruined dimension cannot be bought back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from media import looks, scenes
from media.frames import Footage, Numbers, Pixels
from media.motion import Flow, carry_back, greys
from media.texture import Texture, detail_size, texture

EVALUATOR_VERSION: Final = "pixels-1"
"""Goes up with every change of a number below; scores of two versions are not compared."""

WEIGHTS: Final[Mapping[str, tuple[float, float, float, float]]] = {
    "color_correction": (0.25, 0.25, 0.25, 0.25),
    "style_transfer": (0.20, 0.20, 0.35, 0.25),
    "motion_enhancement": (0.25, 0.20, 0.20, 0.35),
}
"""Fidelity, clean of artifacts, style adherence, temporal consistency."""
_EVEN: Final = (0.25, 0.25, 0.25, 0.25)
DEFAULT_LOOKS: Final[Mapping[str, Mapping[str, float]]] = {
    "color_correction": {"warmth": 0.06, "contrast": 1.1, "saturation": 1.1},
}
"""What an effect type is about when the provider names no look."""

_FLOOR: Final = 0.02
_LEAST_FRAMES: Final = 2
_SURE_FRAMES: Final = 24
_SAMPLES: Final = 24
_GRID: Final = (80, 45)
_STRUCTURE: Final = ((-1.0, 0.15, 0.35, 0.5, 0.75, 1.0), (0.0, 0.0, 0.5, 0.85, 0.96, 1.0))
"""Rank correlation of edge strength to fidelity: other content stays under 0.2."""
_HASH: Final = ((0.0, 0.1, 0.3, 0.42, 0.5), (1.0, 1.0, 0.9, 0.35, 0.1))
_LENGTH_TOLERANCE: Final = 0.02
_MOVING: Final = 0.35
"""Grey levels from frame to frame above which a clip moves."""
_FROZEN: Final = 0.12
"""Share of the input's change below which a moving pair counts as frozen."""
_CELLS: Final = (10, 6)
_DARK: Final = 6.0 / 255.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The quality of one result. ``known`` is false when nothing could be measured."""

    fidelity: float
    artifacts: float
    style_adherence: float
    temporal_consistency: float
    perceptual_hash_distance: float
    composite: float
    confidence: float
    findings: tuple[str, ...] = ()
    look: Mapping[str, float] = field(default_factory=dict)
    known: bool = True


def unknown(why: str) -> Verdict:
    """Return the verdict on a result that cannot be measured."""
    return Verdict(
        fidelity=0.0,
        artifacts=1.0,
        style_adherence=0.0,
        temporal_consistency=0.0,
        perceptual_hash_distance=1.0,
        composite=0.0,
        confidence=0.0,
        findings=(why,),
        known=False,
    )


def evaluate(
    source: Footage, result: Footage, *, effect_type: str, look: Mapping[str, float]
) -> Verdict:
    """Compare a result with the clip it was made from."""
    if min(len(source), len(result)) < _LEAST_FRAMES:
        return unknown("fewer than two frames, there is nothing to compare")
    unmeasured = tuple(sorted(look.keys() - looks.STEP.keys()))
    named = {key: value for key, value in look.items() if key in looks.STEP}
    wanted = named or DEFAULT_LOOKS.get(effect_type, {})
    pair = _Pair(source, result)
    measured = looks.compare(source, pair.texture_in, result, pair.texture_out, pair.matched)
    blank = measured["contrast"] < 0.1 or _spread(pair.after) < _DARK
    moved = _Movement.of(pair, measured["contrast"])
    structure, distance = _structure(pair.before, pair.after)
    fidelity = _fidelity(structure, distance, moved) * pair.length_match
    artifacts = 1.0 if blank else _artifacts(pair.texture_in, pair.texture_out, measured, wanted)
    style = looks.adherence(measured, wanted) if wanted else looks.amount(measured)
    temporal = moved.consistency() * pair.length_match
    sure = min(1.0, len(result) / _SURE_FRAMES) * (0.95 if named else 0.7)
    return Verdict(
        fidelity=_unit(fidelity),
        artifacts=_unit(artifacts),
        style_adherence=_unit(style),
        temporal_consistency=_unit(temporal),
        perceptual_hash_distance=_unit(distance),
        composite=composite((fidelity, 1.0 - artifacts, style, temporal), effect_type),
        confidence=_unit(sure * pair.length_match * (0.5 if result.damaged else 1.0)),
        findings=(
            *_findings(pair, moved, blank=blank),
            *(f"the look {key!r} is not measured" for key in unmeasured),
        ),
        look=measured,
    )


def composite(parts: tuple[float, float, float, float], effect_type: str) -> float:
    """Return the weighted geometric mean; a part of 0 weighs as ``_FLOOR``, so order remains."""
    weights = WEIGHTS.get(effect_type, _EVEN)
    total = sum(
        weight * math.log(max(_FLOOR, part)) for weight, part in zip(weights, parts, strict=True)
    )
    return _unit(math.exp(total))


class _Pair:
    """Two clips brought to the same size and the same times."""

    def __init__(self, source: Footage, result: Footage) -> None:
        self.source = source
        self.result = result
        self.matched = looks.match(source, result)
        self.before = greys(source.small)
        # greys first: a matched copy in colour would be three times as large
        self.after = looks.fit(greys(result.small), source.small.shape)[self.matched]
        size = detail_size(source.width, source.height)
        self.texture_in = texture(source, size)
        self.texture_out = texture(result, size)

    @property
    def length_match(self) -> float:
        """The shorter length in shares of the longer; small differences do not count."""
        shorter, longer = sorted((self.source.duration_ms, self.result.duration_ms))
        share = shorter / longer
        frame = 2.0 * self.source.duration_ms / len(self.source) / longer
        return 1.0 if 1.0 - share <= max(_LENGTH_TOLERANCE, frame) else share


@dataclass(frozen=True, slots=True, kw_only=True)
class _Movement:
    """How the result moves, against how the input does. Each is 0 when they agree."""

    warp: float
    flicker: float
    frozen: float
    mismatch: float

    @classmethod
    def of(cls, pair: _Pair, contrast: float) -> _Movement:
        """Measure every pair of neighbours that no cut parts."""
        cuts = set(scenes.cuts(pair.source))
        starts = [i for i in range(len(pair.source) - 1) if i + 1 not in cuts]
        flow = Flow()
        errors_in, errors_out, apart, speed = [], [], [], []
        for i in starts[:: 2 if len(starts) > _SURE_FRAMES else 1]:
            wanted = flow.between(pair.before[i], pair.before[i + 1])
            got = flow.between(pair.after[i], pair.after[i + 1])
            errors_in.append(_warp_error(pair.before[i], pair.before[i + 1], wanted))
            errors_out.append(_warp_error(pair.after[i], pair.after[i + 1], wanted))
            apart.append(float(np.linalg.norm(got - wanted, axis=2).mean()))
            speed.append(float(np.linalg.norm(wanted, axis=2).mean()))
        return cls(
            warp=max(0.0, math.log((_mean(errors_out) + 0.02) / (_mean(errors_in) + 0.02))),
            flicker=_flicker(pair, starts, contrast),
            frozen=_frozen(pair, starts, contrast),
            mismatch=min(1.0, _mean(apart) / (_mean(speed) + 0.25)),
        )

    def consistency(self) -> float:
        """Return 1 when the result moves as the input does."""
        cost = (
            0.7 * max(0.0, self.warp - 0.12)
            + 0.4 * math.log1p(max(0.0, self.flicker - 0.15))
            + 2.5 * self.frozen
            + 0.6 * max(0.0, self.mismatch - 0.15)
        )
        return math.exp(-cost)


def _fidelity(structure: float, distance: float, moved: _Movement) -> float:
    kept = float(np.interp(structure, *_STRUCTURE)) * float(np.interp(distance, *_HASH))
    return kept * (1.0 - 0.3 * max(0.0, moved.mismatch - 0.15) / 0.85)


def _structure(before: Pixels, after: Pixels) -> tuple[float, float]:
    """Return mean rank correlation of edge strength, and mean perceptual hash distance."""
    picked = np.linspace(0, len(before) - 1, min(_SAMPLES, len(before))).astype(int)
    alike = [_rank_correlation(_edges(before[i]), _edges(after[i])) for i in picked]
    apart = [float((_hash(before[i]) != _hash(after[i])).mean()) for i in picked]
    return _mean(alike), _mean(apart)


def _edges(grey: Pixels) -> Numbers:
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (3, 3), 0)
    strength = cv2.magnitude(
        cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    )
    return cv2.resize(strength, _GRID, interpolation=cv2.INTER_AREA).ravel().astype(np.float32)


def _rank_correlation(one: Numbers, other: Numbers) -> float:
    if float(np.ptp(one)) == 0.0 or float(np.ptp(other)) == 0.0:
        return 0.0
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: Numbers) -> NDArray[np.float64]:
    """Return ranks, the same for equal values."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - counts / 2.0)[inverse]
    return ranks


def _hash(grey: Pixels) -> NDArray[np.bool_]:
    """Return the 63 signs of the lowest frequencies, as pHash takes them."""
    tiny = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    lowest = cv2.dct(tiny)[:8, :8].ravel()[1:]
    return np.asarray(lowest > np.median(lowest))


def _artifacts(
    before: Texture, after: Texture, measured: Mapping[str, float], wanted: Mapping[str, float]
) -> float:
    """Return the share that is ruined: each kind of damage beyond the look takes its part."""
    mosaic_wanted = wanted.get("pixelation", 0.0) > 0
    soft_wanted = max(0.0, wanted.get("softness", 0.0))
    blocks = 0.0 if mosaic_wanted else max(0.0, after.blockiness - before.blockiness - 0.03)
    mosaic = max(0.0, measured["pixelation"] - wanted.get("pixelation", 0.0) - 0.1)
    blur = max(0.0, measured["softness"] - soft_wanted - 0.06)
    noise = max(0.0, measured["grain"] - max(0.0, wanted.get("grain", 0.0)) - 0.002)
    lost = max(0.0, measured["flatness"] - max(0.0, wanted.get("flatness", 0.0)) - 0.08)
    banding = max(
        0.0, measured["posterization"] - max(0.0, wanted.get("posterization", 0.0)) - 0.04
    )
    cost = 2.0 * banding + 3.0 * blocks + 1.5 * mosaic + 2.0 * blur + 45.0 * noise + 1.2 * lost
    return 1.0 - math.exp(-cost)


def _warp_error(first: Pixels, second: Pixels, flow: Numbers) -> float:
    spread = max(float(first.std()), 2.0)
    return float(np.abs(carry_back(second, flow) - first).mean()) / spread


def _flicker(pair: _Pair, starts: list[int], contrast: float) -> float:
    """Return how much more the light of coarse cells jumps to and fro than in the input."""
    following = set(starts)
    middles = np.array([i + 1 for i in starts if i + 1 in following], dtype=int)
    if not middles.size:
        return 0.0
    calm = _jumps(pair.before, middles)
    return max(0.0, _jumps(pair.after, middles) / min(max(contrast, 0.25), 2.0) - calm)


def _jumps(grey: Pixels, middles: NDArray[np.int_]) -> float:
    cells = np.stack(
        [cv2.resize(f.astype(np.float32), _CELLS, interpolation=cv2.INTER_AREA) for f in grey]
    )
    second = cells[middles + 1] - 2 * cells[middles] + cells[middles - 1]
    return float(np.abs(second).mean())


def _frozen(pair: _Pair, starts: list[int], contrast: float) -> float:
    """Return the share of moving pairs whose result stands still."""
    at = np.asarray(starts, dtype=int)
    before, after = _steps(pair.before, at), _steps(pair.after, at)
    moving = before > _MOVING
    if not moving.any():
        return 0.0
    still = after < _FROZEN * before * min(max(contrast, 0.1), 1.0)
    return float((moving & still).sum() / moving.sum())


def _steps(grey: Pixels, at: NDArray[np.int_]) -> NDArray[np.float64]:
    changes = [float(np.mean(cv2.absdiff(grey[i + 1], grey[i]))) for i in at]
    return np.asarray(changes, dtype=np.float64)


def _findings(pair: _Pair, moved: _Movement, *, blank: bool) -> tuple[str, ...]:
    source, result = pair.source, pair.result
    found = []
    if pair.length_match < 1.0:
        found.append(f"lasts {result.duration_ms:.0f} ms, the input {source.duration_ms:.0f} ms")
    if (result.width, result.height) != (source.width, source.height):
        found.append(f"is {result.width}x{result.height}, the input {source.width}x{source.height}")
    if blank:
        found.append("shows almost nothing")
    if moved.frozen > 0.2:
        found.append(f"{moved.frozen:.0%} of the moving frames stand still")
    if result.damaged:
        found.append("breaks off while decoding")
    return tuple(found)


def _spread(grey: Pixels) -> float:
    return float(grey.std(axis=(1, 2)).mean()) / 255.0


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _unit(value: float) -> float:
    return min(max(float(value), 0.0), 1.0)
