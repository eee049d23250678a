"""The ladder of damage: what the evaluator says of clips that get worse step by step.

Frames are damaged as ``tests.degradations`` does it and scored as if they had just been decoded;
the family ``coding`` goes through a real coder. Each job is one clip under one look with one
family, so all cores have work.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from media import quality
from media.frames import Footage
from media.looks import measure_look
from media.quality import NO_EFFECT, Reference, Verdict
from tests.degradations import FAMILIES, LEVELS, Family, Frame
from tests.degradations_unseen import LOOKS, UNSEEN
from tests.unit.media_analysis.clips import footage, read_frames

PLAIN: Final = "plain"
DIMENSIONS: Final = ("fidelity", "artifacts", "style_adherence", "temporal_consistency")
HONEST_LEVEL: Final = 2
_COLOURS: Final = frozenset({"fidelity", "artifacts", "temporal_consistency"})
"""A family that spares all of these changes the colours only: under a look, it is a wrong look."""
_RAISED: Final = 0.01
Table = NDArray[np.float64]
"""Six levels by composite and the four dimensions."""


class Cut(Struct, frozen=True, kw_only=True):
    """Some frames of a clip, at the size at which they are damaged."""

    name: str
    path: Path
    size: tuple[int, int]
    first: int
    count: int = 48

    def frames(self) -> list[Frame]:
        """Decode them."""
        return read_frames(self.path, size=self.size, first=self.first, count=self.count)


class Rung(Struct, frozen=True, kw_only=True):
    """One clip under one look with one family of damage, scored at every level."""

    clip: str
    look: str
    family: str
    levels: list[list[float]]
    changed: bool
    """False where the damage does nothing, such as less colour in a grey clip."""

    @property
    def table(self) -> Table:
        """Return levels by composite and dimensions."""
        return np.asarray(self.levels)


def climb(cuts: Sequence[Cut], looks: Sequence[str], families: Sequence[Family]) -> list[Rung]:
    """Score every family at every level on every clip under every look."""
    jobs = [(cut, look, family.name) for cut in cuts for look in looks for family in families]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(_rung, *zip(*jobs, strict=True), chunksize=11))


def _rung(cut: Cut, look: str, name: str) -> Rung:
    cv2.setNumThreads(1)
    [chosen] = [each for each in (*FAMILIES, *UNSEEN) if each.name == name]
    reference, styled = _prepared(cut, look)
    wanted = {} if look == PLAIN else measure_look(reference.footage, footage(styled))
    effect = NO_EFFECT if look == PLAIN else "style_transfer"
    damaged = [chosen.at(styled, level) for level in range(LEVELS)]
    said = [scored(reference, footage(each), effect, wanted) for each in damaged]
    levels = [[each.composite, *(getattr(each, name) for name in DIMENSIONS)] for each in said]
    changed = any(not np.array_equal(styled[i], damaged[-1][i]) for i in range(len(styled)))
    return Rung(clip=cut.name, look=look, family=chosen.name, levels=levels, changed=changed)


@lru_cache(maxsize=1)
def _prepared(cut: Cut, look: str) -> tuple[Reference, list[Frame]]:
    """Return the input and its frames with the look, which all families of a clip share."""
    frames = cut.frames()
    return Reference(footage(frames)), styled_as(look, frames)


def styled_as(look: str, frames: Sequence[Frame]) -> list[Frame]:
    """Return frames with a look put on."""
    if look == PLAIN:
        return list(frames)
    [done] = [each for each in LOOKS if each.__name__ == look]
    return [done(frame) for frame in frames]


def scored(
    reference: Reference, result: Footage, effect: str, wanted: Mapping[str, float]
) -> Verdict:
    """Score a result."""
    return quality.evaluate(reference, result, effect_type=effect, look=wanted)


def cheats(cuts: Sequence[Cut], looks: Sequence[str]) -> tuple[int, int]:
    """Return how many tricks rank below every honest result, and how many there are."""
    jobs = [
        (cut, cuts[(at + 1) % len(cuts)], look) for at, cut in enumerate(cuts) for look in looks
    ]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(_tricked, *zip(*jobs, strict=True)))
    return sum(below for below, _ in found), sum(tried for _, tried in found)


def _tricked(cut: Cut, stranger: Cut, look: str) -> tuple[int, int]:
    cv2.setNumThreads(1)
    frames = cut.frames()
    reference = Reference(footage(frames))
    styled = styled_as(look, frames)
    wanted = measure_look(reference.footage, footage(styled))
    size = (frames[0].shape[1], frames[0].shape[0])
    foreign = [np.asarray(cv2.resize(each, size), np.uint8) for each in stranger.frames()]
    tricks = [
        [styled[len(styled) // 2]] * len(styled),
        [styled[0]] * len(styled),
        [np.zeros_like(frames[0])] * len(frames),
        list(frames),
        styled_as(look, foreign),
        *(styled_as(other.__name__, frames) for other in LOOKS if other.__name__ != look),
    ]
    said = [scored(reference, footage(each), "style_transfer", wanted) for each in tricks]
    honest = [
        scored(reference, footage(family.at(styled, HONEST_LEVEL)), "style_transfer", wanted)
        for family in FAMILIES
        if not family.spares >= _COLOURS
    ]
    below = 0
    for effect in quality.WEIGHTS:
        least = min(_composite(each, effect) for each in honest)
        below += sum(_composite(each, effect) < least for each in said)
    return below, len(tricks) * len(quality.WEIGHTS)


def _composite(verdict: Verdict, effect: str) -> float:
    """Return the composite as another effect type weighs it."""
    parts = (
        verdict.fidelity,
        1.0 - verdict.artifacts,
        verdict.style_adherence,
        verdict.temporal_consistency,
    )
    return quality.composite(parts, effect)


def rank_order(values: Sequence[float]) -> float:
    """Return Spearman's correlation of falling values with their level: 1 is always lower."""
    levels = _ranks(np.arange(len(values), dtype=np.float64))
    falling = _ranks(-np.round(np.asarray(values), 4))
    if float(np.ptp(falling)) == 0.0:
        return 0.0
    return float(np.corrcoef(levels, falling)[0, 1])


