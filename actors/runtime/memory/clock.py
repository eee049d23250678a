"""Time that moves only when told to."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, NoReturn, TypeVar

import anyio
from anyio.lowlevel import checkpoint

T = TypeVar("T")

NANO: Final = 1_000_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
QUIET_ROUNDS: Final = 64
"""So many turns of the event loop without a message mean that everybody waits."""
SETTLE_ROUNDS: Final = 200_000
"""Turns of the event loop after which messages that never cease are somebody's mistake."""


class NeverQuietError(Exception):
    """Messages kept going round without any time passing."""

    def __init__(self) -> None:
        super().__init__(f"still no quiet after {SETTLE_ROUNDS} turns of the event loop")


class Timer:
    """Something that will be called, unless cancelled."""

    def __init__(self, due_ns: int, call: Callable[[], None], *, quiet: bool) -> None:
        self.due_ns = due_ns
        self.call: Callable[[], None] | None = call
        self.quiet = quiet
        """True for what changes nothing, as a heartbeat: one turn of the loop is enough for it."""

    def cancel(self) -> None:
        """Call nobody."""
        self.call = None


class VirtualClock:
    """A ``Clock`` for actors, and the timers of a broker in memory.

    Between two timers everything that can run is let run: until no message has moved for
    ``QUIET_ROUNDS`` turns of the event loop. Who waits for something else than messages and this
    clock, as a thread or a socket, is not waited for.
    """

    def __init__(self, at: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self._now_ns = nanoseconds(at)
        self._timers: list[tuple[int, int, Timer]] = []
        self._order = itertools.count()
        self._stirred = 0

    def now(self) -> datetime:
        """Return the time it was moved to."""
        return EPOCH + timedelta(microseconds=self._now_ns // 1000)

    @property
    def now_ns(self) -> int:
        """The time in nanoseconds since 1970."""
        return self._now_ns

    def call_in(self, seconds: float, call: Callable[[], None], *, quiet: bool = False) -> Timer:
        """Call something after so many seconds of this clock."""
        return self.call_at(self._now_ns + int(seconds * NANO), call, quiet=quiet)

    def call_at(self, due_ns: int, call: Callable[[], None], *, quiet: bool = False) -> Timer:
        """Call something at a time; at the next move, when that is past."""
        timer = Timer(due_ns, call, quiet=quiet)
        heapq.heappush(self._timers, (due_ns, next(self._order), timer))
        return timer

    def stir(self) -> None:
        """Say that something moved, so that nobody takes this for quiet."""
        self._stirred += 1

    async def settle(self) -> None:
        """Return when everybody waits.

        Raises:
            NeverQuietError: somebody never does.
        """
        seen, quiet = self._stirred, 0
        for _ in range(SETTLE_ROUNDS):
            await checkpoint()
            quiet = quiet + 1 if self._stirred == seen else 0
            seen = self._stirred
            if quiet >= QUIET_ROUNDS:
                return
        raise NeverQuietError

    async def advance(self, seconds: float) -> None:
        """Move on, firing everything that becomes due in its order, each at its own time."""
        target = self._now_ns + int(seconds * NANO)
        await self.settle()
        while (due := self._next_due()) is not None and due <= target:
            await self._fire(due)
        self._now_ns = target
        await self.settle()

    async def until(self, ready: Callable[[], bool], *, within_s: float = 3600.0) -> bool:
        """Move from timer to timer until ``ready``; tell whether it came to that in time."""
        limit = self._now_ns + int(within_s * NANO)
        await self.settle()
        while not ready():
            due = self._next_due()
            if due is None or due > limit:
                return False
            await self._fire(due)
        return True

    async def during(self, call: Callable[[], Awaitable[T]], *, within_s: float = 3600.0) -> T:
        """Make a call and move from timer to timer until it returns; return what it does.

        Raises:
            TimeoutError: it did not return in time.
        """
        over: list[Callable[[], T]] = []

        async def run() -> None:
            try:
                returned = await call()
            except Exception as error:
                over.append(partial(_raise, error))
            else:
                over.append(lambda: returned)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await self.until(lambda: bool(over), within_s=within_s)
            tasks.cancel_scope.cancel()
        if not over:
            raise TimeoutError(f"no answer in {within_s:g} s")
        return over[0]()

    def _next_due(self) -> int | None:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    async def _fire(self, due_ns: int) -> None:
        """Call everything that is due then, and wait for what comes of it."""
        self._now_ns = max(self._now_ns, due_ns)
        matters = False
        while self._next_due() == due_ns:
            timer = heapq.heappop(self._timers)[2]
            call, timer.call = timer.call, None
            matters = matters or not timer.quiet
            if call is not None:
                call()
        await (self.settle() if matters else checkpoint())


def nanoseconds(at: datetime) -> int:
    """Return an aware time as nanoseconds since 1970."""
    return (at - EPOCH) // timedelta(microseconds=1) * 1000


def _raise(error: Exception) -> NoReturn:
    raise error
