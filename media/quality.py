"""How good a result is: pixels in, numbers out.

Each dimension is measured so that damage lowers it and the wanted effect does not.

fidelity    is it still the same clip? ``media.quality_content``
artifacts   blocks, blur, halos, noise, bands and mosaic of the result beyond the input's and beyond
            what the look asks for. ``media.texture``
temporal    against the input's own motion. ``media.quality_time``
style       how far the measured change goes toward the wanted look; ``media.looks``.

``media.quality_scale`` maps the measures to 0..1 and weighs them; ``media.quality_blocks`` says how
sure the numbers are and where in the clip they come from. The composite is a weighted geometric
mean, so one ruined dimension cannot be bought back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media import looks, quality_scale, scenes
from media.frames import Footage, Pixels
from media.motion import greys
from media.quality_blocks import Blocks
from media.quality_content import edge_grid, hash_distance, perceptual_hash, rank_correlation
from media.quality_scale import EVEN, WEIGHTS, Wanted, composite
from media.quality_time import Moved, motion, moved
from media.texture import Texture, detail_size, mean_texture, textures

__all__ = [
    "EVALUATOR_VERSION",
    "EVEN",
    "NO_EFFECT",
    "WEIGHTS",
    "Moment",
    "Reference",
    "Verdict",
    "composite",
    "evaluate",
    "unknown",
]

EVALUATOR_VERSION: Final = "pixels-2"
"""Goes up with every change of a number below; scores of two versions are not compared."""

NO_EFFECT: Final = ""
"""The effect type of a copy, a transcode or a repair: nothing should have changed."""
DEFAULT_LOOKS: Final[Mapping[str, Mapping[str, float]]] = {
    "color_correction": {"warmth": 0.06, "contrast": 1.1, "saturation": 1.1},
}
"""What an effect type is about when the provider names no look."""

_LEAST_FRAMES: Final = 2
_SURE_FRAMES: Final = 24
_SAMPLES: Final = 48
"""Most frames whose content is compared."""
_LENGTH_TOLERANCE: Final = 0.02
_DARK: Final = 3.0 / 255.0
_WORST: Final = 3
_WORSE_BY: Final = 0.05
"""How far a moment's composite lies under the clip's to be told."""
_INTERVAL: Final = (5.0, 95.0)
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The quality of one stretch of time."""

    start_ms: int
    end_ms: int
    fidelity: float
    artifacts: float
    temporal_consistency: float
    composite: float


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
    low: float = 0.0
    """Nine of ten times the composite lies between ``low`` and ``high``."""
    high: float = 1.0
    curve: tuple[Moment, ...] = ()
    """Second by second."""
    scenes: tuple[Moment, ...] = ()
    worst: tuple[Moment, ...] = ()
    extra: Mapping[str, float] = field(default_factory=dict)
    """What plugged-in metrics say; it is told and not weighed."""


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


class Reference:
    """An input, measured once for all results that are made from it."""

    def __init__(self, footage: Footage) -> None:
        self.footage = footage
        cuts = set(scenes.cuts(footage))
        self.cuts = tuple(sorted(cuts))
        self.starts = [i for i in range(len(footage) - 1) if i + 1 not in cuts]
        self.motion = motion(greys(footage.small), self.starts)
        self.picked = np.unique(np.linspace(0, len(footage) - 1, _SAMPLES).astype(int))
        self.edges = [edge_grid(self.motion.grey[i]) for i in self.picked]
        self.hashes = [perceptual_hash(self.motion.grey[i]) for i in self.picked]
        self.size = detail_size(footage.width, footage.height)
        self.textures = textures(footage, self.size)


def evaluate(
    source: Footage | Reference,
    result: Footage,
    *,
    effect_type: str,
    look: Mapping[str, float],
    prefix: bool = False,
) -> Verdict:
    """Compare a result with the clip it was made from.

    With ``NO_EFFECT`` and no look, style is how little the colours changed. With ``prefix`` both
    clips are the beginning of longer ones, so another length is no finding.
    """
    footage = source.footage if isinstance(source, Reference) else source
    if min(len(footage), len(result)) < _LEAST_FRAMES:
        return unknown("fewer than two frames, there is nothing to compare")
    reference = source if isinstance(source, Reference) else Reference(source)
    return _Comparison(reference, result, effect_type, look, prefix=prefix).verdict()