def _ranks(values: Table) -> Table:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Table = (np.cumsum(counts) - counts / 2.0)[inverse]
    return ranks


def orders(rungs: Iterable[Rung]) -> list[tuple[str, float]]:
    """Return for each rung that changed anything its clip and how well the order holds."""
    return [(each.clip, rank_order(each.table[:, 0].tolist())) for each in rungs if each.changed]


def separation(rungs: Iterable[Rung]) -> float:
    """Return how surely a score tells levels 0 and 1 from 3 and more (area under the curve)."""
    tables = [each.table[:, 0] for each in rungs if each.changed]
    good = np.concatenate([table[:2] for table in tables])
    bad = np.concatenate([table[3:] for table in tables])
    higher, same = good[:, None] > bad[None, :], good[:, None] == bad[None, :]
    return float(higher.mean() + same.mean() / 2)


def drifts(rungs: Iterable[Rung]) -> list[tuple[float, str]]:
    """Return how far each dimension moves that a family should spare, the farthest first."""
    spared = {family.name: family.spares for family in (*FAMILIES, *UNSEEN)}
    found = []
    for each in rungs:
        for name in spared[each.family]:
            column = each.table[:, 1 + DIMENSIONS.index(name)]
            moved = float(np.abs(column - column[0]).max())
            found.append((moved, f"{each.family} on {each.clip}: {name}"))
    return sorted(found, reverse=True)


def raised(rungs: Iterable[Rung]) -> list[str]:
    """Return where damage raised the composite."""
    return [
        f"{each.family} on {each.clip} under {each.look}"
        for each in rungs
        if each.table[1:, 0].max() > each.table[0, 0] + _RAISED
    ]
