"""Streaming state over the telemetry: windows, statistics, detectors. Pure; replaying rebuilds it.

Whoever reads the telemetry stream gives every packet to ``observe`` in the order of the stream,
from its beginning after a restart. A sample that comes twice counts once. Time is the samples' own.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from economics.cost import marginality
from economics.drift import Drift, Watch, limit_for
from economics.failures import counts_against_provider
from economics.prediction import Predictions
from economics.render_times import RenderTimes
from economics.statistics import Statistics
from economics.throttling import Throttle, Throttling
from economics.windows import Sums, Windows
from schemas.asks import MarginRow
from schemas.base import MICRO, MicroTokens, ProviderId
from schemas.events import Alert
from schemas.telemetry import ChargeMeasured, QualityMeasured, Sample, TaskMeasured, TelemetryPacket

CRITICAL: Final = "critical"
WARNING: Final = "warning"
INFO: Final = "info"

FAILING: Final = "PROVIDER_FAILING"
COST_DRIFT: Final = "COST_DRIFT_DETECTED"
COST_SPIKE: Final = "COST_SPIKE_DETECTED"
DURATION_DRIFT: Final = "DURATION_DRIFT_DETECTED"
DURATION_SPIKE: Final = "DURATION_SPIKE_DETECTED"
THROTTLED: Final = "PROVIDER_THROTTLED"
NEGATIVE_MARGIN: Final = "NEGATIVE_MARGIN"

_KNOWN_LIMIT: Final = 200_000
"""Samples remembered by id, so that a repeated one is seen to be one."""
_PENDING_LIMIT: Final = 256
"""Findings that wait to be said; the oldest give way."""
_HOLD_BACK: Final = timedelta(hours=1)
"""One incident is one alert: the same finding again within this time is not news."""
_AHEAD: Final = timedelta(minutes=5)
"""A sample cannot be from much later than the packet it came in."""
_SAMPLES_PER_FALSE_ALARM: Final = 100_000
"""A hundred series of a hundred tasks a day: one false alarm in ten days."""
_LIMIT: Final = limit_for(run_length_wanted=_SAMPLES_PER_FALSE_ALARM)
_DOUBLED: Final = 2.0
_WORTH_A_SPIKE: Final = 1.5
"""A single task that is odd but hardly dearer or slower costs nobody anything."""
_LEAST_CHARGES: Final = 5
_ALL: Final = ProviderId("*")


class Finding(Struct, frozen=True, kw_only=True):
    """Something that costs money, and when the telemetry showed it."""

    at: datetime
    alert: Alert
    throttle: Throttle | None = None
    """What the provider is to be held to because of it."""

    @property
    def critical(self) -> bool:
        """Say whether the routing has to change at once."""
        return self.alert.severity == CRITICAL


class Tracker:
    """What the telemetry says about every provider and effect type."""

    def __init__(self) -> None:
        self.statistics = Statistics()
        self.predictions = Predictions()
        self.render_times = RenderTimes()
        self._throttling = Throttling()
        self._windows = Windows()
        self._costs: dict[tuple[ProviderId, str], Watch] = {}
        self._durations: dict[tuple[ProviderId, str], Watch] = {}
        self._paid = Windows()
        """Paid jobs with all they cost: a job may be paid for hours after it was rendered."""
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._said: dict[tuple[str, str, str], datetime] = {}
        self._pending: deque[Finding] = deque(maxlen=_PENDING_LIMIT)

    def observe(self, packet: TelemetryPacket) -> Sequence[Finding]:
        """Take one packet and return what is newly wrong."""
        found: list[Finding] = []
        for sample in packet.samples:
            if self._is_new(sample):
                at = min(sample.at, packet.timestamp + _AHEAD)
                found += self._observe(sample, at)
        self._pending.extend(found)
        return found

    def take_findings(self) -> tuple[Finding, ...]:
        """Return the findings nobody has taken yet, oldest first."""
        taken = tuple(self._pending)
        self._pending.clear()
        return taken

    def margins(self, now: datetime) -> tuple[MarginRow, ...]:
        """Return the windows of every provider and effect type."""
        return self._windows.margins(now)

    def _observe(self, sample: Sample, at: datetime) -> Sequence[Finding]:
        match sample:
            case TaskMeasured():
                return self._task(sample, at)
            case ChargeMeasured():
                return self._charge(sample, at)
            case QualityMeasured():
                self.statistics.quality(sample)
                return ()

    def _task(self, sample: TaskMeasured, at: datetime) -> Sequence[Finding]:
        key = (sample.provider_id, sample.effect_type)
        sums = Sums(
            tasks=1,
            failures=1 if counts_against_provider(sample) else 0,
            cost_microtokens=sample.cost_microtokens,
        )
        self._windows.add(key, at, sums)
        self.statistics.task(sample)
        self.predictions.update(sample)
        self.render_times.update(sample)
        findings = [self._failing(sample, at), self._throttled(sample, at)]
        if sample.succeeded and not sample.cached:
            findings += [
                self._drifting(sample, at, "cost_microtokens", sample.cost_microtokens),
                self._drifting(sample, at, "duration_ms", sample.duration_ms),
            ]
        return [each for each in findings if each]

    def _charge(self, sample: ChargeMeasured, at: datetime) -> Sequence[Finding]:
        charged = Sums(charged_microtokens=sample.charged_microtokens)
        self._windows.add((sample.provider_id, sample.effect_type), at, charged)
        job = Sums(
            tasks=1,
            charged_microtokens=sample.charged_microtokens,
            cost_microtokens=sample.cost_microtokens,
        )
        self._paid.add((_ALL, sample.effect_type), at, job)
        hour = self._paid.total((_ALL, sample.effect_type), "1h", at)
        finding = self._losing(sample.effect_type, hour, at)
        return [finding] if finding else ()

    def _failing(self, sample: TaskMeasured, at: datetime) -> Finding | None:
        if not self.statistics.failing(sample.effect_type, sample.provider_id, at):
            return None
        total = self._windows.total((sample.provider_id, sample.effect_type), "1h", at)
        return self._news(
            at,
            Alert(
                kind=FAILING,
                severity=CRITICAL,
                description=f"{sample.provider_id} fails at {sample.effect_type}: "
                f"{total.failures} of {total.tasks} tasks in the last hour",
                provider_id=sample.provider_id,
                effect_type=sample.effect_type,
                metric_name="failure_rate_1h",
                metric_value=total.failures / max(1, total.tasks),
                cost_microtokens=total.cost_microtokens,
                auto_action="no jobs for it until it has proved itself again",
            ),
        )

    def _throttled(self, sample: TaskMeasured, at: datetime) -> Finding | None:
        """Hold a provider back whose hosts say that they are asked too often."""
        throttle = self._throttling.update(sample.provider_id, sample.throttled, at)
        if throttle is None:
            return None
        alert = Alert(
            kind=THROTTLED,
            severity=WARNING,
            description=f"{sample.provider_id} is asked too often",
            provider_id=sample.provider_id,
            effect_type=sample.effect_type,
            metric_name="renders_at_once",
            metric_value=float(throttle.limit),
            auto_action=f"at most {throttle.limit} renders at once until {throttle.until:%H:%M}",
        )
        return Finding(at=at, alert=alert, throttle=throttle)

    def _drifting(
        self, sample: TaskMeasured, at: datetime, metric: str, value: float
    ) -> Finding | None:
        watches = self._costs if metric == "cost_microtokens" else self._durations
        key = (sample.provider_id, sample.effect_type)
        found = watches.setdefault(key, Watch(h=_LIMIT)).update(value)
        if found is None or (found.kind == "spike" and found.ratio < _WORTH_A_SPIKE):
            return None
        return self._news(at, _drift_alert(sample, metric, found))

    def _losing(self, effect_type: str, hour: Sums, at: datetime) -> Finding | None:
        loss = hour.cost_microtokens - hour.charged_microtokens
        if loss <= 0 or hour.tasks < _LEAST_CHARGES:
            return None
        return self._news(
            at,
            Alert(
                kind=NEGATIVE_MARGIN,
                severity=WARNING,
                description=f"{effect_type}: the jobs paid for in the last hour cost "
                f"{_tokens(loss)} more than they brought",
                effect_type=effect_type,
                metric_name="marginality_1h",
                metric_value=marginality(hour.charged_microtokens, hour.cost_microtokens),
                baseline_value=0.0,
                cost_microtokens=loss,
            ),
        )

    def _news(self, at: datetime, alert: Alert) -> Finding | None:
        """Return the finding, unless the same was found a short while before."""
        key = (alert.kind, alert.provider_id, alert.effect_type)
        before = self._said.get(key)
        if before is not None and at - before < _HOLD_BACK:
            return None
        self._said[key] = at
        return Finding(at=at, alert=alert)

    def _is_new(self, sample: Sample) -> bool:
        key = (type(sample).__name__, sample.task_id)
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > _KNOWN_LIMIT:
            self._known.popitem(last=False)
        return True


def _drift_alert(sample: TaskMeasured, metric: str, found: Drift) -> Alert:
    cost = metric == "cost_microtokens"
    if found.kind == "drift":
        kind = COST_DRIFT if cost else DURATION_DRIFT
    else:
        kind = COST_SPIKE if cost else DURATION_SPIKE
    doubled = cost and found.kind == "drift" and found.ratio >= _DOUBLED
    severity = INFO if found.ratio < 1.0 else WARNING
    extra = max(0, math.floor(found.value - found.baseline)) if cost else 0
    confirmed = ", and a second detector agrees" if found.confirmed else ""
    return Alert(
        kind=kind,
        severity=CRITICAL if doubled else severity,
        description=f"{sample.provider_id} at {sample.effect_type}: {metric} is "
        f"{found.ratio:.2f} times what it was{confirmed}",
        provider_id=sample.provider_id,
        effect_type=sample.effect_type,
        metric_name=metric,
        metric_value=found.value,
        baseline_value=found.baseline,
        cost_microtokens=extra,
        auto_action="routing is decided anew" if doubled else "",
    )


def _tokens(amount: MicroTokens) -> str:
    return f"{amount / MICRO:.2f} tokens"
