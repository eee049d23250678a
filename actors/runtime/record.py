"""The saga record: state and everything a step says, stored together before anything is said.

One message on ``saga.<key>`` holds one step. It is written under the sequence of the record before
it, so of two workers on one saga one writes and the other starts again from what was written. The
record is the outbox too: a step's words are said before the next step is stored, and whoever loads
a saga says the last record's words again first. The streams drop what they already have.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Generic, Protocol

import anyio
import msgspec
from msgspec import Struct

from actors.runtime.contract import GiveUp, Heard, Saga, State, TryLater
from actors.runtime.errors import WrongLastSequenceError
from actors.runtime.transport import Transport
from actors.runtime.wire import EXPECTED_LAST, Outgoing, encode, outgoing
from schemas.base import EventId
from subjects import build
from subjects.topology import SAGA

APPLIED_KEPT: Final = 512
"""Messages a record remembers. A job hears some dozens in its life; one that comes again behind so
many others would count twice."""
CACHED: Final = 4096
"""Sagas kept in memory, unless told otherwise; the others are loaded from their last record."""
CONFLICT_TRIES: Final = 8


class Record(Struct, frozen=True, kw_only=True):
    """One step of one saga."""

    key: str
    step: int
    applied: tuple[EventId, ...]
    """The messages that led here, newest last."""
    state: msgspec.Raw
    said: tuple[Outgoing, ...]
    """What the newest of them made the saga say."""


class Log(Protocol):
    """Where records are kept."""

    async def last(self, key: str) -> tuple[int, bytes] | None:
        """Return sequence and body of the newest record."""
        ...

    async def append(self, key: str, body: bytes, *, after: int) -> int:
        """Store a record behind sequence ``after``, 0 for the first; return its sequence.

        Raises:
            WrongLastSequenceError: another record is the newest.
        """
        ...


class StreamLog:
    """Records in the SAGA stream."""

    def __init__(self, *, bus: Transport) -> None:
        self._bus = bus

    async def last(self, key: str) -> tuple[int, bytes] | None:
        """Return sequence and body of the newest record."""
        return await self._bus.last(SAGA, build.saga(key))

    async def append(self, key: str, body: bytes, *, after: int) -> int:
        """Store a record behind ``after``."""
        ack = await self._bus.publish(build.saga(key), body, {EXPECTED_LAST: str(after)})
        return ack.seq


Say = Callable[[Sequence[Outgoing]], Awaitable[None]]
"""Stores words on the bus, and returns when they are stored."""


class _Known(Struct, Generic[State]):
    sequence: int
    record: Record
    state: State


class Recorded(Generic[State, Heard]):
    """A saga as an actor: ``receive`` stores the step and says its words.

    At most ``cached`` sagas stay in memory, those that moved last.
    """

    def __init__(
        self, *, saga: Saga[State, Heard], log: Log, say: Say, cached: int = CACHED
    ) -> None:
        self._saga = saga
        self._log = log
        self._say = say
        self._cached = cached
        self._known: OrderedDict[str, _Known[State]] = OrderedDict()
        self._busy: dict[str, tuple[anyio.Lock, int]] = {}

    async def receive(self, heard: Heard) -> Sequence[Outgoing]:
        """Apply one message once, however often it comes. Everything is said on return.

        Raises:
            TryLater: others keep writing this saga; the message comes again.
        """
        key = self._saga.key(heard)
        async with self._alone(key):
            for _ in range(CONFLICT_TRIES):
                try:
                    await self._apply(key, heard)
                except WrongLastSequenceError:
                    self._known.pop(key, None)
                else:
                    return ()
        raise TryLater(f"saga {key} is being written elsewhere", retry_after=0.5)

    async def _apply(self, key: str, heard: Heard) -> None:
        known = await self._load(key)
        if known is not None and heard.event_id in known.record.applied:
            return
        try:
            step = await self._saga.step(known.state if known else None, heard)
        except (GiveUp, TryLater):
            await self._check_newest(key, known)
            raise
        if step is None:
            await self._check_newest(key, known)
            return
        before = known.record.applied if known else ()
        record = Record(
            key=key,
            step=known.record.step + 1 if known else 1,
            applied=(*before, heard.event_id)[-APPLIED_KEPT:],
            state=msgspec.Raw(encode(step.state)),
            said=tuple(outgoing(each) for each in step.said),
        )
        after = known.sequence if known else 0
        sequence = await self._log.append(key, encode(record), after=after)
        # Until its words are said the step is not known here: a failure leads through ``_load``.
        self._known.pop(key, None)
        await self._say(record.said)
        self._remember(key, _Known(sequence, record, step.state))

    async def _check_newest(self, key: str, known: _Known[State] | None) -> None:
        """Return when a decision to do nothing was made from the newest record.

        A step is checked when it is stored; nothing is not stored. Another process may have led
        the saga on since we last did, and what it now waits for would be dropped here.

        Raises:
            WrongLastSequenceError: it was not; decide again.
        """
        found = await self._log.last(key)
        if (found[0] if found else 0) != (known.sequence if known else 0):
            raise WrongLastSequenceError(key)

    async def _load(self, key: str) -> _Known[State] | None:
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        found = await self._log.last(key)
        if found is None:
            return None
        sequence, body = found
        record = msgspec.json.decode(body, type=Record)
        await self._say(record.said)
        state = msgspec.json.decode(record.state, type=self._saga.state_type)
        known = _Known(sequence, record, state)
        self._remember(key, known)
        return known

    def _remember(self, key: str, known: _Known[State]) -> None:
        self._known[key] = known
        self._known.move_to_end(key)
        while len(self._known) > self._cached:
            self._known.popitem(last=False)

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        """One message at a time for each saga in this process; other processes meet at the log."""
        lock, users = self._busy.get(key, (anyio.Lock(), 0))
        self._busy[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._busy[key]
            if users == 1:
                del self._busy[key]
            else:
                self._busy[key] = (lock, users - 1)
