"""Which message of a stream comes next for a reader."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Any

from actors.runtime.memory.matching import covers, filters_of
from actors.runtime.memory.streams import Kept, MemoryStream


class Cursor:
    """One reader's place in a stream, seen through its filters."""

    def __init__(self, *, stream: MemoryStream, config: dict[str, Any]) -> None:
        self._stream = stream
        self._filters = filters_of(config)
        self._known: dict[str, bool] = {}
        self._first: deque[int] = deque()
        self._place = stream.first
        policy = config.get("deliver_policy", "all")
        if policy == "by_start_sequence":
            self._place = max(self._place, int(config["opt_start_seq"]))
        elif policy in ("new", "last_per_subject"):
            self._place = stream.last + 1
        if policy == "last_per_subject":
            self._first.extend(
                sorted(
                    kept[-1] for subject, kept in stream.subjects.items() if self._wants(subject)
                )
            )

    @property
    def passed(self) -> int:
        """The sequence before the place."""
        return self._place - 1

    def left(self) -> int:
        """Return how many messages are still to come."""
        return sum(sequence in self._stream.kept for sequence in self._first) + sum(
            len(kept) - bisect_left(kept, self._place)
            for subject, kept in self._stream.subjects.items()
            if self._wants(subject)
        )

    def step(self) -> Kept | None:
        """Go on to the next message and return it."""
        while self._first:
            if (kept := self._stream.kept.get(self._first.popleft())) is not None:
                return kept
        while self._place <= self._stream.last:
            kept = self._stream.kept.get(self._place)
            self._place += 1
            if kept is not None and self._wants(kept.subject):
                return kept
        return None

    def rewind(self) -> None:
        """Start over, in a stream that counts from one again."""
        self._first.clear()
        self._place = self._stream.first

    def look_for(self, config: dict[str, Any]) -> None:
        """Take other filters from here on."""
        self._filters = filters_of(config)
        self._known.clear()

    def _wants(self, subject: str) -> bool:
        if subject not in self._known:
            self._known[subject] = any(covers(each, subject) for each in self._filters)
        return self._known[subject]
