"""What people prefer, and whether the composite agrees.

Approvals and rejections of one job, and choices between two results, are pairs: this one was
preferred to that one. From pairs come a worth for each provider (Bradley and Terry, 1952; fitted as
Hunter, "MM algorithms for generalized Bradley-Terry models", 2004) and the weights of the composite
for an effect type: its logarithm is linear in the weights, so the same model on differences of
logarithms is a logistic regression, here with weights that stay positive and add up to one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.quality_scale import EVEN, FLOOR, Weights

ALARM_TAU: Final = 0.6
"""Below this agreement with people the composite of an effect type needs a look."""
LEAST_PAIRS: Final = 30
"""With fewer choices the weights stay as they are."""
_ROUNDS: Final = 500
_CLOSE: Final = 1e-9
_PRIOR: Final = 0.5
"""Half a win and half a loss against an average one, so that nobody's worth is without bound."""
_SHRINK: Final = 20.0
"""The weights before count as much as so many pairs."""
_STEP: Final = 0.5
_LEAST_WEIGHT: Final = 0.05

Parts = tuple[float, float, float, float]
"""Fidelity, clean of artifacts, style, temporal."""


def worths(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Return the worth of each name from pairs of winner and loser; the mean logarithm is 0.

    >>> found = worths([("a", "b")] * 3 + [("b", "a")])
    >>> found["a"] > found["b"]
    True
    """
    names = sorted({name for pair in pairs for name in pair})
    if not names:
        return {}
    at = {name: index for index, name in enumerate(names)}
    wins = np.zeros((len(names), len(names)))
    for winner, loser in pairs:
        wins[at[winner], at[loser]] += 1.0
    met = wins + wins.T
    won = wins.sum(axis=1) + _PRIOR
    worth = np.ones(len(names))
    for _ in range(_ROUNDS):
        against = (met / (worth[:, None] + worth[None, :])).sum(axis=1)
        fresh = won / (against + 2.0 * _PRIOR / (worth + 1.0))
        fresh /= math.exp(float(np.log(fresh).mean()))
        moved = float(np.abs(np.log(fresh / worth)).max())
        worth = fresh
        if moved < _CLOSE:
            break
    return {name: float(worth[index]) for name, index in at.items()}


def kendall_tau(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Return how alike two orders are, 1 the same and -1 reversed; ties count as in tau-b.

    >>> kendall_tau({"a": 1, "b": 2, "c": 3}, {"a": 10, "b": 20, "c": 30})
    1.0
    """
    names = sorted(one.keys() & other.keys())
    agreed, ties_one, ties_other, total = 0, 0, 0, 0
    for first, second in combinations(names, 2):
        left = _sign(one[first] - one[second])
        right = _sign(other[first] - other[second])
        agreed += left * right
        ties_one += left == 0
        ties_other += right == 0
        total += 1
    scale = math.sqrt((total - ties_one) * (total - ties_other))
    return agreed / scale if scale else 0.0


def fitted_weights(choices: Sequence[tuple[Parts, Parts]], *, before: Weights = EVEN) -> Weights:
    """Return the weights under which the preferred results have the better composites.

    ``choices`` are pairs of the preferred result and the other one. ``before`` is kept with fewer
    than ``LEAST_PAIRS``, and pulls at the answer when there are more.
    """
    if len(choices) < LEAST_PAIRS:
        return before
    apart = np.asarray([_logs(better) - _logs(worse) for better, worse in choices])
    prior = np.asarray(before)
    raw = np.log(prior)
    sharpness = 5.0
    for _ in range(_ROUNDS):
        weights = np.exp(raw) / np.exp(raw).sum()
        surprise = 1.0 / (1.0 + np.exp(sharpness * (apart @ weights)))
        pull = sharpness * (surprise @ apart) / len(choices)
        pull += _SHRINK / len(choices) * (prior - weights)
        raw = raw + _STEP * weights * (pull - float(weights @ pull))
        raw -= raw.mean()
    floored = np.maximum(np.exp(raw) / np.exp(raw).sum(), _LEAST_WEIGHT)
    fidelity, clean, style, temporal = (floored / floored.sum()).tolist()
    return fidelity, clean, style, temporal


def needs_a_look(composites: Mapping[str, float], worth: Mapping[str, float]) -> bool:
    """Say whether the composite disagrees with people more than it may."""
    return len(composites.keys() & worth.keys()) >= 3 and (
        kendall_tau(composites, worth) < ALARM_TAU
    )


def _logs(parts: Parts) -> NDArray[np.float64]:
    return np.log(np.clip(np.asarray(parts, dtype=np.float64), FLOOR, 1.0))


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
