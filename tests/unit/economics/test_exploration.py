"""Exactly one explored job in each block of twenty."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from economics.exploration import arm_of, slot_of

KEY = b"a key of the test"


@settings(max_examples=40)
@given(st.integers(min_value=0, max_value=10**6), st.text(max_size=12), st.binary(max_size=16))
def test_every_aligned_hundred_explores_five(hundred: int, effect: str, key: bytes) -> None:
    """The budget is exact, not an expectation: hashing each job alone gives 0 to 12."""
    numbers = range(hundred * 100, hundred * 100 + 100)

    explored = sum(slot_of(effect_type=effect, number=n, key=key).explores for n in numbers)

    assert explored == 5


def test_the_explored_places_are_spread_and_differ_by_key() -> None:
    """A fixed place could be guessed, and would meet the same hour of the day for ever."""
    places = [
        next(n for n in range(20) if slot_of(effect_type="x", number=b * 20 + n, key=KEY).explores)
        for b in range(400)
    ]
    others = [
        next(n for n in range(20) if slot_of(effect_type="x", number=b * 20 + n, key=b"2").explores)
        for b in range(400)
    ]

    assert set(places) == set(range(20))
    assert max(places.count(place) for place in range(20)) < 45
    assert places != others


def test_arms_are_drawn_by_weight() -> None:
    """Where there is more to learn, more is explored."""
    weights = {"a": 0.03, "b": 0.01, "c": 0.0}

    drawn = [arm_of(weights, effect_type="x", number=n, key=KEY) for n in range(2_000)]

    assert 1_400 < drawn.count("a") < 1_600
    assert drawn.count("a") + drawn.count("b") == 2_000


def test_a_job_number_gives_the_same_arm_for_ever() -> None:
    """A retry, or a map in another order, must not try another provider."""
    first = [arm_of({"a": 1.0, "b": 2.0}, effect_type="x", number=n, key=KEY) for n in range(50)]
    again = [arm_of({"b": 2.0, "a": 1.0}, effect_type="x", number=n, key=KEY) for n in range(50)]

    assert first == again


def test_without_weight_nobody_is_drawn() -> None:
    """A provider that is suspended is not explored either."""
    assert arm_of({"a": 0.0}, effect_type="x", number=1, key=KEY) is None
    assert arm_of({}, effect_type="x", number=1, key=KEY) is None
