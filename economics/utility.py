"""How quality, cost and time are weighed against each other.

``utility = quality weight * success * quality - cost weight * cost of an accepted output
- time weight * duration``, where cost and duration are multiples of what is usual for the effect
type, so that one set of weights serves cheap and dear effects. The manifest keeps the components;
the weights come with the request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from msgspec import Struct

from economics.errors import UnknownPriorityError
from schemas.routing import ProviderRoute

COMPOSITE: Final = "composite"
"""The key of the summary among the expected quality scores."""

_LEAST_SUCCESS: Final = 0.05
"""Keeps the cost of an accepted output finite."""


class Weights(Struct, frozen=True, kw_only=True):
    """What one unit of each component is worth."""

    quality: float
    cost: float
    time: float


BALANCED: Final = "balanced"

WEIGHTS: Final = {
    BALANCED: Weights(quality=1.0, cost=0.3, time=0.1),
    "quality": Weights(quality=1.0, cost=0.03, time=0.01),
    "cost": Weights(quality=0.4, cost=0.6, time=0.05),
    "speed": Weights(quality=0.4, cost=0.1, time=0.6),
}
"""By the priority of the request."""


class Usual(Struct, frozen=True, kw_only=True):
    """What a try usually costs and takes, for one effect type."""

    cost_microtokens: float
    duration_ms: float


def weights_for(priority: str) -> Weights:
    """Return the weights of a priority.

    Raises:
        UnknownPriorityError: nobody defined it.
    """
    if priority not in WEIGHTS:
        raise UnknownPriorityError(priority)
    return WEIGHTS[priority]


def usual(expected: Iterable[tuple[float, float]]) -> Usual:
    """Return the medians of (cost, duration) over the providers of one effect type."""
    costs, durations = zip(*expected, strict=True)
    return Usual(
        cost_microtokens=max(1.0, float(np.median(costs))),
        duration_ms=max(1.0, float(np.median(durations))),
    )


def utility(
    *,
    quality: float,
    success: float,
    cost_microtokens: float,
    duration_ms: float,
    scale: Usual,
    weights: Weights,
) -> float:
    """Return how good a try is expected to be; only differences mean something."""
    accepted = cost_microtokens / max(success, _LEAST_SUCCESS)
    return (
        weights.quality * success * quality
        - weights.cost * accepted / scale.cost_microtokens
        - weights.time * duration_ms / scale.duration_ms
    )


def utility_of(route: ProviderRoute, *, scale: Usual, weights: Weights) -> float:
    """Return the utility of a route as the manifest describes it."""
    return utility(
        quality=route.expected_quality_score.get(COMPOSITE, 0.0),
        success=route.success_rate,
        cost_microtokens=route.expected_cost_microtokens,
        duration_ms=route.expected_duration_ms,
        scale=scale,
        weights=weights,
    )
