"""What the telemetry shows, and when a manifest is published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import pytest

from actors.economic_engine.publisher import PolicyPublisher
from actors.economic_engine.tracker import Tracker
from actors.runtime.contract import FrozenClock, Put, Said
from economics.pricing import PRICES
from schemas.base import ProviderId
from schemas.commands import SetConcurrency
from schemas.events import EconomicAlert, RoutingPolicyUpdated
from schemas.routing import ProviderRecord, RoutingManifest
from subjects.build import subject_of
from tests.builders import NOON
from tests.unit.economic_engine.words import charge, packet
from tests.unit.economics.renders import GLOW, SAMPLED, Renders, provider
from tests.unit.economics.worlds import EFFECT, quality, record, task

MINUTE = timedelta(minutes=1)


class Shell:
    """Does what the composition root does with a publisher."""

    def __init__(self, *names: str, at: datetime = NOON, tracker: Tracker | None = None) -> None:
        self.tracker = tracker or Tracker()
        self.records: list[ProviderRecord] = [record(name) for name in names]
        self.manifest: RoutingManifest | None = None
        self.publisher = PolicyPublisher(
            tracker=self.tracker, records=lambda: self.records, book=PRICES, clock=FrozenClock(at)
        )

    def publish(self, at: datetime, *, force: bool = False) -> Sequence[Said]:
        """Publish, and keep what was put."""
        said = self.publisher.publish(at, previous=self.manifest, force=force)
        for each in said:
            if isinstance(each, Put):
                assert (each.bucket, each.key) == ("ROUTING", "manifest")
                self.manifest = msgspec.json.decode(each.value, type=RoutingManifest)
        return said


def fail(tracker: Tracker, at: datetime, *, name: str = "b", count: int = 5) -> bool:
    """Let a provider fail, and say whether that was critical."""
    found = [
        each
        for n in range(count)
        for each in tracker.observe(
            packet(task(name, 900 + n, at, succeeded=False, tokens=0.1), at=at)
        )
    ]
    return any(each.critical for each in found)


def test_a_windows_margin_is_what_was_charged_less_what_it_cost() -> None:
    """Section 9, the marginality test: known costs and charges, through the tracker."""
    tracker = Tracker()
    tracker.observe(packet(task("a", 1, NOON, tokens=1.0), task("b", 2, NOON, tokens=2.0)))
    tracker.observe(packet(charge(1, NOON, charged=8_000_000, cost=3_000_000)))
    rows = {(row.provider_id, row.window): row for row in tracker.margins(NOON)}

    assert rows[ProviderId("a"), "1h"].marginality == 0.875
    assert rows[ProviderId("b"), "1h"].marginality is None
    assert rows[ProviderId("b"), "7d"].cost_microtokens == 2_000_000


def test_a_sample_that_comes_twice_counts_once() -> None:
    """The reader starts from the beginning after every restart, and a stream repeats itself."""
    tracker = Tracker()
    for _ in range(2):
        tracker.observe(packet(task("a", 1, NOON), quality("a", 1, NOON, 0.9)))
        tracker.observe(packet(charge(1, NOON, charged=8, cost=3)))
    row = tracker.margins(NOON)[0]

    assert (row.tasks, row.charged_microtokens) == (1, 8)


def test_a_replay_rebuilds_the_same_state() -> None:
    """Nothing is pickled; the stream is the memory."""
    packets = [
        packet(task("a", n, NOON + n * MINUTE, succeeded=n % 7 > 0), at=NOON + n * MINUTE)
        for n in range(80)
    ]
    one, other = Tracker(), Tracker()
    first = [each for p in packets for each in one.observe(p)]
    second = [each for p in packets for each in other.observe(p)]
    end = NOON + 81 * MINUTE

    assert first == second
    assert one.margins(end) == other.margins(end)


def test_a_clock_that_runs_ahead_cannot_spoil_the_windows() -> None:
    """A sample from next year would block its place in the ring until then."""
    tracker = Tracker()
    tracker.observe(packet(task("a", 1, NOON + timedelta(days=365))))
    tracker.observe(packet(task("a", 2, NOON)))
    rows = [row for row in tracker.margins(NOON + 10 * MINUTE) if row.window == "1h"]

    assert [row.tasks for row in rows] == [2]


def test_one_incident_is_one_alert() -> None:
    """Two hundred alarms for one broken host are two hundred reasons to look away."""
    tracker = Tracker()
    fail(tracker, NOON, count=12)
    first = tracker.take_findings()
    fail(tracker, NOON + 30 * MINUTE, count=20)
    soon = tracker.take_findings()
    fail(tracker, NOON + 120 * MINUTE, count=21)
    later = tracker.take_findings()

    assert [each.alert.kind for each in first] == ["PROVIDER_FAILING"]
    assert first[0].alert.metric_value == 1.0
    assert soon == ()
    assert [each.alert.kind for each in later] == ["PROVIDER_FAILING"]


def test_a_cost_that_doubles_is_critical_and_says_by_how_much() -> None:
    """The sums follow from the telemetry, never from a text."""
    tracker = Tracker()
    steady = (1.0, 1.05, 0.95, 1.02, 0.98)
    for n in range(40):
        tracker.observe(packet(task("a", n, NOON + n * MINUTE, tokens=steady[n % 5])))
    for n in range(40, 46):
        tracker.observe(packet(task("a", n, NOON + n * MINUTE, tokens=2.5), at=NOON + n * MINUTE))
    drifts = [each for each in tracker.take_findings() if each.alert.kind == "COST_DRIFT_DETECTED"]

    assert len(drifts) == 1
    assert drifts[0].critical
    assert 1_450_000 < drifts[0].alert.cost_microtokens < 1_550_000


def test_a_cost_that_falls_is_news_but_no_warning() -> None:
    """Nobody is woken for a saving; an odd cheap task is not even news."""
    tracker = Tracker()
    steady = (1.0, 1.05, 0.95, 1.02, 0.98)
    for n in range(40):
        tracker.observe(packet(task("a", n, NOON, tokens=steady[n % 5])))
    tracker.observe(packet(task("a", 50, NOON, tokens=0.2)))
    odd = tracker.take_findings()
    for n in range(60, 70):
        tracker.observe(packet(task("a", n, NOON, tokens=0.4)))
    findings = tracker.take_findings()

    assert odd == ()
    assert [(each.alert.kind, each.alert.severity) for each in findings] == [
        ("COST_DRIFT_DETECTED", "info")
    ]
    assert findings[0].alert.cost_microtokens == 0


def test_jobs_that_lose_money_are_told() -> None:
    """Compared are the paid jobs with their own costs, so that a late payment is no loss."""
    tracker = Tracker()
    for n in range(20):
        tracker.observe(packet(task("a", n, NOON, tokens=3.0)))
    waiting = tracker.take_findings()
    for n in range(6):
        tracker.observe(packet(charge(n, NOON, charged=2_000_000, cost=3_000_000)))
    findings = tracker.take_findings()

    assert waiting == ()
    assert [each.alert.kind for each in findings] == ["NEGATIVE_MARGIN"]
    assert findings[0].alert.metric_value == -0.5


def test_the_first_manifest_comes_from_the_records_alone() -> None:
    """A fresh platform can route its first job."""
    shell = Shell("a", "b")
    put, told = shell.publish(NOON)

    assert isinstance(put, Put)
    assert isinstance(told, RoutingPolicyUpdated)
    assert subject_of(told) == "evt.economic_engine.RoutingPolicyUpdated.platform.policy"
    assert told.payload.version == 1
    assert told.payload.changes == (f"{EFFECT}: starts with a",)
    assert shell.manifest is not None
    assert set(shell.manifest.effects) == {EFFECT}


def test_nothing_new_is_not_published() -> None:
    """Neither between two cycles nor at the end of one."""
    shell = Shell("a", "b")
    shell.publish(NOON)

    assert shell.publish(NOON + MINUTE) == []
    assert shell.publish(NOON + 16 * MINUTE) == []
    assert shell.publish(NOON + 17 * MINUTE, force=True) == []


def test_a_cycle_publishes_what_was_learnt() -> None:
    """And not before its time."""
    shell = Shell("a", "b")
    shell.publish(NOON)
    for n in range(20):
        shell.tracker.observe(
            packet(task("a", 2 * n, NOON, tokens=0.9), task("b", 2 * n + 1, NOON, tokens=0.3))
        )
    early = shell.publish(NOON + 10 * MINUTE)
    _, told = shell.publish(NOON + 15 * MINUTE)

    assert early == []
    assert isinstance(told, RoutingPolicyUpdated)
    assert told.payload.reason == "policy cycle"
    assert f"{EFFECT}: default moved from a to b" in told.payload.changes


def test_a_critical_finding_changes_the_routing_at_once() -> None:
    """Every job of the next fifteen minutes would else be lost."""
    shell = Shell("a", "b")
    shell.publish(NOON)
    critical = fail(shell.tracker, NOON + MINUTE, name="a")
    alert, _, told = shell.publish(NOON + MINUTE, force=critical)

    assert critical
    assert isinstance(alert, EconomicAlert)
    assert alert.payload.provider_id == "a"
    assert isinstance(told, RoutingPolicyUpdated)
    assert told.payload.reason.startswith("emergency: a fails at style_transfer: 3 of 3")
    assert shell.manifest is not None
    route = shell.manifest.effects[EFFECT]
    assert route.default_provider_id == "b"
    assert [each.weight for each in route.providers if each.provider_id == "a"] == [0.0]


def test_a_new_provider_is_routed_when_it_is_registered() -> None:
    """Without waiting for the end of the cycle."""
    shell = Shell("a")
    shell.publish(NOON)
    shell.records.append(record("b"))
    _, told = shell.publish(NOON + MINUTE, force=True)

    assert isinstance(told, RoutingPolicyUpdated)
    assert told.payload.reason == "providers changed"
    assert told.payload.version == 2


def test_an_alert_has_the_same_id_after_a_restart_and_old_ones_are_not_said_again() -> None:
    """The replay finds everything anew; the stream drops what is recent, we what is old."""
    first = Shell("a", "b")
    fail(first.tracker, NOON)
    said = [each for each in first.publish(NOON) if isinstance(each, EconomicAlert)]

    soon = Shell("a", "b", at=NOON + 5 * MINUTE)
    fail(soon.tracker, NOON)
    again = [each for each in soon.publish(NOON + 5 * MINUTE) if isinstance(each, EconomicAlert)]

    late = Shell("a", "b", at=NOON + timedelta(hours=3))
    fail(late.tracker, NOON)
    old = [
        each for each in late.publish(NOON + timedelta(hours=3)) if isinstance(each, EconomicAlert)
    ]

    assert [each.event_id for each in said] == [each.event_id for each in again]
    assert len(said) == 1
    assert old == []


def test_the_manifest_that_nobody_stored_is_published_again_under_the_same_id() -> None:
    """A crash between deciding and storing must not lose a version, nor say it twice."""
    one, other = Shell("a", "b"), Shell("a", "b")

    assert one.publish(NOON) == other.publish(NOON)
    assert one.manifest == other.manifest


def test_a_render_from_a_cache_is_no_spike_and_no_drift() -> None:
    """Else each cached render would be an incident, and then what is usual would be nothing."""
    tracker = Tracker()
    for n in range(40):
        tracker.observe(packet(task("a", n, NOON, tokens=4.0, seconds=10.0), at=NOON))
    cached = [
        msgspec.structs.replace(task("a", n, NOON, tokens=0.01, seconds=0.01), cached=True)
        for n in range(40, 60)
    ]

    found = [each for sample in cached for each in tracker.observe(packet(sample, at=NOON))]

    assert found == []


def test_how_well_renders_are_predicted_is_tracked() -> None:
    """Whoever plans by predictions has to know what they are worth."""
    tracker = Tracker()
    sample = msgspec.structs.replace(task("a", 1, NOON, seconds=3.0), predicted_ms=2000)
    tracker.observe(packet(sample, at=NOON))

    error = tracker.predictions.read(ProviderId("a"), EFFECT)
    assert (error.samples, error.median_ratio) == (1, 1.5)


def test_what_renders_take_by_their_work_is_published() -> None:
    """Whoever dispatches predicts each clip from it."""
    house = Renders(provider("glow", GLOW), provider("sampled", SAMPLED), seed=1)
    house.publish()
    shell = Shell()
    shell.records = house.records
    for _ in range(12):
        for each in house.records:
            sample = house.render(each.provider_id)
            shell.tracker.observe(packet(sample, at=sample.at))
    shell.publish(NOON + timedelta(hours=1))

    assert shell.manifest is not None
    routes = {each.provider_id: each for each in shell.manifest.effects[EFFECT].providers}
    glow, sampled = routes[ProviderId("glow")], routes[ProviderId("sampled")]
    assert (glow.default_steps, sampled.default_steps) == (1, 20)
    assert glow.render_time.samples
    assert sampled.render_time.ms_per_gigapixel_step == pytest.approx(25_000, rel=0.2)


def test_a_throttled_provider_is_held_back_at_once_and_once() -> None:
    """The order has the same id after a restart, and an old one is not given again."""
    shell = Shell("a")
    shell.publish(NOON)
    sample = msgspec.structs.replace(task("a", 1, NOON + MINUTE), throttled=3)
    shell.tracker.observe(packet(sample, at=NOON + MINUTE))

    said = shell.publish(NOON + MINUTE)
    [order] = [each for each in said if isinstance(each, SetConcurrency)]
    [alert] = [each.payload for each in said if isinstance(each, EconomicAlert)]
    assert (order.payload.provider_id, order.payload.limit) == ("a", 8)
    assert order.payload.until == NOON + 11 * MINUTE
    assert alert.auto_action == "at most 8 renders at once until 12:11"
    assert subject_of(order) == "cmd.execution.SetConcurrency.platform.policy"
    assert not shell.publish(NOON + 2 * MINUTE)

    restarted, later = Tracker(), NOON + timedelta(hours=1)
    restarted.observe(packet(sample, at=NOON + MINUTE))
    again = Shell("a", at=NOON + 2 * MINUTE, tracker=restarted).publish(NOON + 2 * MINUTE)
    assert [each for each in again if isinstance(each, SetConcurrency)] == [order]
    replayed = Tracker()
    replayed.observe(packet(sample, at=NOON + MINUTE))
    old = Shell("a", at=later, tracker=replayed).publish(later)
    assert not [each for each in old if isinstance(each, SetConcurrency)]
