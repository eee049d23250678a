"""What a stream does with a message: limits, duplicates, expected sequences, schedules."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

from msgspec import Struct

from actors.runtime.bus import WRONG_LAST_SEQUENCE
from actors.runtime.memory.clock import VirtualClock, nanoseconds
from actors.runtime.memory.matching import covers
from actors.runtime.wire import EXPECTED_LAST, MSG_ID, SCHEDULE, SCHEDULE_TARGET

EXPECTED_STREAM: Final = "Nats-Expected-Stream"
SCHEDULER: Final = "Nats-Scheduler"
SCHEDULE_NEXT: Final = "Nats-Schedule-Next"
OVERHEAD_BYTES: Final = 30
"""What a stored message costs beside its subject, headers and body."""
WRONG_STREAM: Final = 10060
STORE_FAILED: Final = 10077
SCHEDULES_OFF: Final = 10188
BAD_SCHEDULE: Final = 10189
BAD_TARGET: Final = 10190

_AT: Final = re.compile(r"@at (\S+)")
Say = Callable[[str, bytes, dict[str, str]], None]


class RefusedError(Exception):
    """What the server answers instead of doing it."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Kept(Struct, frozen=True):
    """One stored message."""

    sequence: int
    subject: str
    data: bytes
    headers: dict[str, str]
    at_ns: int

    @property
    def size(self) -> int:
        """Bytes, near enough."""
        headers = sum(len(name) + len(value) + 4 for name, value in self.headers.items())
        return OVERHEAD_BYTES + len(self.subject) + headers + len(self.data)


