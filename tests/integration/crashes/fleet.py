"""Worker processes that are killed and replaced while there is work."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import anyio
import msgspec
from anyio.abc import Process
from nats.aio.msg import Msg

from actors.runtime.bus import Bus
from tests.integration.crashes.counting import Mechanism
from tests.integration.crashes.mortal import DIE, READY, Death
from tests.integration.runtime.world import Seen

CROWD: Final = 2
"""Workers at once; both may have the same saga in hand."""
_MORTAL: Final = "tests.integration.crashes.mortal"


class Fleet:
    """So many workers, whatever happens to them."""

    def __init__(self, bus: Bus, url: str, off: Collection[Mechanism] = ()) -> None:
        self._bus = bus
        self._command = [sys.executable, "-m", _MORTAL, url, *off]
        self._alive: set[Process] = set()
        self._ready: Seen[str] = Seen()
        self._over = False
        self.dead: Seen[int] = Seen()
        """How each of them ended that did not end on request."""

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Keep a crowd alive until ``work`` is over, then let every one of it drain."""
        async with self._bus.subscribed(READY, self._on_ready), anyio.create_task_group() as tasks:
            for _ in range(CROWD):
                tasks.start_soon(self._live)
            try:
                await self._ready.until(CROWD)
                await work()
            finally:
                self._over = True
                for process in self._alive:
                    process.terminate()

    async def doom(self, death: Death) -> None:
        """Decide how one of the workers dies; it needs work to do so."""
        answered: Seen[None] = Seen()

        async def on_answer(_: Msg) -> None:
            answered.add(None)

        inbox = self._bus.new_inbox()
        async with self._bus.subscribed(inbox, on_answer):
            await self._bus.send(DIE, msgspec.json.encode(death), reply=inbox)
            await answered.until(1)

    async def died(self, count: int) -> None:
        """Return when so many died, and others are in their places."""
        await self.dead.until(count)
        await self._ready.until(CROWD + count)

    async def _live(self) -> None:
        while not self._over:
            process = await anyio.open_process(self._command, stdout=None, stderr=None)
            self._alive.add(process)
            try:
                status = await process.wait()
            finally:
                self._alive.discard(process)
                if process.returncode is None:
                    process.kill()
                await process.aclose()
            if self._over:
                assert status == 0, "a stop on request is no failure"
            else:
                assert status == -signal.SIGKILL, "it died of something else"
                self.dead.add(status)

    async def _on_ready(self, message: Msg) -> None:
        self._ready.add(message.data.decode())
