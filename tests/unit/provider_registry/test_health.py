"""How a provider is: several checks must agree, and the edge is not where it flaps."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.provider_registry.health import (
    TO_BETTER,
    TO_WORSE,
    Pulse,
    Record24h,
    health,
    judge,
    starts,
    window_of,
)
from tests.builders import NOON


def record(succeeded: int, failed: int, **more: int) -> Record24h:
    """Return a day whose last renders were all there were."""
    return Record24h(
        succeeded=succeeded,
        failed=failed,
        recent_succeeded=succeeded,
        recent_failed=failed,
        **more,
    )


def after(before: Pulse, *checks: tuple[Record24h, int]) -> Pulse:
    """Return the pulse after several checks of (record, agents)."""
    for each, agents in checks:
        before = judge(before, each, agents=agents)
    return before


FRESH = Record24h()
HEALTHY = after(Pulse(), (FRESH, 1))


def test_a_new_provider_with_an_agent_is_healthy_at_once() -> None:
    """There is nothing to say against it."""
    assert HEALTHY.status == "healthy"


def test_before_it_is_called_offline_it_is_unknown() -> None:
    """At the start agents need some seconds to come up."""
    assert after(Pulse(), *[(FRESH, 0)] * (TO_WORSE - 1)).status == "unknown"
    assert after(Pulse(), *[(FRESH, 0)] * TO_WORSE).status == "offline"


def test_an_agent_that_restarts_is_not_missed() -> None:
    """Two checks without it are a minute at most."""
    gone = after(HEALTHY, *[(FRESH, 0)] * (TO_WORSE - 1))
    back = after(gone, (FRESH, 1))
    gone_again = after(back, *[(FRESH, 0)] * (TO_WORSE - 1))

    assert [each.status for each in (gone, back, gone_again)] == ["healthy"] * 3
    assert after(gone_again, (FRESH, 0)).status == "offline"


def test_an_agent_that_comes_back_must_stay() -> None:
    """A host that comes and goes is not served twice a minute."""
    offline = after(HEALTHY, *[(FRESH, 0)] * TO_WORSE)

    assert after(offline, *[(FRESH, 1)] * (TO_BETTER - 1)).status == "offline"
    assert after(offline, *[(FRESH, 1)] * TO_BETTER).status == "healthy"


@pytest.mark.parametrize(
    ("succeeded", "failed", "wanted"),
    [
        (0, 0, "healthy"),
        (0, 4, "healthy"),
        (4, 1, "degraded"),
        (9, 1, "healthy"),
        (17, 3, "degraded"),
        (10, 10, "degraded"),
        (9, 11, "unhealthy"),
        (0, 5, "unhealthy"),
    ],
)
def test_the_rate_of_the_last_renders_decides(succeeded: int, failed: int, wanted: str) -> None:
    """A few renders prove nothing, and a good day does not excuse a bad hour."""
    found = after(HEALTHY, *[(record(succeeded, failed), 1)] * TO_WORSE)

    assert found.status == wanted


def test_getting_well_takes_a_better_rate_than_falling_ill() -> None:
    """At 92 % a healthy provider stays healthy, and a degraded one degraded."""
    edge = record(92, 8)
    degraded = after(HEALTHY, *[(record(80, 20), 1)] * TO_WORSE)

    assert after(HEALTHY, *[(edge, 1)] * 10).status == "healthy"
    assert after(degraded, *[(edge, 1)] * 10).status == "degraded"
    assert after(degraded, *[(record(96, 4), 1)] * TO_BETTER).status == "healthy"


def test_from_unhealthy_it_goes_by_degraded() -> None:
    """70 % is neither."""
    unhealthy = after(HEALTHY, *[(record(2, 18), 1)] * TO_WORSE)

    assert unhealthy.status == "unhealthy"
    assert after(unhealthy, *[(record(55, 45), 1)] * 10).status == "unhealthy"
    assert after(unhealthy, *[(record(70, 30), 1)] * TO_BETTER).status == "degraded"


@given(st.lists(st.integers(min_value=80, max_value=100), max_size=60))
def test_a_rate_that_trembles_at_the_edge_crosses_seldom(rates: list[int]) -> None:
    """However it trembles, a change takes as many checks as it says."""
    pulse, changes = HEALTHY, 0
    for rate in rates:
        now = judge(pulse, record(rate, 100 - rate), agents=1)
        changes += now.status != pulse.status
        pulse = now

    assert changes <= len(rates) // TO_BETTER


def test_the_score_falls_with_failures_slowness_and_absence() -> None:
    """Between 0 and 1, for whoever ranks."""
    at = datetime(2026, 3, 1, tzinfo=UTC)

    def score(record: Record24h, agents: int = 1) -> float:
        return health(HEALTHY, record, agents=agents, at=at).health_score

    good = record(20, 0, latency_ms=1000, recent_latency_ms=1000)
    slow = record(20, 0, latency_ms=1000, recent_latency_ms=4000)
    bad = record(10, 10, latency_ms=1000, recent_latency_ms=1000)
    assert score(good) == score(FRESH) == 1.0
    assert 1.0 > score(slow) > score(bad) > score(good, agents=0) == 0.0


def test_what_is_shown_is_of_the_day() -> None:
    """As the specification's record has it."""
    shown = health(HEALTHY, record(97, 3, latency_ms=42_000), agents=2, at=NOON)

    assert (shown.success_rate_24h, shown.avg_latency_ms_24h) == (0.97, 42_000)
    assert health(HEALTHY, FRESH, agents=1, at=NOON).success_rate_24h is None


def test_every_process_numbers_the_windows_alike() -> None:
    """The number makes the ids of what is said."""
    window = window_of(NOON)

    assert starts(window, NOON) <= NOON
    assert window_of(starts(window, NOON)) == window
    assert window_of(starts(window + 1, NOON)) == window + 1
