"""Live progress: said at once, forgotten at once. A full queue drops the line, not the work."""

from __future__ import annotations

from collections import deque
from typing import Final

import anyio

from actors.runtime.transport import Transport
from actors.runtime.wire import outgoing
from schemas.progress import JobProgressed

QUEUED: Final = 256


class LiveProgress:
    """Publishes progress lines without waiting for their acknowledgement."""

    def __init__(self, *, bus: Transport) -> None:
        self._bus = bus
        self._lines: deque[JobProgressed] = deque()
        self._more = anyio.Event()
        self.dropped = 0

    def say(self, line: JobProgressed) -> None:
        """Queue one line; drop it when the queue is full."""
        if len(self._lines) >= QUEUED:
            self.dropped += 1
            return
        self._lines.append(line)
        self._more.set()

    async def run(self) -> None:
        """Publish until cancelled. A line that fails is gone; started again it goes on behind."""
        while True:
            while self._lines:
                order = outgoing(self._lines.popleft())
                await self._bus.send(order.subject, bytes(order.data), headers=order.headers)
            self._more = anyio.Event()
            await self._more.wait()
