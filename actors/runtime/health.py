"""Whether a process lives and whether it can work, over HTTP, for whatever restarts processes.

``/livez`` is answered while the event loop turns. ``/readyz`` looks at every part anew and answers
503 while one of them is away. Nothing else is served, and only to this machine.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Final

import anyio
import msgspec
from anyio.abc import SocketAttribute, SocketStream, TaskStatus
from anyio.streams.buffered import BufferedByteReceiveStream
from msgspec import Struct

from actors.runtime.errors import BusError
from actors.runtime.transport import Transport
from subjects.topology import Consumer

log = logging.getLogger("effectmesh.health")

Check = Callable[[], Awaitable[str]]
"""Looks at one part; returns ``ok``, or what is wrong with it."""

LOOPBACK: Final = "127.0.0.1"
CHECK_S: Final = 2.0
"""A part that says nothing for so long is not well."""
REQUEST_S: Final = 5.0
REQUEST_BYTES: Final = 8192
CONNECTIONS: Final = 16
WELL: Final = "ok"


class HealthPortError(Exception):
    """The port for the health of a process cannot be had."""

    def __init__(self, port: int, why: str) -> None:
        super().__init__(f"cannot listen on port {port}: {why}; set EFFECTMESH_HEALTH_PORT")
        self.port = port


class Health(Struct, frozen=True, kw_only=True):
    """What ``/readyz`` says."""

    ready: bool
    parts: Mapping[str, str]
    """Each part with ``ok`` or with what is wrong."""


class HealthServer:
    """Answers for one process."""

    def __init__(
        self,
        *,
        port: int,
        checks: Mapping[str, Check],
        failing: Mapping[str, str] | None = None,
    ) -> None:
        self._port = port
        self._checks = checks
        self._failing = {} if failing is None else failing
        self._places = anyio.Semaphore(CONNECTIONS)

    async def run(self, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; ``task_status`` gets the port once it is open.

        Raises:
            HealthPortError: somebody else has the port.
        """
        try:
            listener = await anyio.create_tcp_listener(local_host=LOOPBACK, local_port=self._port)
        except OSError as taken:
            raise HealthPortError(self._port, taken.strerror or str(taken)) from taken
        async with listener:
            port = listener.extra(SocketAttribute.local_port)  # noqa: S610  it is no query of Django
            task_status.started(port)
            await listener.serve(self._serve)

    async def look(self) -> Health:
        """Look at every part, all at once."""
        parts: dict[str, str] = dict.fromkeys(self._checks, "")
        async with anyio.create_task_group() as looking:
            for name, check in self._checks.items():
                looking.start_soon(_look, name, check, parts)
        parts |= self._failing
        return Health(ready=all(each == WELL for each in parts.values()), parts=parts)

    async def _serve(self, connection: SocketStream) -> None:
        async with connection, self._places:
            try:
                with anyio.fail_after(REQUEST_S):
                    await connection.send(await self._answer(connection))
            except (TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                log.debug("who asked for our health did not wait for the answer")

    async def _answer(self, connection: SocketStream) -> bytes:
        try:
            head = await BufferedByteReceiveStream(connection).receive_until(
                b"\r\n\r\n", REQUEST_BYTES
            )
        except (anyio.IncompleteRead, anyio.DelimiterNotFound):
            return _response(HTTPStatus.BAD_REQUEST, {})
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, {})
        if path == b"/livez":
            return _response(HTTPStatus.OK, {"live": True}, head=method == b"HEAD")
        if path != b"/readyz":
            return _response(HTTPStatus.NOT_FOUND, {})
        found = await self.look()
        status = HTTPStatus.OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return _response(status, found, head=method == b"HEAD")


def bus_check(bus: Transport) -> Check:
    """Return a check of the connection to the broker."""
    return partial(_connected, bus)


def consumers_check(bus: Transport, consumers: Callable[[], Sequence[Consumer]]) -> Check:
    """Return a check that every consumer that is pulled is there, and the server answers for it."""
    return partial(_bound, bus, consumers)


def copy_check(ready: Callable[[], bool]) -> Check:
    """Return a check that a local copy is complete."""
    return partial(_copied, ready)


async def _connected(bus: Transport) -> str:
    return WELL if bus.alive else "the broker is away"


async def _bound(bus: Transport, consumers: Callable[[], Sequence[Consumer]]) -> str:
    for each in consumers():
        try:
            await bus.api(f"CONSUMER.INFO.{each.stream}.{each.name}")
        except BusError as wrong:
            return f"{each.stream}/{each.name}: {wrong}"
    return WELL


async def _copied(ready: Callable[[], bool]) -> str:
    return WELL if ready() else "the first copy is not complete"


async def _look(name: str, check: Check, parts: dict[str, str]) -> None:
    try:
        with anyio.fail_after(CHECK_S):
            parts[name] = await check()
    except TimeoutError:
        parts[name] = f"no answer in {CHECK_S:g} s"
    except Exception as wrong:
        # Whatever a check raises is an answer too: the part is not well.
        parts[name] = f"{type(wrong).__name__}: {wrong}"


def _response(status: HTTPStatus, body: object, *, head: bool = False) -> bytes:
    content = msgspec.json.encode(body) + b"\n"
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + (b"" if head else content)
