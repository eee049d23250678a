"""Who listens on a connection: for one answer, or for everything on a subject."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import anyio

from actors.runtime.memory.clock import VirtualClock
from actors.runtime.memory.consumers import Arrived
from actors.runtime.transport import Handler


class Connection(Protocol):
    """What a listener knows of its connection."""

    last_error: str

    @property
    def alive(self) -> bool:
        """True while it is up."""
        ...


class TryAgain(Exception):
    """No acknowledgement, or the connection was replaced: the same message is sent again."""

    def __init__(self, *, late: bool = False) -> None:
        super().__init__()
        self.late = late


class Waiter:
    """Listens for one answer."""

    queue = ""

    def __init__(self, connection: Connection, subject: str) -> None:
        self.subject = subject
        self._connection = connection
        self._done = anyio.Event()
        self._answer: Arrived | None = None
        self._error: Exception | None = None

    @property
    def alive(self) -> bool:
        """True while its connection is up."""
        return self._connection.alive

    def take(self, arrived: Arrived) -> None:
        """Take the first answer."""
        if not self._done.is_set():
            self._answer = arrived
            self._done.set()

    def fail(self, error: Exception) -> None:
        """Wait no longer; an answer that is there already stays."""
        if not self._done.is_set():
            self._error = error
            self._done.set()

    async def answer(self) -> Arrived:
        """Return the answer, or raise what ``fail`` was given."""
        await self._done.wait()
        if self._answer is None:
            raise self._error or TryAgain()
        return self._answer


class Subscription:
    """Keeps what arrived until its handler has had it, one after the other."""

    def __init__(
        self,
        connection: Connection,
        subject: str,
        *,
        queue: str,
        handle: Handler,
        clock: VirtualClock,
    ) -> None:
        self.subject = subject
        self.queue = queue
        self.scope = anyio.CancelScope()
        self._connection = connection
        self._handle = handle
        self._clock = clock
        self._arrived: deque[Arrived] = deque()
        self._more = anyio.Event()

    @property
    def alive(self) -> bool:
        """True while its connection is up."""
        return self._connection.alive

    def take(self, arrived: Arrived) -> None:
        """Keep a message for the handler."""
        self._clock.stir()
        self._arrived.append(arrived)
        self._more.set()

    async def run(self) -> None:
        """Call the handler until ``scope`` is cancelled."""
        with self.scope:
            while True:
                await self._more.wait()
                self._more = anyio.Event()
                while self._arrived:
                    self._clock.stir()
                    await self._handle_one(self._arrived.popleft())

    async def _handle_one(self, arrived: Arrived) -> None:
        try:
            await self._handle(arrived)
        except Exception as broken:
            # As the real connection: a handler that fails does not end the subscription.
            self._connection.last_error = str(broken) or type(broken).__name__
