"""nats-py's client with two short cuts, for what is done with every message, and one mended defect.

An acknowledgement goes straight to whoever waits for it: the usual way, a queue and a task for each
subscription, costs more than all that it means. And headers are written in one piece. Everything
else is nats-py's, and so would these be if it came to call its methods by other names; a test says
when it does.

The defect: a ``flush`` that is cancelled leaves its waiter behind, and the answer to its PING then
ends the task that reads from the server, for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg


class QuickClient(Client):  # type: ignore[misc]  # nats-py's types are skipped, see pyproject.toml
    """A connection whose messages on ``quick`` subjects are given to ``take`` at once."""

    def __init__(self, take: Callable[[Msg], None]) -> None:
        super().__init__()
        self._take = take
        self.quick = b"\0"
        """How subjects begin that take the short cut; none does until this is set."""
        self.cut = 0
        """How many messages took it."""

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        if headers or not subject.startswith(self.quick):
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        self.cut += 1
        self._take(Msg(_client=self, subject=subject.decode(), data=data))

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():
            # Nobody waits for this one any more, but it is the one that was answered.
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _send_publish(
        self,
        subject: str,
        reply: str,
        payload: bytes,
        payload_size: int,
        headers: dict[str, str] | None,
    ) -> None:
        if not headers:
            await super()._send_publish(subject, reply, payload, payload_size, headers)
            return
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
            # A line break within a value would be read as another header; nats-py takes it out.
            await super()._send_publish(subject, reply, payload, payload_size, headers)
            return
        block = f"NATS/1.0\r\n{lines}\r\n".encode()
        size = len(block)
        order = f"HPUB {subject} {reply} {size} {size + payload_size}\r\n".encode()
        await self._send_command(b"".join((order, block, payload, b"\r\n")))
        if self._flush_queue is not None and self._flush_queue.empty():
            await self._flush_pending()
