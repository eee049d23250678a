"""The Range header, against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ranges import Span, UnsatisfiableRangeError, span_of


@pytest.mark.parametrize(
    ("header", "span"),
    [
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=5-2", None),
        ("bytes=a-b", None),
        ("bytes=0-1,3-4", None),
        ("items=0-1", None),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=9-", Span(9, 10)),
        ("bytes=0-99", Span(0, 10)),
        ("bytes=-4", Span(6, 10)),
        ("bytes=-99", Span(0, 10)),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
def test_a_header_names_a_part_or_the_whole(header: str | None, span: Span | None) -> None:
    """A header we need not follow is no error: the whole is a right answer too."""
    assert span_of(header, 10) == span


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=-5", 0)])
def test_a_part_that_is_not_there_is_refused(header: str, size: int) -> None:
    """The client learns the size."""
    with pytest.raises(UnsatisfiableRangeError) as refused:
        span_of(header, size)
    assert refused.value.size == size


@given(st.text(max_size=30), st.integers(0, 1000))
def test_no_header_names_bytes_that_are_not_there(text: str, size: int) -> None:
    """Whatever a client sends."""
    for header in (text, "bytes=" + text):
        try:
            span = span_of(header, size)
        except UnsatisfiableRangeError:
            continue
        assert span is None or 0 <= span.start < span.end <= size
