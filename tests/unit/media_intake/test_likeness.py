"""Near copies have near fingerprints, everything else is far."""

from __future__ import annotations

import numpy as np
import pytest

from media.fingerprint import PICTURES, SIDE, fingerprint, picture_hash
from media.likeness import NEAR, distance

DICE = np.random.default_rng(7)
SMOOTH = np.kron(DICE.integers(0, 255, (8, 8)), np.ones((4, 4))).astype(np.uint8)


def test_a_picture_is_its_own_likeness() -> None:
    """The same pixels, the same hash."""
    assert picture_hash(SMOOTH) == picture_hash(SMOOTH.copy())
    assert len(picture_hash(SMOOTH)) == 16


def test_noise_and_brightness_do_not_change_who_it_is() -> None:
    """What an encoder or a slider does to a clip."""
    noisy = np.clip(SMOOTH * 0.8 + 20 + DICE.normal(0, 4, SMOOTH.shape), 0, 255).astype(np.uint8)
    one, other = fingerprint([SMOOTH] * PICTURES), fingerprint([noisy] * PICTURES)

    assert distance(one, other) <= NEAR


def test_other_pictures_are_far() -> None:
    """About half of the bits differ."""
    others = [DICE.integers(0, 255, (SIDE, SIDE)).astype(np.uint8) for _ in range(PICTURES)]

    assert distance(fingerprint([SMOOTH] * PICTURES), fingerprint(others)) > 3 * NEAR


def test_black_clips_are_not_copies_of_each_other() -> None:
    """They look the same because there is nothing to see."""
    black = np.zeros((SIDE, SIDE), np.uint8)

    assert fingerprint([black] * PICTURES) == ""
    assert fingerprint([black] * 5 + [SMOOTH] * 3) == ""
    assert distance("", "") == 1.0


@pytest.mark.parametrize("other", ["", "0" * 127, "0" * 129, "g" * 128, "0" * 64])
def test_what_is_no_fingerprint_is_like_nothing(other: str) -> None:
    """It comes from a child that may have been taken over."""
    assert distance("0" * 128, other) == 1.0
