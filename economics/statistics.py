"""What is known of each provider at each effect type, old news fading.

Quality, the logarithms of cost and duration, and success are discounted means per (effect,
provider): a sample's weight halves in about seventeen hours, for success in nine. With few samples
an estimate leans on what the provider does at its other effects, and that on what its record
declares. A cost or a duration that jumps is not averaged away: a CUSUM notices after two samples
and the mean starts again from there.

A mean over all history is the worst mistake a router can make: where providers change, its regret
was 2.4 to 3.5 times as high.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from msgspec import Struct

from economics.drift import Cusum
from economics.failures import teaches
from economics.utility import COMPOSITE
from schemas.base import ProviderId
from schemas.quality import QualityVector
from schemas.telemetry import QualityMeasured, TaskMeasured

CYCLE_S: Final = 15 * 60
"""One policy cycle; discounts are per cycle."""
_DISCOUNT: Final = 0.99
_SUCCESS_DISCOUNT: Final = _DISCOUNT**2

_PRIOR_QUALITY: Final = {
    "fidelity": 0.8,
    "artifacts": 0.2,
    "style_adherence": 0.7,
    "temporal_consistency": 0.8,
    COMPOSITE: 0.7,
}
"""What a provider is taken for before anybody has looked at its work."""
_QUALITY_PRIOR_N: Final = 2.0
_COST_PRIOR_N: Final = 0.5
"""Costs vary by a tenth, so one sample nearly settles them."""
_SUCCESS_PRIOR_N: Final = 2.0
_QUALITY_SD: Final = 0.15
_LOG_SD: Final = 0.3

_RECENT: Final = 20
_RECENT_S: Final = 6 * 3600
_LEAST_FAILURES: Final = 3
_ONE_SIDED: Final = 1.645
"""A one-sided bound at 95 %."""
WANTED_SUCCESS: Final = 0.8
"""Below this a provider is not given users' jobs."""

_JUMP_LIMIT: Final = 6.0
"""Two samples far off reach it; steady ones pass it once in some thousand."""
_JUMP_LEAST: Final = 3.0
_JUMP_MEMORY: Final = 8
_WINSOR: Final = 4.0
_LEAST_LOG_SD: Final = 0.1


class Mean(Struct, frozen=True, kw_only=True):
    """A discounted mean: ``n`` is what is left of the samples' weight."""

    n: float
    mean: float
    variance: float


_NO_SAMPLES: Final = Mean(n=0.0, mean=0.0, variance=0.0)


class Fading:
    """A mean whose samples lose weight with age. The order of arrival does not matter.

    >>> fading = Fading(discount=0.5)
    >>> fading.update(10.0, at=0.0)
    >>> fading.update(40.0, at=float(CYCLE_S))
    >>> fading.read(float(CYCLE_S)).mean
    30.0
    """

    def __init__(self, *, discount: float = _DISCOUNT) -> None:
        self._discount = discount
        self._n = self._sum = self._squares = 0.0
        self._at = -math.inf

    def update(self, x: float, *, at: float) -> None:
        """Take one sample measured at ``at``, in seconds."""
        if at > self._at:
            self._fade(at)
        weight = self._factor(self._at - at)
        self._n += weight
        self._sum += weight * x
        self._squares += weight * x * x

    def read(self, now: float) -> Mean:
        """Return the mean as of ``now``."""
        if self._n <= 0.0:
            return _NO_SAMPLES
        mean = self._sum / self._n
        variance = max(0.0, self._squares / self._n - mean * mean)
        return Mean(n=self._n * self._factor(now - self._at), mean=mean, variance=variance)

    def _fade(self, at: float) -> None:
        factor = self._factor(at - self._at) if self._n > 0.0 else 0.0
        self._n *= factor
        self._sum *= factor
        self._squares *= factor
        self._at = at

    def _factor(self, age_s: float) -> float:
        return float(self._discount ** (max(0.0, age_s) / CYCLE_S))


class Jumping:
    """A fading mean that starts again when the values jump."""

    def __init__(self) -> None:
        self._mean = Fading()
        self._cusum = Cusum(h=_JUMP_LIMIT)
        self._last: deque[tuple[float, float]] = deque(maxlen=_JUMP_MEMORY)

    def update(self, x: float, *, at: float) -> None:
        """Take one sample; after a jump, keep only the samples since its onset."""
        before = self._mean.read(at)
        self._last.append((x, at))
        self._mean.update(x, at=at)
        if before.n < _JUMP_LEAST:
            return
        z = (x - before.mean) / max(_LEAST_LOG_SD, math.sqrt(before.variance))
        if self._cusum.update(max(-_WINSOR, min(_WINSOR, z))).drift_detected:
            onset = list(self._last)[-min(self._cusum.since, len(self._last)) :]
            self._mean = Fading()
            for value, when in onset:
                self._mean.update(value, at=when)

    def read(self, now: float) -> Mean:
        """Return the mean as of ``now``."""
        return self._mean.read(now)


