"""A provider whose hosts are asked too often is asked less, for a while."""

from __future__ import annotations

from datetime import timedelta

import pytest

from economics.throttling import FIRST, LASTS, REFUSALS, WINDOW, Throttling
from schemas.base import ProviderId
from tests.builders import NOON

A, B = ProviderId("fx-a"), ProviderId("fx-b")
SECOND = timedelta(seconds=1)


def test_one_refusal_is_no_reason_but_three_are() -> None:
    """A single 429 is what retries are for."""
    throttling = Throttling()

    assert throttling.update(A, 1, NOON) is None
    assert throttling.update(A, 1, NOON + SECOND) is None
    found = throttling.update(A, 1, NOON + 2 * SECOND)
    assert found is not None
    assert (found.limit, found.until) == (FIRST, NOON + 2 * SECOND + LASTS)


def test_refusals_over_a_long_time_are_no_reason() -> None:
    """Some in an hour are usual."""
    throttling = Throttling()

    assert [throttling.update(A, 1, NOON + n * WINDOW) for n in range(1, 10)] == [None] * 9


def test_what_is_refused_still_is_halved_down_to_one() -> None:
    """One render at a time is the least; none would be no provider."""
    throttling = Throttling()
    found = [throttling.update(A, REFUSALS, NOON + n * SECOND) for n in range(6)]

    assert [each.limit for each in found if each] == [8, 4, 2, 1, 1, 1]


def test_after_a_while_it_begins_anew() -> None:
    """The limit ended by itself, and so did what it was."""
    throttling = Throttling()
    for n in range(3):
        throttling.update(A, REFUSALS, NOON + n * SECOND)
    again = throttling.update(A, REFUSALS, NOON + LASTS + 5 * SECOND)

    assert again is not None
    assert again.limit == FIRST


@pytest.mark.parametrize("refusals", [0, -1])
def test_a_task_that_was_not_refused_says_nothing(refusals: int) -> None:
    """Nearly every task."""
    throttling = Throttling()
    throttling.update(A, 2, NOON)

    assert throttling.update(A, refusals, NOON) is None
    assert throttling.update(B, 2, NOON) is None, "each provider by itself"
