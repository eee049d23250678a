"""Messages of one job one after the other, for the modules that need it; jobs stay parallel.

The order is that of delivery, within one process. It is a convenience, no guarantee: a message
that is put off comes again behind those that followed it, and another process of the same module
knows nothing of this one. An actor must be right in any order; in turn, it is right sooner.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import anyio
from msgspec import Struct, field

from actors.runtime.answering import Receive
from actors.runtime.contract import TryLater
from actors.runtime.wire import Sayable
from schemas.base import Message, Module
from subjects.topology import KEYED

WAITING: Final = 16
"""Messages of one job that may wait for their turn; more would take the slots of other jobs."""
TURN_S: Final = 30.0
"""How long a message waits for its turn behind a handler that does not end."""
BUSY_S: Final = 1.0
"""After so long a message that could not wait comes again."""


class _Lane(Struct):
    """One job's turns, kept while somebody has or waits for one."""

    lock: anyio.Lock = field(default_factory=anyio.Lock)
    users: int = 0


class InTurn:
    """An actor's ``receive`` in which every message waits for the earlier ones of its job."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._lanes: dict[str, _Lane] = {}

    async def receive(self, heard: Message) -> Sequence[Sayable]:
        """Answer a message when it is its turn. What the one before raised is its own affair.

        Raises:
            TryLater: too many messages of this job wait, or the one before does not end.
        """
        job = heard.correlation_id
        lane = self._lanes.setdefault(job, _Lane())
        if lane.users > WAITING:
            raise TryLater(f"{lane.users} messages of {job} are before it", retry_after=BUSY_S)
        lane.users += 1
        try:
            await _acquire(lane.lock, job)
            try:
                return await self._receive(heard)
            finally:
                lane.lock.release()
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[job]


def in_turn(module: Module, receive: Receive) -> Receive:
    """Return a module's ``receive``, in turn where ``KEYED`` declares it.

    To be called once for each module: its consumers share the turns.
    """
    return InTurn(receive).receive if module in KEYED else receive


async def _acquire(lock: anyio.Lock, job: str) -> None:
    """Take a lock, mostly a free one. One that is handed on is never free, so nobody slips in."""
    with suppress(anyio.WouldBlock):
        lock.acquire_nowait()
        return
    try:
        with anyio.fail_after(TURN_S):
            await lock.acquire()
    except TimeoutError:
        raise TryLater(
            f"another message of {job} is under way for {TURN_S:g} s", retry_after=BUSY_S
        ) from None
