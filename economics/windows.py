"""Sums over the last hour, day and week by provider and effect type, in rings of buckets.

Everything summed is an integer, so what expires leaves no residue. A late event counts in the
bucket of its own time while that bucket is still in the window; reading at a later time expires
old buckets without a new event. The margin of a window is a ratio of sums.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from msgspec import Struct

from economics.cost import marginality
from schemas.asks import MarginRow
from schemas.base import MicroTokens, ProviderId

_MINUTE: Final = 60

Key = tuple[ProviderId, str]
"""A provider and an effect type."""


class Sums(Struct, kw_only=True):
    """What is counted in a bucket and added up over a window."""

    tasks: int = 0
    failures: int = 0
    charged_microtokens: MicroTokens = 0
    cost_microtokens: MicroTokens = 0

    def add(self, other: Sums) -> None:
        """Add another's counts to these."""
        self.tasks += other.tasks
        self.failures += other.failures
        self.charged_microtokens += other.charged_microtokens
        self.cost_microtokens += other.cost_microtokens

    @property
    def empty(self) -> bool:
        """Say whether nothing was counted."""
        return self == _NOTHING


_NOTHING: Final = Sums()


class Span(Struct, frozen=True, kw_only=True):
    """The length of a window and of its buckets."""

    name: str
    bucket_s: int
    buckets: int


SPANS: Final = (
    Span(name="1h", bucket_s=_MINUTE, buckets=60),
    Span(name="24h", bucket_s=15 * _MINUTE, buckets=96),
    Span(name="7d", bucket_s=60 * _MINUTE, buckets=168),
)


class Ring:
    """One window of one key. A bucket is reused when the clock has gone once around."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._numbers = [-1] * span.buckets
        self._sums = [Sums() for _ in range(span.buckets)]

    def add(self, at: datetime, sums: Sums) -> None:
        """Count something that happened at ``at``; too late for the window, it is left out."""
        number = self._number(at)
        place = number % self._span.buckets
        if self._numbers[place] > number:
            return
        if self._numbers[place] < number:
            self._numbers[place] = number
            self._sums[place] = Sums()
        self._sums[place].add(sums)

    def total(self, now: datetime) -> Sums:
        """Return the sums over the window that ends at ``now``."""
        last = self._number(now)
        total = Sums()
        for number, sums in zip(self._numbers, self._sums, strict=True):
            if last - self._span.buckets < number <= last:
                total.add(sums)
        return total

    def _number(self, at: datetime) -> int:
        return int(at.timestamp()) // self._span.bucket_s


class Windows:
    """The three windows of every provider and effect type that was ever seen."""

    def __init__(self, spans: tuple[Span, ...] = SPANS) -> None:
        self._spans = spans
        self._rings: dict[Key, tuple[Ring, ...]] = {}

    def add(self, key: Key, at: datetime, sums: Sums) -> None:
        """Count something in every window."""
        if key not in self._rings:
            self._rings[key] = tuple(Ring(span) for span in self._spans)
        for ring in self._rings[key]:
            ring.add(at, sums)

    def total(self, key: Key, window: str, now: datetime) -> Sums:
        """Return one window's sums for one key."""
        rings = self._rings.get(key, ())
        for span, ring in zip(self._spans, rings, strict=False):
            if span.name == window:
                return ring.total(now)
        return Sums()

    def margins(self, now: datetime) -> tuple[MarginRow, ...]:
        """Return every window in which something happened, sorted by key and window."""
        return tuple(self._rows(now))

    def _rows(self, now: datetime) -> Iterator[MarginRow]:
        for provider_id, effect_type in sorted(self._rings):
            rings = self._rings[provider_id, effect_type]
            for span, ring in zip(self._spans, rings, strict=True):
                total = ring.total(now)
                if not total.empty:
                    yield _row(span.name, provider_id, effect_type, total)


def _row(window: str, provider_id: ProviderId, effect_type: str, total: Sums) -> MarginRow:
    return MarginRow(
        window=window,
        provider_id=provider_id,
        effect_type=effect_type,
        tasks=total.tasks,
        failures=total.failures,
        charged_microtokens=total.charged_microtokens,
        cost_microtokens=total.cost_microtokens,
        marginality=marginality(total.charged_microtokens, total.cost_microtokens),
    )
