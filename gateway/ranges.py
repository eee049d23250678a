"""The Range header of RFC 9110, one range at a time. Pure."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

_ONE: Final = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})")


class Span(Struct, frozen=True):
    """Bytes ``start`` to ``end``, ``end`` not included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.end - self.start


class UnsatisfiableRangeError(ValueError):
    """The range starts behind the end."""

    def __init__(self, header: str, size: int) -> None:
        super().__init__(f"no byte of {header!r} in {size} bytes")
        self.size = size


def span_of(header: str | None, size: int) -> Span | None:
    """Return the wanted part, or ``None`` for the whole: no header, or one we need not follow.

    >>> span_of("bytes=0-4", 10), span_of("bytes=-3", 10), span_of("bytes=7-", 10)
    (Span(start=0, end=5), Span(start=7, end=10), Span(start=7, end=10))
    >>> span_of("bytes=0-1,4-5", 10) is None
    True

    Raises:
        UnsatisfiableRangeError: no byte of it is there.
    """
    match = _ONE.fullmatch((header or "").strip())
    if header is None or match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return _suffix(header, int(last), size)
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise UnsatisfiableRangeError(header, size)
    return Span(start, min(int(last) + 1, size) if last else size)


def _suffix(header: str, length: int, size: int) -> Span:
    if length == 0 or size == 0:
        raise UnsatisfiableRangeError(header, size)
    return Span(max(size - length, 0), size)
