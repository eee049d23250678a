"""The detectors against published figures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from economics.drift import Cusum, Drift, ModifiedZScore, Watch, limit_for, run_length


def runs(*, shift: float, h: float, count: int, seed: int) -> float:
    """Return the mean run length of so many simulated series."""
    rng = np.random.default_rng(seed)
    lengths = []
    for _ in range(count):
        cusum = Cusum(k=0.5, h=h)
        length = 0
        while not cusum.drift_detected:
            for z in rng.normal(shift, 1.0, 64):
                length += 1
                if cusum.update(float(z)).drift_detected:
                    break
        lengths.append(length)
    return float(np.mean(lengths))


@pytest.mark.parametrize(
    ("shift", "h", "published", "count"),
    [
        (0.0, 4.0, 168.0, 500),
        (0.5, 4.0, 26.6, 1000),
        (1.0, 4.0, 8.38, 1500),
        (2.0, 4.0, 3.34, 1500),
        (1.0, 5.0, 10.4, 1500),
        (3.0, 5.0, 2.57, 1500),
    ],
)
def test_cusum_has_montgomerys_run_lengths(
    shift: float, h: float, published: float, count: int
) -> None:
    """Montgomery, table 9.4: the class is the published chart, not something like it."""
    simulated = runs(shift=shift, h=h, count=count, seed=7)

    assert simulated == pytest.approx(published, rel=4.0 / math.sqrt(count) + 0.005)


@pytest.mark.parametrize(
    ("shift", "h", "published"), [(0.0, 4.0, 168.0), (0.0, 5.0, 465.0), (1.0, 5.0, 10.4)]
)
def test_siegmunds_approximation_is_within_two_percent(
    shift: float, h: float, published: float
) -> None:
    """The limit is solved from it, so it has to be right where it is used."""
    assert run_length(shift=shift, k=0.5, h=h) == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize(("wanted", "h"), [(370, 4.77), (1_000, 5.76), (10_000, 8.05)])
def test_a_limit_follows_from_the_alarm_budget(wanted: float, h: float) -> None:
    """Hawkins and Olwell's limits for k = 0.5."""
    assert limit_for(run_length_wanted=wanted) == pytest.approx(h, abs=0.03)


def test_cusum_sees_both_directions_and_starts_again() -> None:
    """Cheaper is news too; one shift is one alarm."""
    cusum = Cusum(k=0.5, h=4.0)
    alarms = [cusum.update(-2.0).drift_detected for _ in range(4)]

    assert alarms == [False, False, True, False]
    assert cusum.low == 1.5


def test_what_is_not_a_number_is_no_evidence() -> None:
    """One NaN blinds River's detectors for good."""
    cusum = Cusum(k=0.5, h=4.0)
    for _ in range(3):
        cusum.update(math.nan)
    spike = ModifiedZScore()
    spike.update(math.nan)

    assert [cusum.update(2.0).drift_detected for _ in range(3)] == [False, False, True]
    assert not spike.drift_detected


def test_the_modified_z_score_is_the_published_one() -> None:
    """Iglewicz and Hoaglin: 0.6745 (x - median) / MAD."""
    spike = ModifiedZScore(least=5)
    for x in (2.1, 2.6, 2.4, 2.5, 2.3):
        spike.update(x)

    assert spike.update(9.6).score == pytest.approx(0.6745 * (9.6 - 2.4) / 0.1)
    assert spike.drift_detected


def test_a_constant_series_does_not_alarm_at_a_hairs_breadth() -> None:
    """Its MAD is zero; without a floor every other value would be infinitely odd."""
    spike = ModifiedZScore()
    for _ in range(50):
        spike.update(100.0)

    assert not spike.update(102.0).drift_detected
    assert spike.update(150.0).drift_detected


def test_a_watch_finds_a_lasting_rise_of_a_tiny_price() -> None:
    """ADWIN and PageHinkley never see a step at the scale of dollars a second."""
    rng = np.random.default_rng(3)
    watch = Watch(h=limit_for(run_length_wanted=100_000))
    steady = [watch.update(0.00028 * math.exp(x)) for x in rng.normal(0, 0.1, 200)]
    risen = [watch.update(0.00042 * math.exp(x)) for x in rng.normal(0, 0.1, 30)]
    drifts = [each for each in risen if each and each.kind == "drift"]

    assert not [each for each in steady if each and each.kind == "drift"]
    assert len(drifts) == 1
    assert drifts[0].ratio == pytest.approx(1.5, rel=0.15)


def test_a_single_outlier_is_a_spike_and_no_drift() -> None:
    """One slow render is no reason to change the routing."""
    rng = np.random.default_rng(4)
    watch = Watch(h=9.9)
    for x in rng.normal(0, 0.1, 60):
        watch.update(math.exp(x))
    found = watch.update(20.0)
    after = [watch.update(math.exp(x)) for x in rng.normal(0, 0.1, 30)]

    assert isinstance(found, Drift)
    assert found.kind == "spike"
    assert not [each for each in after if each and each.kind == "drift"]


def test_a_watch_ignores_what_cannot_be_a_cost() -> None:
    """Zero has no logarithm."""
    watch = Watch(h=5.0)

    assert [watch.update(x) for x in (0.0, -1.0, math.nan, math.inf)] == [None] * 4
