"""Live progress: said at once, forgotten at once. A full queue drops the line, not the work."""

from __future__ import annotations

import logging
from typing import Final

import anyio

from actors.runtime.bus import Bus
from actors.runtime.wire import outgoing
from schemas.progress import JobProgressed

log = logging.getLogger("effectmesh.progress")

QUEUED: Final = 256


class LiveProgress:
    """Publishes progress lines without waiting for their acknowledgement."""

    def __init__(self, *, bus: Bus) -> None:
        self._bus = bus
        self._send, self._lines = anyio.create_memory_object_stream[JobProgressed](QUEUED)
        self.dropped = 0

    def say(self, line: JobProgressed) -> None:
        """Queue one line; drop it when the queue is full."""
        try:
            self._send.send_nowait(line)
        except anyio.WouldBlock:
            self.dropped += 1

    async def run(self) -> None:
        """Publish until cancelled."""
        with self._send, self._lines:
            async for line in self._lines:
                order = outgoing(line)
                await self._bus.send(order.subject, bytes(order.data), headers=order.headers)
