"""Filters as NATS reads them."""

from __future__ import annotations

import pytest

from actors.runtime.memory.matching import covers, is_pattern, overlap


@pytest.mark.parametrize(
    ("pattern", "subject", "covered"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.b", "a.b.c", False),
        ("a.b.c", "a.b", False),
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*.c", "a.b.c", True),
        ("*.*", "a.b", True),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        (">", "a", True),
        ("a.>", "a.*", True),
        ("a.*", "a.>", False),
        ("a.b", "a.*", False),
        ("*", "*", True),
    ],
)
def test_a_filter_covers_what_it_names_and_nothing_else(
    pattern: str, subject: str, *, covered: bool
) -> None:
    """A consumer that hears too little waits for ever, and one that hears too much buries it."""
    assert covers(pattern, subject) is covered


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.c", False),
        ("a.*", "*.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("a.*.c", "a.b.*", True),
        ("a.*", "a.b.c", False),
        ("a.*.x", "a.*.y", False),
        (">", "a", True),
    ],
)
def test_filters_overlap_when_one_subject_is_in_both(one: str, other: str, *, meet: bool) -> None:
    """Of a work queue nobody may take what another takes."""
    assert overlap(one, other) is meet
    assert overlap(other, one) is meet


def test_a_wildcard_is_a_whole_token() -> None:
    """A star inside a token is a letter like any other."""
    assert [is_pattern(each) for each in ("a.b", "a*.b", "a.*", ">")] == [False, False, True, True]
