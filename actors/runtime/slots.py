"""A bounded number of tasks that stay, each doing one piece of work after the other.

Starting a task for every message would cost more than everything else that is done for it. A slot
is started when there is work and none is free, so an actor that hears little has few.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from anyio.abc import TaskGroup

T = TypeVar("T")


class Slots(Generic[T]):
    """At most ``limit`` tasks of a group that all do ``work``."""

    def __init__(self, tasks: TaskGroup, work: Callable[[T], Awaitable[None]], *, limit: int):
        self._tasks = tasks
        self._work = work
        self._limit = limit
        self._started = 0
        self._closed = False
        self._free: list[asyncio.Future[None]] = []
        """Each is woken to look for work, or to end."""
        self._waiting: deque[T] = deque()
        """What no slot has yet."""

    def take(self, piece: T) -> None:
        """Have one piece of work begun after those before it, when a slot is free."""
        self._waiting.append(piece)
        while self._free:
            free = self._free.pop()
            if not free.done():  # as it is when the group was cancelled
                free.set_result(None)
                return
        if self._started < self._limit:
            self._started += 1
            self._tasks.start_soon(self._run)

    def close(self) -> None:
        """Take no more; every slot ends when nothing waits."""
        self._closed = True
        for free in self._free:
            if not free.done():
                free.set_result(None)
        self._free.clear()

    async def _run(self) -> None:
        while True:
            while self._waiting:
                await self._work(self._waiting.popleft())
            if self._closed:
                return
            free = asyncio.get_running_loop().create_future()
            self._free.append(free)
            await free
