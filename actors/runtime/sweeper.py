"""Says again what a saga stored and perhaps never said, when nothing else would make it speak.

A step is stored before its words are said. Whoever dies between the two leaves a saga silent until
its next message; if nobody has a reason to send one, for ever. So each saga that is not over and
that has not moved for a while says its last words again, once in each process that sweeps. The
streams drop what they have; behind their window the receivers do, who know the ids.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import anyio
import msgspec
from msgspec import Struct

from actors.runtime.errors import BusError
from actors.runtime.feed import Feed
from actors.runtime.record import CONFLICT_TRIES, Log, Record, Say
from actors.runtime.transport import Received, Transport
from actors.runtime.wire import Delivery
from subjects import build
from subjects.topology import SAGA

log = logging.getLogger("effectmesh.sweeper")

INTERVAL_S: Final = 30.0
QUIET_S: Final = 60.0
"""A saga that moved within this time is somebody's work, and speaks for itself."""
PER_SWEEP: Final = 200
"""Sagas that speak in one sweep; the others wait for the next."""


class Swept(Struct, frozen=True, kw_only=True):
    """One kind of saga."""

    owns: Callable[[str], bool]
    """Whether a record's key is one of this kind."""
    over: Callable[[bytes], bool]
    """Whether a state is the end of a saga; it has nothing to wait for."""
    log: Log
    say: Say


class _Open(Struct):
    """A saga that is not over."""

    kind: Swept
    since: float
    """When we first saw this record."""
    said: bool = False


class Sweeper:
    """Follows the saga records, and lets those speak that stand still."""

    def __init__(
        self,
        *,
        bus: Transport,
        kinds: Sequence[Swept],
        interval_s: float = INTERVAL_S,
        quiet_s: float = QUIET_S,
        per_sweep: int = PER_SWEEP,
    ) -> None:
        self._bus = bus
        self._kinds = kinds
        self._interval_s = interval_s
        self._quiet_s = quiet_s
        self._per_sweep = per_sweep
        self._open: dict[str, _Open] = {}
        self._after = 0
        self.spoken = 0
        """How many sagas were let speak."""

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await self.sweep()
            await anyio.sleep(self._interval_s)

    async def sweep(self) -> int:
        """Take in what was stored since the last sweep, and let the quiet sagas speak.

        Returns how many spoke. When the broker is away that is none; they are due again.
        """
        try:
            await self._read()
            return await self._speak()
        except BusError as away:
            log.info("the sweep has to wait: %s", away)
            return 0

    async def _read(self) -> None:
        """Take in the newest record of each saga the first time, and then what followed."""
        feed = Feed(
            bus=self._bus,
            stream=SAGA,
            subject=build.saga_records(),
            start="newest" if not self._after else "all",
            after=self._after,
        )
        await feed.read(self._take)

    async def _take(self, message: Received, delivery: Delivery) -> None:
        self._after = delivery.sequence
        try:
            record = msgspec.json.decode(message.data, type=Record)
            kind = next((each for each in self._kinds if each.owns(record.key)), None)
            over = kind is None or kind.over(bytes(record.state))
        except msgspec.DecodeError as strange:
            log.error("%s %d is no saga record: %s", SAGA, delivery.sequence, strange)
            return
        if kind is None or over:
            self._open.pop(record.key, None)
        else:
            self._open[record.key] = _Open(kind, anyio.current_time())

    async def _speak(self) -> int:
        now = anyio.current_time()
        due = [
            (key, each)
            for key, each in self._open.items()
            if not each.said and now - each.since >= self._quiet_s
        ]
        for key, each in due[: self._per_sweep]:
            await say_again(key, log=each.kind.log, say=each.kind.say)
            each.said = True
            self.spoken += 1
        return min(len(due), self._per_sweep)


async def say_again(key: str, *, log: Log, say: Say) -> None:
    """Say the words of a saga's last record again.

    When the saga moved on meanwhile, its newer words follow: a timer that it took away or set anew
    in between ends up as the newest record has it.
    """
    said = 0
    for _ in range(CONFLICT_TRIES):
        found = await log.last(key)
        if found is None or found[0] == said:
            return
        said, body = found
        await say(msgspec.json.decode(body, type=Record).said)
