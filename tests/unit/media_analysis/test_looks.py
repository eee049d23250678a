"""A look is measured in units a provider record can name."""

from __future__ import annotations

import cv2
import pytest

from media import looks
from media.looks import adherence, measure_look
from tests.unit.media_analysis.clips import (
    Frame,
    Look,
    clipped,
    dream,
    footage,
    noise,
    pan,
    pixelate,
    textured,
    warm,
)

CLIP = pan(textured(3), count=12)


def measured(frames: list[Frame]) -> dict[str, float]:
    """Return what was done to the clip."""
    return measure_look(footage(CLIP), footage(frames))


def test_an_untouched_clip_is_neutral() -> None:
    """Zero, or one for the ratios: else calibration starts from a lie."""
    for key, value in measured(CLIP).items():
        assert looks.steps(key, value) == pytest.approx(0.0, abs=1e-6), key


@pytest.mark.parametrize(
    ("done", "key", "least"),
    [
        (lambda f: warm(f), "warmth", 0.05),
        (lambda f: clipped(f * 1.2), "brightness", 0.04),
        (lambda f: clipped((f.astype(float) - 110) * 1.4 + 110), "contrast", 1.3),
        (lambda f: cv2.GaussianBlur(f, (0, 0), 2), "softness", 0.2),
        (lambda f: pixelate(f), "pixelation", 0.3),
        (lambda f: f // 40 * 40 + 20, "posterization", 0.2),
        (lambda f: dream(f), "brightness", 0.05),
    ],
)
def test_each_change_shows_under_its_own_key(done: Look, key: str, least: float) -> None:
    """A record that asks for one thing must be answered by that thing."""
    assert measured([done(frame) for frame in CLIP])[key] >= least


def test_grain_shows_as_grain() -> None:
    """Noise is wanted by a film look and damage to any other."""
    assert measured(noise(CLIP, 2))["grain"] > 0.01


def test_half_the_way_is_less_than_half_as_good_as_there() -> None:
    """Strength must pay, or every provider would do as little as possible."""
    there = adherence({"warmth": 0.06}, {"warmth": 0.06})
    half = adherence({"warmth": 0.03}, {"warmth": 0.06})

    assert there == 1.0
    assert 0.3 < half < 0.75


def test_the_opposite_way_is_worth_nothing() -> None:
    """Cold instead of warm is not a weak warm."""
    assert adherence({"warmth": -0.06}, {"warmth": 0.06}) == 0.0


def test_overdoing_it_costs() -> None:
    """Four times the wanted warmth is another look."""
    assert adherence({"warmth": 0.24}, {"warmth": 0.06}) < 0.5


def test_a_colour_that_should_have_stayed_costs() -> None:
    """Warm and green is not warm."""
    clean = adherence({"warmth": 0.06, "tint": 0.0}, {"warmth": 0.06})
    green = adherence({"warmth": 0.06, "tint": 0.2}, {"warmth": 0.06})

    assert green < clean - 0.2


def test_a_tiny_target_is_not_reached_by_chance() -> None:
    """Coding noise moves warmth by a thousandth; that is no effect."""
    assert adherence({"warmth": 0.004}, {"warmth": 0.021}) < 0.3


def test_an_unknown_key_is_refused() -> None:
    """The registry can check a record with the same function."""
    with pytest.raises(looks.UnknownLookError, match="sparkle"):
        adherence({}, {"sparkle": 1.0})
