"""Which template of several a job gets, and what each has won so far. Pure.

A job's worth is the quality of the result it won, 0 when an admin refused that. A template's worth
is a Beta posterior over its jobs, each counted with the evaluator's confidence, so that a job whose
quality is unknown counts for nothing. The prior is what templates of the effect type win on
average: a template nobody knows stands there, and a lucky first job moves it little (empirical
Bayes; Efron and Morris 1975). Worths vary less than the coin tosses a Beta is made for, so the
intervals are wider than they need to be: it errs by learning slowly.

Jobs are shared out by how likely each template is the best (probability matching; Thompson 1933),
times its weight, and none gets less than the floor: without it a template that began badly could
never prove itself. The draw is the hash of the job's id.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from actors.prompt_generation.core import Template
from schemas.base import MICRO, JobId, MicroTokens

PRIOR_WORTH: Final = 0.7
PRIOR_JOBS: Final = 10
FLOOR: Final = 0.1
"""The least part of the jobs for each of several templates; half of an even part if they are many.
"""
_SPREAD: Final = 1.645
"""Nine of ten times the worth lies within so many deviations."""
_GRID: Final = 400


class Standing(Struct, frozen=True, kw_only=True):
    """What became of the jobs of one version of a template. Sums are integers, so exact."""

    effect_type: str
    template_id: str
    version: int
    jobs: int = 0
    """Jobs that rendered with its words."""
    weight_micro: int = 0
    """Of those, the ones whose quality is known, each counted with its confidence."""
    worth_micro: int = 0
    """The same, each times the quality it won."""
    published: int = 0
    rejected: int = 0
    cost_microtokens: MicroTokens = 0

    @property
    def key(self) -> str:
        """Which words these are, to the version."""
        return f"{self.template_id}@{self.version}"


class Rank(Struct, frozen=True, kw_only=True):
    """What a template is worth, with the interval it lies in nine of ten times."""

    worth: float
    low: float
    high: float
    deviation: float
    standing: Standing | None = None
    """Nothing for one that has won nothing yet."""


class Ranking(Struct, frozen=True, kw_only=True):
    """Ranks by template and version, and what an unknown one is worth, by effect type."""

    ranks: Mapping[str, Rank] = {}
    priors: Mapping[str, float] = {}

    def of(self, template: Template) -> Rank:
        """Return a template's rank; the prior's when nothing is known of this version."""
        known = self.ranks.get(template.key)
        if known is not None:
            return known
        return _rank(self.priors.get(template.effect_type, PRIOR_WORTH), weight=0.0, worth=0.0)


NOTHING_KNOWN: Final = Ranking()


def ranked(standings: Iterable[Standing]) -> Ranking:
    """Return the ranking that follows from what is known, in whatever order it comes."""
    known = sorted(standings, key=lambda each: (each.effect_type, each.key))
    weights: dict[str, int] = {}
    worths: dict[str, int] = {}
    for each in known:
        weights[each.effect_type] = weights.get(each.effect_type, 0) + each.weight_micro
        worths[each.effect_type] = worths.get(each.effect_type, 0) + each.worth_micro
    priors = {
        effect: (PRIOR_WORTH * PRIOR_JOBS + worths[effect] / MICRO)
        / (PRIOR_JOBS + weights[effect] / MICRO)
        for effect in weights
    }
    ranks = {
        each.key: _rank(
            priors[each.effect_type],
            weight=each.weight_micro / MICRO,
            worth=each.worth_micro / MICRO,
            standing=each,
        )
        for each in known
    }
    return Ranking(ranks=ranks, priors=priors)


def assigned(templates: Sequence[Template], job_id: JobId, ranking: Ranking) -> Template:
    """Return the template that a job gets: the same for the same ranking, always."""
    point = _point(job_id, templates[0].effect_type, templates[0].effect_subtype)
    reached = 0.0
    for template, share in zip(templates, shares(templates, ranking), strict=True):
        reached += share
        if point < reached:
            return template
    return templates[-1]


def shares(templates: Sequence[Template], ranking: Ranking) -> tuple[float, ...]:
    """Return each template's part of the jobs; together they are 1."""
    if len(templates) == 1:
        return (1.0,)
    chances = best_chances([ranking.of(each) for each in templates])
    wanted = [template.weight * chance for template, chance in zip(templates, chances, strict=True)]
    floor = min(FLOOR, 0.5 / len(templates))
    free = 1.0 - floor * len(templates)
    total = sum(wanted)
    return tuple(floor + free * each / total for each in wanted)


def best_chances(ranks: Sequence[Rank]) -> tuple[float, ...]:
    """Return how likely each is the best of them, as if each worth lay on a bell curve.

    >>> rank = Rank(worth=0.7, low=0.5, high=0.9, deviation=0.1)
    >>> best_chances([rank, rank])
    (0.5, 0.5)
    """
    low = min(each.worth - 4 * each.deviation for each in ranks)
    high = max(each.worth + 4 * each.deviation for each in ranks)
    points = [low + (high - low) * (place + 0.5) / _GRID for place in range(_GRID)]
    wins = [sum(_wins(ranks, place, point) for point in points) for place in range(len(ranks))]
    total = sum(wins)
    return tuple(each / total for each in wins)


def _wins(ranks: Sequence[Rank], place: int, point: float) -> float:
    """Return the density of one worth being at a point and all others below it."""
    density = 1.0
    for other, rank in enumerate(ranks):
        away = (point - rank.worth) / rank.deviation
        if other == place:
            density *= math.exp(-away * away / 2) / rank.deviation
        else:
            density *= 0.5 * (1.0 + math.erf(away / math.sqrt(2)))
    return density


def _rank(prior: float, *, weight: float, worth: float, standing: Standing | None = None) -> Rank:
    won = prior * PRIOR_JOBS + worth
    lost = (1.0 - prior) * PRIOR_JOBS + weight - worth
    jobs = won + lost
    mean = won / jobs
    deviation = math.sqrt(mean * (1.0 - mean) / (jobs + 1.0))
    return Rank(
        worth=round(mean, 6),
        low=round(max(0.0, mean - _SPREAD * deviation), 6),
        high=round(min(1.0, mean + _SPREAD * deviation), 6),
        # never nothing, or a worth of exactly 0 or 1 would have no curve
        deviation=max(round(deviation, 6), 1e-4),
        standing=standing,
    )


def _point(job_id: JobId, effect_type: str, subtype: str) -> float:
    digest = hashlib.sha256(f"{job_id}\x1f{effect_type}\x1f{subtype}\x1fab".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