class _Comparison:
    """A result beside its input, at the same size and the same times."""

    def __init__(
        self,
        reference: Reference,
        result: Footage,
        effect_type: str,
        look: Mapping[str, float],
        *,
        prefix: bool,
    ) -> None:
        self.reference, self.source, self.result = reference, reference.footage, result
        self.effect_type, self.prefix = effect_type, prefix
        self.unmeasured = tuple(sorted(look.keys() - looks.STEP.keys()))
        self.named = {key: value for key, value in look.items() if key in looks.STEP}
        self.wanted = self.named or DEFAULT_LOOKS.get(effect_type, {})
        matched = looks.match(self.source, result)
        # greys first: a matched copy in colour would be three times as large
        grey = looks.fit(greys(result.small), self.source.small.shape)[matched]
        self.motion = motion(grey, reference.starts)
        self.textures = textures(result, reference.size)
        self.look = looks.compare(
            self.source,
            mean_texture(reference.textures),
            result,
            mean_texture(self.textures),
            matched,
        )
        self.moved = moved(reference.motion, self.motion, self.source.times_ms, reference.starts)
        self.structure, self.distance = self._content()
        self.blocks = Blocks(self.source.duration_ms, self._series())
        self.blank = self.look["contrast"] < 0.1 or _spread(grey) < _DARK

    def verdict(self) -> Verdict:
        """Measure everything."""
        whole = self._parts(self.blocks.whole())
        drawn = self._composites(self._parts(self.blocks.drawn()))
        low, high = np.percentile(drawn, _INTERVAL)
        fidelity, clean, style, temporal = (float(part[0]) for part in whole)
        overall = float(self._composites(whole)[0])
        curve = self._moments(self.blocks.single(), self.blocks.edges)
        worst = sorted(curve, key=lambda moment: moment.composite)[:_WORST]
        return Verdict(
            fidelity=_unit(fidelity),
            artifacts=_unit(1.0 - clean),
            style_adherence=_unit(style),
            temporal_consistency=_unit(temporal),
            perceptual_hash_distance=_unit(float(self.distance.mean())),
            composite=_unit(overall),
            confidence=self._confidence(float(high - low)),
            findings=self._findings(),
            look=self.look,
            low=_unit(min(float(low), overall)),
            high=_unit(max(float(high), overall)),
            curve=curve,
            scenes=self._scenes(),
            worst=tuple(each for each in worst if each.composite < overall - _WORSE_BY),
        )

    def _content(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        alike, apart = [], []
        for at, edges, hashed in zip(
            self.reference.picked, self.reference.edges, self.reference.hashes, strict=True
        ):
            grey = self.motion.grey[at]
            alike.append(rank_correlation(edges, edge_grid(grey)))
            apart.append(hash_distance(hashed, perceptual_hash(grey)))
        return np.asarray(alike), np.asarray(apart)

    def _series(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        pairs = self.source.times_ms[:-1]
        picked = self.source.times_ms[self.reference.picked]
        series = {name: (pairs, getattr(self.moved, name)) for name in Moved.__slots__}
        series |= {"structure": (picked, self.structure), "distance": (picked, self.distance)}
        for end, footage, each in (
            ("in", self.source, self.reference.textures),
            ("out", self.result, self.textures),
        ):
            times = footage.times_ms[list(footage.full_at)] if footage.full else np.zeros(1)
            for name in Texture.__slots__:
                values = np.asarray([getattr(one, name) for one in each])
                series[f"{name}_{end}"] = (times, values)
        return series

    def _parts(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return fidelity, clean, style and temporal for each row of weights."""
        means = self._filled(weights)
        look = self.wanted
        wanted = Wanted(
            softness=look.get("softness", 0.0),
            grain=look.get("grain", 0.0),
            pixelation=look.get("pixelation", 0.0),
            flatness=look.get("flatness", 0.0),
            posterization=look.get("posterization", 0.0),
            lines="softness" not in look,
            contrast=self.look["contrast"],
        )
        length = self.length_match
        clean = 1.0 - quality_scale.artifacts(means, wanted)
        return np.stack(
            (
                quality_scale.fidelity(means) * length,
                np.zeros_like(clean) if self.blank else clean,
                np.full_like(clean, self._style()),
                quality_scale.temporal(means, wanted) * length,
            )
        )

    def _filled(self, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return means; what a choice of blocks did not see is taken from the whole clip."""
        whole = self.blocks.means(self.blocks.whole())
        told = self.blocks.means(weights, absent=np.nan)
        return {
            name: np.where(np.isfinite(values), values, whole[name])
            for name, values in told.items()
        }

    def _style(self) -> float:
        if self.wanted:
            return looks.adherence(self.look, self.wanted)
        if self.effect_type == NO_EFFECT:
            return looks.sameness(self.look)
        return looks.amount(self.look)

    def _composites(self, parts: NDArray[np.float64]) -> NDArray[np.float64]:
        return quality_scale.composites(parts, self.effect_type)

    def _moments(
        self, weights: NDArray[np.float64], edges: NDArray[np.float64]
    ) -> tuple[Moment, ...]:
        parts = self._parts(weights)
        overall = self._composites(parts)
        return tuple(
            Moment(
                start_ms=round(float(edges[i])),
                end_ms=round(float(edges[i + 1])),
                fidelity=_unit(parts[0, i]),
                artifacts=_unit(1.0 - parts[1, i]),
                temporal_consistency=_unit(parts[3, i]),
                composite=_unit(overall[i]),
            )
            for i in range(weights.shape[0])
        )

    def _scenes(self) -> tuple[Moment, ...]:
        times = self.source.times_ms
        edges = np.asarray(
            [0.0, *(float(times[cut]) for cut in self.reference.cuts), self.source.duration_ms]
        )
        weights = [self.blocks.span(edges[i], edges[i + 1]) for i in range(len(edges) - 1)]
        return self._moments(np.concatenate(weights), edges)

    @property
    def length_match(self) -> float:
        """The shorter length in shares of the longer; small differences do not count."""
        if self.prefix:
            return 1.0
        shorter, longer = sorted((self.source.duration_ms, self.result.duration_ms))
        share = shorter / longer
        frame = 2.0 * self.source.duration_ms / len(self.source) / longer
        return 1.0 if 1.0 - share <= max(_LENGTH_TOLERANCE, frame) else share

    def _confidence(self, spread: float) -> float:
        """Return how sure the verdict is: frames seen, a target to go by, agreement over time."""
        sure = min(1.0, len(self.result) / _SURE_FRAMES) * (1.0 - min(spread, 0.5))
        sure *= 0.95 if self.named or self.effect_type == NO_EFFECT else 0.7
        return _unit(sure * self.length_match * (0.5 if self.result.damaged else 1.0))

    def _findings(self) -> tuple[str, ...]:
        source, result = self.source, self.result
        found = []
        if self.length_match < 1.0:
            found.append(
                f"lasts {result.duration_ms:.0f} ms, the input {source.duration_ms:.0f} ms"
            )
        if (result.width, result.height) != (source.width, source.height):
            found.append(
                f"is {result.width}x{result.height}, the input {source.width}x{source.height}"
            )
        if self.blank:
            found.append("shows almost nothing")
        frozen = self.moved.frozen[np.isfinite(self.moved.frozen)]
        if frozen.size and frozen.mean() > 0.2:
            found.append(f"{frozen.mean():.0%} of the moving frames stand still")
        if result.damaged:
            found.append("breaks off while decoding")
        found += [f"the look {key!r} is not measured" for key in self.unmeasured]
        return tuple(found)


def _spread(grey: Pixels) -> float:
    return float(grey.std(axis=(1, 2)).mean()) / 255.0


def _unit(value: float) -> float:
    return round(min(max(float(value), 0.0), 1.0), _DIGITS)