class Declared(Struct, frozen=True, kw_only=True):
    """What a provider's record promises for a usual task."""

    cost_microtokens: float
    duration_ms: float
    success_rate: float = 0.95


class Estimate(Struct, frozen=True, kw_only=True):
    """What a try at an effect with a provider is expected to give, and how sure that is."""

    quality: dict[str, float]
    quality_se: float
    cost_microtokens: float
    cost_se: float
    """Relative: the standard error of the logarithm."""
    duration_ms: float
    duration_se: float
    success: float
    success_se: float
    success_at_most: float
    """The upper bound: a provider is given up only when even this is too low."""
    failing: bool
    """So many of the last tasks failed that it cannot be chance."""
    last_failure_at: float
    last_seen_at: float
    samples: int
    weight: float
    """What is left of the samples' weight."""

    @property
    def quality_at_most(self) -> float:
        """The upper bound of the composite quality."""
        return self.quality[COMPOSITE] + _ONE_SIDED * self.quality_se


class _Arm:
    """One provider at one effect type."""

    def __init__(self) -> None:
        self.quality = {name: Fading() for name in _PRIOR_QUALITY}
        self.log_cost = Jumping()
        self.log_duration = Jumping()
        self.success = Fading(discount=_SUCCESS_DISCOUNT)
        self.recent: deque[tuple[float, bool]] = deque(maxlen=_RECENT)
        self.samples = 0
        self.last_failure_at = -math.inf
        self.last_seen_at = -math.inf

    def lately(self, now: float) -> list[bool]:
        """Return how the last tasks went, without those of many hours ago."""
        return [ok for when, ok in self.recent if now - when <= _RECENT_S]


class Statistics:
    """Everything learnt from the telemetry stream; rebuilt by replaying it."""

    def __init__(self) -> None:
        self._arms: dict[tuple[str, ProviderId], _Arm] = {}
        self._frames: dict[str, Fading] = {}

    def task(self, sample: TaskMeasured) -> None:
        """Learn from a finished task, good or bad."""
        if not teaches(sample):
            return
        arm = self._arm(sample.effect_type, sample.provider_id)
        at = sample.at.timestamp()
        arm.samples += 1
        arm.last_seen_at = max(arm.last_seen_at, at)
        arm.success.update(float(sample.succeeded), at=at)
        arm.recent.append((at, sample.succeeded))
        if not sample.succeeded:
            arm.last_failure_at = max(arm.last_failure_at, at)
            return
        if sample.cached:
            return  # the host rendered nothing, so it took no time and cost nothing
        if sample.cost_microtokens > 0:
            arm.log_cost.update(math.log(sample.cost_microtokens), at=at)
        if sample.duration_ms > 0:
            arm.log_duration.update(math.log(sample.duration_ms), at=at)
        if sample.frames > 0:
            frames = self._frames.setdefault(sample.effect_type, Fading())
            frames.update(float(sample.frames), at=at)

    def quality(self, sample: QualityMeasured) -> None:
        """Learn from an evaluation; one without confidence says nothing."""
        if not sample.confidence > 0.0:  # what is not a number is no confidence either
            return
        arm = self._arm(sample.effect_type, sample.provider_id)
        at = sample.at.timestamp()
        for name, value in _components(sample.quality_vector, sample.composite_score):
            if math.isfinite(value):
                arm.quality[name].update(value, at=at)

    def usual_frames(self, effect_type: str, now: datetime, *, otherwise: int) -> int:
        """Return how many frames a task of this effect type usually has."""
        known = self._frames.get(effect_type)
        if known is None:
            return otherwise
        return max(1, round(known.read(now.timestamp()).mean))

    def estimate(
        self, effect_type: str, provider_id: ProviderId, declared: Declared, now: datetime
    ) -> Estimate:
        """Return what to expect of a provider at an effect type."""
        at = now.timestamp()
        arm = self._arms.get((effect_type, provider_id)) or _Arm()
        elsewhere = [
            one
            for (effect, owner), one in self._arms.items()
            if owner == provider_id and effect != effect_type
        ]
        cost, duration = arm.log_cost.read(at), arm.log_duration.read(at)
        success = arm.success.read(at)
        rate = _weighted(success.mean, success.n, declared.success_rate, _SUCCESS_PRIOR_N)
        recent = arm.lately(at)
        failing = _failing(recent)
        if failing:
            rate = min(rate, sum(recent) / len(recent))
        return Estimate(
            quality=_quality(arm, elsewhere, at),
            quality_se=_standard_error(
                arm.quality[COMPOSITE].read(at), _QUALITY_SD, _QUALITY_PRIOR_N
            ),
            cost_microtokens=_unlogged(
                (one.log_cost.read(at) for one in elsewhere), cost, declared.cost_microtokens
            ),
            cost_se=_standard_error(cost, _LOG_SD, _COST_PRIOR_N),
            duration_ms=_unlogged(
                (one.log_duration.read(at) for one in elsewhere), duration, declared.duration_ms
            ),
            duration_se=_standard_error(duration, _LOG_SD, _COST_PRIOR_N),
            success=rate,
            success_se=math.sqrt(rate * (1.0 - rate) / (success.n + _SUCCESS_PRIOR_N)),
            success_at_most=upper_bound(rate, success.n + _SUCCESS_PRIOR_N),
            failing=failing,
            last_failure_at=arm.last_failure_at,
            last_seen_at=arm.last_seen_at,
            samples=arm.samples,
            weight=success.n,
        )

    def failing(self, effect_type: str, provider_id: ProviderId, now: datetime) -> bool:
        """Say whether a provider fails more often right now than chance explains."""
        arm = self._arms.get((effect_type, provider_id))
        return arm is not None and _failing(arm.lately(now.timestamp()))

    def _arm(self, effect_type: str, provider_id: ProviderId) -> _Arm:
        return self._arms.setdefault((effect_type, provider_id), _Arm())


