"""How far predicted render times are from measured ones, for each provider at each effect type.

Errors are ratios, measured over predicted, and what is told of them are medians: a few renders
that hung for minutes say nothing about how well the others were predicted. Only the last ones
count, so that a better model shows soon. What a host answered from its cache took no time and
teaches nothing; neither does a render that failed.
"""

from __future__ import annotations

import statistics
from collections import OrderedDict, deque
from typing import Final

from msgspec import Struct

from schemas.base import ProviderId
from schemas.telemetry import TaskMeasured

KEPT: Final = 64
"""Renders that the medians are of."""
PAIRS_LIMIT: Final = 4096
"""Providers at effect types; those that rendered longest ago give way."""


class PredictionError(Struct, frozen=True, kw_only=True):
    """How good the predictions were lately."""

    samples: int = 0
    median_ratio: float = 1.0
    """Measured over predicted: above 1 when renders take longer than is thought."""
    median_relative_error: float = 0.0
    """Of the prediction, whichever way."""


class Predictions:
    """What is remembered; rebuilt by replaying the telemetry.

    >>> from datetime import UTC, datetime
    >>> sample = TaskMeasured(
    ...     at=datetime(2026, 3, 1, tzinfo=UTC), task_id="task_1", job_id="job_1",
    ...     tenant_id="tnt_1", provider_id="fx", effect_type="upscale", succeeded=True,
    ...     cost_microtokens=0, gpu_seconds=1.0, duration_ms=1500, predicted_ms=1000)
    >>> predictions = Predictions()
    >>> predictions.update(sample)
    >>> predictions.read(ProviderId("fx"), "upscale").median_relative_error
    0.5
    """

    def __init__(self) -> None:
        self._ratios: OrderedDict[tuple[ProviderId, str], deque[float]] = OrderedDict()

    def update(self, sample: TaskMeasured) -> None:
        """Take one measured task."""
        if not sample.succeeded or sample.cached:
            return
        if sample.predicted_ms <= 0 or sample.duration_ms <= 0:
            return
        key = (sample.provider_id, sample.effect_type)
        self._ratios.setdefault(key, deque(maxlen=KEPT)).append(
            sample.duration_ms / sample.predicted_ms
        )
        self._ratios.move_to_end(key)
        while len(self._ratios) > PAIRS_LIMIT:
            self._ratios.popitem(last=False)

    def read(self, provider_id: ProviderId, effect_type: str) -> PredictionError:
        """Return how good the predictions for a provider at an effect type were lately."""
        ratios = self._ratios.get((provider_id, effect_type))
        if not ratios:
            return PredictionError()
        return PredictionError(
            samples=len(ratios),
            median_ratio=statistics.median(ratios),
            median_relative_error=statistics.median(abs(ratio - 1.0) for ratio in ratios),
        )
