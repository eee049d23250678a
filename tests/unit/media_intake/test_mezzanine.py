"""Size, rate and rhythm of the mezzanine are arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.mezzanine import LONG_SIDE, SHORT_SIDE, STANDARD_RATES, Pace, fitted, standard_rate


@pytest.mark.parametrize(
    ("pace", "expected"),
    [
        (Fraction(10000, 407), Fraction(25)),
        (Fraction(2997, 100), Fraction(30000, 1001)),
        (Fraction(24), Fraction(24)),
        (Fraction(23976, 1000), Fraction(24000, 1001)),
        (Fraction(1), Fraction(24)),
        (Fraction(10), Fraction(30)),
        (Fraction(25, 2), Fraction(25)),
        (Fraction(15), Fraction(30)),
        (Fraction(90), Fraction(60)),
        (Fraction(1000), Fraction(60)),
    ],
)
def test_a_pace_snaps_to_a_standard_rate(pace: Fraction, expected: Fraction) -> None:
    """A slow clip gets a whole multiple where there is one, so that it does not judder."""
    assert standard_rate(pace) == expected


@given(st.fractions(min_value=Fraction(1, 100), max_value=1000))
def test_every_pace_has_a_standard_rate(pace: Fraction) -> None:
    """No measured rhythm may stop a clip."""
    assert standard_rate(pace) in STANDARD_RATES


@pytest.mark.parametrize(
    ("size", "aspect", "turned", "expected"),
    [
        ((1280, 720), 1, False, (1280, 720)),
        ((720, 405), 1, False, (720, 404)),
        ((1920, 1080), 1, True, (1080, 1920)),
        ((3840, 2160), 1, False, (1920, 1080)),
        ((2160, 3840), 1, False, (1080, 1920)),
        ((3000, 3000), 1, False, (1080, 1080)),
        ((4000, 1000), 1, False, (1920, 480)),
        ((720, 576), Fraction(16, 11), False, (1046, 576)),
        ((720, 480), Fraction(8, 9), False, (720, 540)),
        ((160, 90), Fraction(1, 1000), False, (160, 90)),
    ],
)
def test_pictures_fit_either_orientation(
    size: tuple[int, int], aspect: Fraction, turned: bool, expected: tuple[int, int]
) -> None:
    """The limits are a long and a short side, so landscape and portrait are treated alike."""
    frame = fitted(*size, aspect=Fraction(aspect), turned=turned)

    assert (frame.width, frame.height) == expected


@given(
    st.integers(16, 4096),
    st.integers(16, 4096),
    st.fractions(min_value=Fraction(1, 10), max_value=10),
    st.booleans(),
)
def test_every_frame_is_even_and_within_the_limits(
    width: int, height: int, aspect: Fraction, turned: bool
) -> None:
    """The encoder refuses odd sides, and nobody pays for pixels beyond Full HD."""
    frame = fitted(width, height, aspect=aspect, turned=turned)

    assert frame.width % 2 == frame.height % 2 == 0
    assert 2 <= min(frame.width, frame.height) <= SHORT_SIDE
    assert 2 <= max(frame.width, frame.height) <= LONG_SIDE
    assert 0 <= frame.scale_width - frame.width <= 1
    assert 0 <= frame.scale_height - frame.height <= 1


@given(
    st.lists(st.integers(0, 2_000), min_size=1, max_size=40),
    st.sampled_from(STANDARD_RATES),
    st.integers(1, 60),
)
def test_every_slot_is_filled_exactly_once(times_ms: list[int], rate: Fraction, total: int) -> None:
    """Whatever the stamps say, even backwards, the mezzanine has its pictures in order."""
    pace = Pace(start=Fraction(times_ms[0], 1000), rate=rate, total=total)
    slots = [slot for at in times_ms for slot in pace.until(Fraction(at, 1000))]
    slots += pace.rest()

    assert slots == list(range(total))