def upper_bound(share: float, n: float) -> float:
    """Return Wilson's one-sided upper bound of a share seen in ``n`` trials.

    >>> round(upper_bound(0.5, 10), 2)
    0.73
    """
    if n <= 0.0:
        return 1.0
    z2 = _ONE_SIDED * _ONE_SIDED
    spread = math.sqrt(share * (1.0 - share) / n + z2 / (4.0 * n * n))
    return (share + z2 / (2.0 * n) + _ONE_SIDED * spread) / (1.0 + z2 / n)


def _failing(recent: list[bool]) -> bool:
    failures = recent.count(False)
    if failures < _LEAST_FAILURES:
        return False
    return upper_bound(1.0 - failures / len(recent), len(recent)) < WANTED_SUCCESS


def _components(vector: QualityVector, composite: float) -> tuple[tuple[str, float], ...]:
    return (
        ("fidelity", vector.fidelity),
        ("artifacts", vector.artifacts),
        ("style_adherence", vector.style_adherence),
        ("temporal_consistency", vector.temporal_consistency),
        (COMPOSITE, composite),
    )


def _quality(arm: _Arm, elsewhere: list[_Arm], at: float) -> dict[str, float]:
    return {
        name: _shrunk(
            (one.quality[name].read(at) for one in elsewhere),
            arm.quality[name].read(at),
            prior,
            _QUALITY_PRIOR_N,
        )
        for name, prior in _PRIOR_QUALITY.items()
    }


def _unlogged(pool: Iterable[Mean], own: Mean, declared: float) -> float:
    """Return the expected value of something whose logarithm is estimated."""
    return math.exp(_shrunk(pool, own, math.log(max(1.0, declared)), _COST_PRIOR_N))


def _shrunk(pool: Iterable[Mean], own: Mean, declared: float, prior_n: float) -> float:
    """Lean the effect's mean on the provider's at its other effects, and that on the record."""
    known = list(pool)
    n = sum(each.n for each in known)
    mean = sum(each.n * each.mean for each in known) / n if n > 0.0 else 0.0
    return _weighted(own.mean, own.n, _weighted(mean, n, declared, prior_n), prior_n)


def _weighted(mean: float, n: float, prior: float, prior_n: float) -> float:
    return (n * mean + prior_n * prior) / (n + prior_n)


def _standard_error(known: Mean, prior_sd: float, prior_n: float) -> float:
    variance = _weighted(known.variance, known.n, prior_sd * prior_sd, prior_n)
    return math.sqrt(variance / (known.n + prior_n))
