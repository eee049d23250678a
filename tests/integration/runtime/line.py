"""A network between two parts of a test that can be cut."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import anyio
import anyio.abc
from anyio.abc import TaskStatus


class Line:
    """A TCP line to a server, at an address of its own."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self._whole = anyio.Event()
        self._cut = anyio.CancelScope()
        self._port = 0
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Line]:
        """Run a line to the broker at this URL."""
        parts = urlsplit(url)
        line = cls(str(parts.hostname), int(parts.port or 0))
        line.mend()
        async with anyio.create_task_group() as group:
            await group.start(line._run)
            line.url = url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{line._port}")
            yield line
            group.cancel_scope.cancel()

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        self._whole = anyio.Event()
        self._cut.cancel()

    def mend(self) -> None:
        """Let connections be made again."""
        self._whole.set()

    async def _run(self, *, task_status: TaskStatus[None]) -> None:
        while True:
            await self._whole.wait()
            listener = await anyio.create_tcp_listener(
                local_host="127.0.0.1", local_port=self._port, reuse_port=True
            )
            self._port = listener.extra(anyio.abc.SocketAttribute.local_port)
            if not self.url:
                task_status.started()
            with anyio.CancelScope() as self._cut:
                async with listener:
                    await listener.serve(self._carry)

    async def _carry(self, near: anyio.abc.SocketStream) -> None:
        far = await anyio.connect_tcp(*self._place)
        async with near, far, anyio.create_task_group() as group:
            group.start_soon(self._copy, near, far, group.cancel_scope)
            group.start_soon(self._copy, far, near, group.cancel_scope)

    async def _copy(
        self, one: anyio.abc.SocketStream, other: anyio.abc.SocketStream, scope: anyio.CancelScope
    ) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                await other.send(await one.receive())
        scope.cancel()
