"""When a new routing manifest is due, and what is said about it.

The shell that owns the telemetry reader and the registry's copy calls ``publish`` at its start, at
every tick, when a provider record changed and when a finding is critical (the last two with
``force``). What comes back is stored and said by the shell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from actors.economic_engine.tracker import Finding, Tracker
from actors.runtime.contract import Clock, Put, Said
from actors.runtime.follow import begin, derived_id
from economics.changes import same_content
from economics.policy import Policy, build_manifest
from economics.pricing import PriceBook
from economics.throttling import Throttle
from schemas.base import JobId, TenantId
from schemas.commands import SetConcurrency
from schemas.events import EconomicAlert, PolicyChange, RoutingPolicyUpdated
from schemas.hosts import ConcurrencyLimit
from schemas.routing import ProviderRecord, RoutingManifest
from subjects.topology import MANIFEST_KEY, ROUTING

POLICY: Final = JobId("policy")
PLATFORM: Final = TenantId("platform")
INTERVAL: Final = timedelta(minutes=15)

_STALE: Final = timedelta(minutes=10)
"""A finding this old was said before the restart that replayed it."""


class PolicyPublisher:
    """Decides when the manifest is built anew, and says so when it differs."""

    def __init__(
        self,
        *,
        tracker: Tracker,
        records: Callable[[], Sequence[ProviderRecord]],
        book: PriceBook,
        clock: Clock,
        interval: timedelta = INTERVAL,
    ) -> None:
        self._tracker = tracker
        self._records = records
        self._book = book
        self._interval = interval
        self._stale_before = clock.now() - _STALE
        self._due_at = clock.now()

    def publish(
        self, now: datetime, *, previous: RoutingManifest | None, force: bool = False
    ) -> Sequence[Said]:
        """Return what is to be said now: alerts, and a manifest when one is due and new."""
        findings = [each for each in self._tracker.take_findings() if each.at >= self._stale_before]
        alerts: list[Said] = [_alert(each) for each in findings]
        alerts += [_held_back(each, each.throttle) for each in findings if each.throttle]
        if not force and previous is not None and now < self._due_at:
            return alerts
        self._due_at = now + self._interval
        policy = build_manifest(
            records=self._records(),
            statistics=self._tracker.statistics,
            render_times=self._tracker.render_times,
            effects=self._book.effects(now),
            previous=previous,
            now=now,
            reason=_reason(findings, previous, force=force),
        )
        if previous is not None and same_content(previous, policy.manifest):
            return alerts
        return [*alerts, *_announced(policy, now)]


def _announced(policy: Policy, now: datetime) -> Sequence[Said]:
    manifest = policy.manifest
    value = msgspec.json.encode(manifest)
    event_id = derived_id(
        "evt",
        RoutingPolicyUpdated.__name__,
        str(manifest.version),
        hashlib.sha256(value).hexdigest(),
    )
    return [
        Put(bucket=ROUTING, key=MANIFEST_KEY, value=value),
        RoutingPolicyUpdated(
            **begin(job_id=POLICY, tenant_id=PLATFORM, at=now, event_id=event_id),
            payload=PolicyChange(
                version=manifest.version, reason=manifest.reason, changes=policy.changes
            ),
        ),
    ]


def _alert(finding: Finding) -> EconomicAlert:
    """Return the event of a finding, under the same id whenever the telemetry is replayed."""
    alert = finding.alert
    event_id = derived_id(
        "evt", alert.kind, alert.provider_id, alert.effect_type, finding.at.isoformat()
    )
    return EconomicAlert(
        **begin(job_id=POLICY, tenant_id=PLATFORM, at=finding.at, event_id=event_id), payload=alert
    )


def _held_back(finding: Finding, throttle: Throttle) -> SetConcurrency:
    """Return the order that follows from a finding, under the same id whenever it is replayed."""
    alert = finding.alert
    event_id = derived_id("evt", SetConcurrency.__name__, alert.provider_id, finding.at.isoformat())
    return SetConcurrency(
        **begin(job_id=POLICY, tenant_id=PLATFORM, at=finding.at, event_id=event_id),
        payload=ConcurrencyLimit(
            provider_id=alert.provider_id,
            limit=throttle.limit,
            reason=alert.description,
            until=throttle.until,
        ),
    )


def _reason(findings: Sequence[Finding], previous: RoutingManifest | None, *, force: bool) -> str:
    critical = next((each for each in findings if each.critical), None)
    if critical:
        return f"emergency: {critical.alert.description}"
    if previous is None:
        return "first manifest"
    return "providers changed" if force else "policy cycle"