class MemoryStream:
    """One stream. ``say`` publishes what a schedule says when its time has come."""

    def __init__(self, *, config: dict[str, Any], clock: VirtualClock, say: Say) -> None:
        self.config = config
        self._clock = clock
        self._say = say
        self.kept: OrderedDict[int, Kept] = OrderedDict()
        self.subjects: dict[str, list[int]] = {}
        self.last = 0
        self.bytes = 0
        self._ids: OrderedDict[str, tuple[int, int]] = OrderedDict()

    @property
    def name(self) -> str:
        """The stream's name."""
        return str(self.config["name"])

    @property
    def first(self) -> int:
        """The first sequence that is there, or the next one."""
        return next(iter(self.kept), self.last + 1)

    @property
    def is_work_queue(self) -> bool:
        """True when what is acknowledged is removed."""
        return self.config.get("retention") == "workqueue"

    def takes(self, subject: str) -> bool:
        """Tell whether this stream stores a subject."""
        return any(covers(each, subject) for each in self.config.get("subjects") or ())

    def store(self, subject: str, data: bytes, headers: dict[str, str]) -> tuple[int, bool]:
        """Store one message; return its sequence, and whether it was there before.

        Raises:
            RefusedError: a condition in the headers does not hold, or there is no room.
        """
        self.expire()
        if headers.get(EXPECTED_STREAM, self.name) != self.name:
            raise RefusedError(WRONG_STREAM, "expected stream does not match")
        self._check_sequence(subject, headers)
        if (known := self._known(headers)) is not None:
            return known, True
        due_ns = self._schedule(headers)
        kept = Kept(self.last + 1, subject, data, headers, self._clock.now_ns)
        self._check_room(kept)
        if due_ns is not None:
            self.purge(subject)
        self._add(kept)
        if due_ns is not None and due_ns > self._clock.now_ns:
            self._clock.call_at(due_ns, partial(self._due, kept))
        elif due_ns is not None:
            self._due(kept)
        return kept.sequence, False

    def newest(self, subject: str) -> Kept | None:
        """Return the newest message on a subject."""
        self.expire()
        sequences = self.subjects.get(subject)
        return self.kept[sequences[-1]] if sequences else None

    def remove(self, sequence: int) -> bool:
        """Take a message away; tell whether it was there."""
        kept = self.kept.pop(sequence, None)
        if kept is None:
            return False
        self.bytes -= kept.size
        sequences = self.subjects[kept.subject]
        del sequences[bisect_left(sequences, sequence)]
        if not sequences:
            del self.subjects[kept.subject]
        return True

    def purge(self, pattern: str) -> int:
        """Take away everything on matching subjects; return how much it was. Ids stay known."""
        gone = [
            sequence
            for subject, kept in self.subjects.items()
            if covers(pattern, subject)
            for sequence in kept
        ]
        for sequence in gone:
            self.remove(sequence)
        return len(gone)

    def expire(self) -> None:
        """Take away what is too old or too much."""
        oldest = self._clock.now_ns - int(self.config.get("max_age") or 0)
        while self.config.get("max_age") and self.kept:
            sequence, kept = next(iter(self.kept.items()))
            if kept.at_ns > oldest:
                break
            self.remove(sequence)
        while self._too_much():
            self.remove(self.first)

    def forget(self) -> None:
        """Lose every message and every id, and count from one again."""
        self.kept.clear()
        self.subjects.clear()
        self._ids.clear()
        self.last = self.bytes = 0

    def _add(self, kept: Kept) -> None:
        self.last = kept.sequence
        self.bytes += kept.size
        self.kept[kept.sequence] = kept
        sequences = self.subjects.setdefault(kept.subject, [])
        sequences.append(kept.sequence)
        if message_id := kept.headers.get(MSG_ID):
            self._ids[message_id] = (kept.sequence, kept.at_ns)
        most = self._limit("max_msgs_per_subject")
        while most and len(sequences) > most:
            self.remove(sequences[0])
        self.expire()

    def _check_sequence(self, subject: str, headers: dict[str, str]) -> None:
        """Compare before looking for duplicates, as the server does."""
        expected = headers.get(EXPECTED_LAST)
        newest = self.newest(subject)
        found = newest.sequence if newest else 0
        if expected is not None and int(expected) != found:
            raise RefusedError(WRONG_LAST_SEQUENCE, f"wrong last sequence: {found}")

    def _known(self, headers: dict[str, str]) -> int | None:
        window_ns = int(self.config.get("duplicate_window") or 0)
        oldest = self._clock.now_ns - window_ns
        while self._ids:
            message_id, (_, at_ns) = next(iter(self._ids.items()))
            if at_ns > oldest:
                break
            del self._ids[message_id]
        found = self._ids.get(headers.get(MSG_ID, ""))
        return found[0] if found else None

    def _check_room(self, kept: Kept) -> None:
        if self.config.get("discard") != "new":
            return
        if (most := self._limit("max_msgs")) and len(self.kept) >= most:
            raise RefusedError(STORE_FAILED, "maximum messages exceeded")
        if (most := self._limit("max_bytes")) and self.bytes + kept.size > most:
            raise RefusedError(STORE_FAILED, "maximum bytes exceeded")

    def _too_much(self) -> bool:
        messages, size = self._limit("max_msgs"), self._limit("max_bytes")
        return bool((messages and len(self.kept) > messages) or (size and self.bytes > size))

    def _limit(self, name: str) -> int:
        """Return a limit, 0 for none."""
        return max(0, int(self.config.get(name) or 0))

    # -- schedules ------------------------------------------------------------------------------

    def _schedule(self, headers: dict[str, str]) -> int | None:
        """Return when a message is to be said, ``None`` for at once."""
        if (schedule := headers.get(SCHEDULE)) is None:
            return None
        if not self.config.get("allow_msg_schedules"):
            raise RefusedError(SCHEDULES_OFF, "message schedules is disabled")
        if (found := _AT.fullmatch(schedule)) is None:
            raise RefusedError(BAD_SCHEDULE, "message schedules pattern is invalid")
        if not self.takes(headers.get(SCHEDULE_TARGET, "")):
            raise RefusedError(BAD_TARGET, "message schedules target is invalid")
        return nanoseconds(datetime.fromisoformat(found[1]))

    def _due(self, scheduled: Kept) -> None:
        if not self.remove(scheduled.sequence):
            return  # replaced, or taken away
        ours = (SCHEDULE, SCHEDULE_TARGET, MSG_ID)
        headers = {name: text for name, text in scheduled.headers.items() if name not in ours}
        headers |= {SCHEDULER: scheduled.subject, SCHEDULE_NEXT: "purge"}
        self._say(scheduled.headers[SCHEDULE_TARGET], scheduled.data, headers)
