"""What is learnt from the telemetry, and how it fades."""

from __future__ import annotations

import math
import random
from datetime import timedelta

import pytest
from msgspec import structs

from economics.statistics import Declared, Fading, Statistics, upper_bound
from schemas.base import ProviderId
from schemas.failures import FailureClass
from tests.builders import NOON
from tests.unit.economics.worlds import EFFECT, quality, task

A = ProviderId("a")
DECLARED = Declared(cost_microtokens=1_000_000.0, duration_ms=3_000.0)


def test_a_fading_mean_does_not_depend_on_the_order_of_arrival() -> None:
    """Telemetry comes late; a replay must rebuild the same state."""
    samples = [(random.Random(n).gauss(1.0, 0.3), n * 700.0) for n in range(30)]
    straight, shuffled = Fading(), Fading()
    for x, at in samples:
        straight.update(x, at=at)
    for x, at in random.Random(9).sample(samples, len(samples)):
        shuffled.update(x, at=at)

    one, other = straight.read(30_000.0), shuffled.read(30_000.0)

    assert one.mean == pytest.approx(other.mean)
    assert one.n == pytest.approx(other.n)
    assert one.variance == pytest.approx(other.variance)


def test_nothing_known_is_what_the_record_declares() -> None:
    """The declared cost model is the prior, not a special case."""
    known = Statistics().estimate(EFFECT, A, DECLARED, NOON)

    assert known.cost_microtokens == pytest.approx(1_000_000.0)
    assert known.duration_ms == pytest.approx(3_000.0)
    assert known.success == 0.95
    assert known.samples == 0


def test_a_few_samples_settle_the_cost_but_not_the_quality() -> None:
    """Costs vary by a tenth, a judge by much more."""
    statistics = Statistics()
    for n in range(3):
        statistics.task(task("a", n, NOON, tokens=4.0))
        statistics.quality(quality("a", n, NOON, 1.0))
    known = statistics.estimate(EFFECT, A, DECLARED, NOON)

    assert known.cost_microtokens > 3_200_000
    assert 0.8 < known.quality["composite"] < 0.95


def test_not_yet_judged_is_not_bad() -> None:
    """A result without an evaluation must not count as one of quality zero."""
    statistics = Statistics()
    for n in range(10):
        statistics.task(task("a", n, NOON))
    statistics.quality(quality("a", 1, NOON, 0.0, confidence=0.0))

    assert statistics.estimate(EFFECT, A, DECLARED, NOON).quality["composite"] == pytest.approx(0.7)


@pytest.mark.parametrize("confidence", [0.0, -1.0, math.nan])
@pytest.mark.parametrize("score", [0.0, 1.0])
def test_an_evaluation_without_confidence_says_nothing_at_all(
    score: float, confidence: float
) -> None:
    """Its numbers are placeholders: no estimate and no doubt may move, now or at the next one."""
    statistics, untouched = Statistics(), Statistics()
    for n in range(5):
        statistics.quality(quality("a", n, NOON, score, confidence=confidence))
    before = statistics.estimate(EFFECT, A, DECLARED, NOON)
    assert before == untouched.estimate(EFFECT, A, DECLARED, NOON)

    for each in (statistics, untouched):
        each.quality(quality("a", 9, NOON, 0.4))
    after = statistics.estimate(EFFECT, A, DECLARED, NOON)
    assert after == untouched.estimate(EFFECT, A, DECLARED, NOON)
    assert after != before


def test_a_provider_is_known_by_its_other_effects() -> None:
    """A provider that is dear at one effect will hardly be cheap at the next."""
    statistics = Statistics()
    for n in range(20):
        statistics.task(task("a", n, NOON, tokens=4.0))
    known = statistics.estimate("upscale", A, DECLARED, NOON)

    assert known.cost_microtokens > 3_500_000
    assert known.samples == 0


def test_old_news_fades_and_doubt_returns() -> None:
    """After a silent week a provider is nearly what its record says again."""
    statistics = Statistics()
    for n in range(20):
        statistics.quality(quality("a", n, NOON, 0.1))
    fresh = statistics.estimate(EFFECT, A, DECLARED, NOON)
    old = statistics.estimate(EFFECT, A, DECLARED, NOON + timedelta(days=7))

    assert fresh.quality["composite"] < 0.2
    assert old.quality["composite"] > 0.6
    assert old.quality_se > 2 * fresh.quality_se


def test_a_cancelled_task_is_not_the_providers_failure() -> None:
    """A user who changes her mind must not cost a provider its work."""
    statistics = Statistics()
    for n in range(10):
        statistics.task(task("a", n, NOON, succeeded=False, error_code="CANCELLED"))

    assert not statistics.failing(EFFECT, A, NOON)
    assert statistics.estimate(EFFECT, A, DECLARED, NOON).success == 0.95


@pytest.mark.parametrize(
    ("outcomes", "failing"),
    [("ffff", True), ("ff", False), ("sfsfsfsfsf", True), ("sssssssssssssssfff", False)],
)
def test_failing_is_more_than_bad_luck(outcomes: str, failing: bool) -> None:
    """Half of ten is an incident; two in a row, or three of eighteen, can be chance."""
    statistics = Statistics()
    for n, outcome in enumerate(outcomes):
        statistics.task(task("a", n, NOON, succeeded=outcome == "s"))

    assert statistics.failing(EFFECT, A, NOON) is failing


def test_the_upper_bound_is_wilsons() -> None:
    """One-sided at 95 %: no failure in ten is at most certain, half of ten at most 0.73."""
    assert upper_bound(1.0, 10) == pytest.approx(1.0)
    assert upper_bound(0.5, 10) == pytest.approx(0.731, abs=0.001)
    assert upper_bound(0.0, 4) == pytest.approx(1.645**2 / (4 + 1.645**2))
    assert math.isclose(upper_bound(0.3, 0), 1.0)


def test_what_a_host_answered_from_its_cache_teaches_nothing_about_cost_or_time() -> None:
    """It would look as if the provider rendered in no time, and the router would believe it."""
    statistics = Statistics()
    for n in range(5):
        statistics.task(task("a", n, NOON, tokens=4.0, seconds=10.0))
    honest = statistics.estimate(EFFECT, A, DECLARED, NOON)
    for n in range(5, 15):
        cached = task("a", n, NOON, tokens=0.001, seconds=0.01)
        statistics.task(structs.replace(cached, cached=True))

    found = statistics.estimate(EFFECT, A, DECLARED, NOON)
    assert found.cost_microtokens == honest.cost_microtokens
    assert found.duration_ms == honest.duration_ms


@pytest.mark.parametrize("failure_class", ["BAD_INPUT", "HOST_LOST", "THROTTLED", "PLATFORM"])
def test_a_failure_of_somebody_else_is_not_the_providers(failure_class: str) -> None:
    """Its jobs would go to another, who would fail at them as well."""
    statistics = Statistics()
    for n in range(10):
        sample = task("a", n, NOON, succeeded=False)
        statistics.task(structs.replace(sample, failure_class=FailureClass(failure_class)))

    assert not statistics.failing(EFFECT, A, NOON)
    assert statistics.estimate(EFFECT, A, DECLARED, NOON).success == 0.95
