"""Sums over windows: late, repeated, expired, and without residue."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from economics.windows import SPANS, Sums, Windows
from schemas.base import ProviderId
from tests.builders import NOON

KEY = (ProviderId("a"), "upscale")


def task(cost: int, charged: int = 0) -> Sums:
    """Return one task's counts."""
    return Sums(tasks=1, cost_microtokens=cost, charged_microtokens=charged)


def test_an_event_leaves_each_window_in_its_turn_without_a_new_event() -> None:
    """An idle provider's hour must empty itself."""
    windows = Windows()
    windows.add(KEY, NOON, task(5))
    in_windows = {
        hours: [
            windows.total(KEY, span.name, NOON + timedelta(hours=hours)).tasks for span in SPANS
        ]
        for hours in (0, 2, 30, 24 * 8)
    }

    assert in_windows == {0: [1, 1, 1], 2: [0, 1, 1], 30: [0, 0, 1], 192: [0, 0, 0]}


def test_a_late_event_counts_where_it_belongs() -> None:
    """Five hours late is no news for the hour, but it is for the day."""
    windows = Windows()
    windows.add(KEY, NOON, task(1))
    windows.add(KEY, NOON - timedelta(hours=5), task(2))

    assert windows.total(KEY, "1h", NOON).cost_microtokens == 1
    assert windows.total(KEY, "24h", NOON).cost_microtokens == 3


def test_an_event_older_than_the_ring_does_not_empty_a_newer_bucket() -> None:
    """A ring's places are reused; a straggler from the last round must not win."""
    windows = Windows()
    windows.add(KEY, NOON, task(7))
    windows.add(KEY, NOON - timedelta(hours=1), task(2))

    assert windows.total(KEY, "1h", NOON).cost_microtokens == 7


def test_a_windows_margin_is_a_ratio_of_sums() -> None:
    """And nothing charged has no margin at all."""
    windows = Windows()
    windows.add(KEY, NOON, task(4, charged=10))
    windows.add(KEY, NOON, task(1, charged=0))
    windows.add((ProviderId("b"), "upscale"), NOON, task(3))
    rows = {(row.provider_id, row.window): row for row in windows.margins(NOON)}

    assert rows[ProviderId("a"), "1h"].marginality == 0.5
    assert rows[ProviderId("b"), "1h"].marginality is None


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 3 * 86_400), st.integers(0, 10**9)), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_does_not_matter(events: list[tuple[int, int]], rng: object) -> None:
    """What the day's window says is the exact sum over its buckets, however late things come."""
    windows = Windows()
    end = NOON + timedelta(days=3)
    shuffled = list(events)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random
    for offset, cost in shuffled:
        windows.add(KEY, NOON + timedelta(seconds=offset), task(cost))
    last = int(end.timestamp()) // 900
    exact = sum(
        cost
        for offset, cost in events
        if last - 96 < int((NOON + timedelta(seconds=offset)).timestamp()) // 900 <= last
    )

    assert windows.total(KEY, "24h", end).cost_microtokens == exact
