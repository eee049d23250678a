"""A style is named by comparison, and the shipped book can be trusted to fit the code."""

from __future__ import annotations

import numpy as np
import pytest

from media import style
from media.style import FEATURES, NATURAL, StyleBook
from tests.effects_made import LOOKS, Look
from tests.unit.media_analysis.clips import Frame, footage, plain_frame

NAMES = {NATURAL, *(look.__name__ for look in LOOKS)}


@pytest.fixture(scope="module")
def book() -> StyleBook:
    """Return what is shipped."""
    return style.shipped()


def test_the_book_fits_the_numbers(book: StyleBook) -> None:
    """A changed number without a new book would compare apples with pears."""
    for styles in (book.alone, book.against):
        assert set(styles.names) == NAMES
        assert len(styles.centre) == len(styles.scale) == FEATURES
        assert {len(row) for row in styles.directions} == {FEATURES}
        assert {len(row) for row in styles.middles} == {len(styles.directions)}


def test_there_are_as_many_numbers_as_promised(city: list[Frame]) -> None:
    """Also of a picture with nothing on it, all finite."""
    for frames in (city[:4], [plain_frame((0, 0, 0))] * 3, [plain_frame((255, 255, 255))]):
        numbers = style.features(footage(frames))

        assert numbers.shape == (FEATURES,)
        assert np.isfinite(numbers).all()


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.__name__)
def test_a_look_is_recognised_against_the_input(
    look: Look, city: list[Frame], book: StyleBook
) -> None:
    """At a size and without a coder that the book was not made with."""
    named = style.name_change(footage(city), footage([look(frame, 1.0) for frame in city]), book)

    assert look.__name__ in (named.name, named.near)


def test_nothing_done_is_natural(city: list[Frame], book: StyleBook) -> None:
    """An untouched result has no style, whatever the clip looks like by itself."""
    named = style.name_change(footage(city), footage(city), book)

    assert named.name == NATURAL
    assert named.confidence > 0.9


def test_the_directions_part_what_differs() -> None:
    """On numbers whose answer is known."""
    dice = np.random.default_rng(1)
    middles = {"a": (0.0, 0.0, 0.0), "b": (3.0, 0.0, 0.0), "c": (0.0, 3.0, 0.0)}
    labels = [name for name in middles for _ in range(50)]
    rows = np.stack(
        [np.array(middles[name]) + dice.normal(0, 1, 3) * (1, 1, 40) for name in labels]
    )

    taught = style.fit(rows, labels)
    right = [
        style.nearest(np.array(middles[name]) + np.array([0, 0, 60.0]), taught).name == name
        for name in middles
    ]

    assert all(right)


def test_a_strong_claim_needs_more_than_to_be_likeliest() -> None:
    """Painted is not said of what may as well be muted."""
    unsure = style.Named(name="painterly", confidence=0.45, near="muted")

    assert style.settled(unsure).name == "muted"
    assert style.settled(style.Named(name="painterly", confidence=0.97, near="muted")).name == (
        "painterly"
    )
    assert style.settled(style.Named(name="cool", confidence=0.6, near="muted")).name == "cool"
