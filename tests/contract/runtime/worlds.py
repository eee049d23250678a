"""The two worlds every contract holds in: a real nats-server, and the broker in memory.

A contract never sleeps. It says what it waits for, and the world sees to it that time passes: the
real one by itself, the other one by moving its clock.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar

import anyio

from actors.runtime import bus as real
from actors.runtime import memory, provision
from actors.runtime.memory import MemoryBroker, MemoryBus, VirtualClock
from actors.runtime.transport import Received, Transport
from actors.runtime.wire import Delivery
from effectmesh.embedded.nats import EmbeddedNats
from subjects.topology import Consumer
from tests.integration.runtime.world import SOON_S, Seen, restart

T = TypeVar("T")

STEP_S = 0.05


class World(Protocol):
    """A broker, connections to it, and time."""

    @property
    def bus(self) -> Transport:
        """The connection that every contract has."""
        ...

    def now(self) -> datetime:
        """Return this world's time."""
        ...

    def connected(self, name: str) -> AbstractAsyncContextManager[Transport]:
        """Open one more connection."""
        ...

    async def seen(self, seen: Seen[T], ready: Callable[[list[T]], bool]) -> list[T]:
        """Let time pass until a list is as it should be, and return it."""
        ...

    async def eventually(self, look: Callable[[], Awaitable[bool]]) -> None:
        """Let time pass until something is so."""
        ...

    async def meanwhile(self, call: Callable[[], Awaitable[T]]) -> T:
        """Let time pass until a call returns."""
        ...

    async def restart(self) -> None:
        """Kill the broker and start it again; every connection comes back by itself."""
        ...


class ServerWorld:
    """A nats-server of its own."""

    def __init__(self, server: EmbeddedNats, bus: real.Bus) -> None:
        self._server = server
        self.bus: Transport = bus

    def now(self) -> datetime:
        """Return the machine's time."""
        return datetime.now(UTC)

    @asynccontextmanager
    async def connected(self, name: str) -> AsyncIterator[Transport]:
        """Open one more connection."""
        async with real.connected(self._server.url, name=name) as bus:
            yield bus

    async def seen(self, seen: Seen[T], ready: Callable[[list[T]], bool]) -> list[T]:
        """Wait for a list."""
        return await seen.when(ready)

    async def eventually(self, look: Callable[[], Awaitable[bool]]) -> None:
        """Look until it is so. Every look asks the server something, which takes its time."""
        with anyio.fail_after(SOON_S):
            while not await look():
                await self.bus.barrier()

    async def meanwhile(self, call: Callable[[], Awaitable[T]]) -> T:
        """Wait for a call."""
        with anyio.fail_after(SOON_S):
            return await call()

    async def restart(self) -> None:
        """Kill the server, start it again, and wait for our connection, and whoever it calls."""
        back = anyio.Event()

        async def reconnected() -> None:
            back.set()

        with anyio.fail_after(SOON_S), self.bus.reconnecting(reconnected):
            await restart(self._server)
            await back.wait()


class TwinWorld:
    """A broker in memory."""

    def __init__(self, broker: MemoryBroker, bus: MemoryBus) -> None:
        self.broker = broker
        self.bus: Transport = bus
        self._connections = [bus]

    def now(self) -> datetime:
        """Return the virtual time."""
        return self.broker.clock.now()

    @asynccontextmanager
    async def connected(self, name: str) -> AsyncIterator[Transport]:
        """Open one more connection."""
        async with memory.connected(self.broker, name=name) as bus:
            self._connections.append(bus)
            yield bus
            self._connections.remove(bus)

    async def seen(self, seen: Seen[T], ready: Callable[[list[T]], bool]) -> list[T]:
        """Move from timer to timer until a list is as it should be."""
        with anyio.fail_after(SOON_S):
            if not await self.broker.clock.until(lambda: ready(seen.items), within_s=4 * SOON_S):
                raise TimeoutError(seen.items)
        return seen.items

    async def eventually(self, look: Callable[[], Awaitable[bool]]) -> None:
        """Move the time in small steps until it is so."""
        with anyio.fail_after(SOON_S):
            for _ in range(int(SOON_S / STEP_S)):
                await self.broker.clock.settle()
                if await look():
                    return
                await self.broker.clock.advance(STEP_S)
        raise TimeoutError

    async def meanwhile(self, call: Callable[[], Awaitable[T]]) -> T:
        """Move from timer to timer until a call returns."""
        with anyio.fail_after(SOON_S):
            return await self.broker.clock.during(call, within_s=4 * SOON_S)

    async def restart(self) -> None:
        """Lose every connection and come back."""
        self.broker.restart()
        for bus in tuple(self._connections):
            await bus.reconnect()


@asynccontextmanager
async def server_world(home: Path) -> AsyncIterator[ServerWorld]:
    """Yield a world with a server in a folder."""
    server = EmbeddedNats(home=home, sync_always=False)
    server.start()
    try:
        async with real.connected(server.url, name="contract") as bus:
            yield ServerWorld(server, bus)
    finally:
        server.stop()


@asynccontextmanager
async def twin_world(seed: int = 1) -> AsyncIterator[TwinWorld]:
    """Yield a world in memory."""
    broker = MemoryBroker(clock=VirtualClock(), dice=random.Random(seed))
    async with memory.connected(broker, name="contract") as bus:
        yield TwinWorld(broker, bus)


class Reader:
    """Pulls by hand, and keeps what comes back: messages and statuses."""

    def __init__(self, world: World, bus: Transport, of: Consumer, inbox: str) -> None:
        self._world = world
        self._bus = bus
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{of.stream}.{of.name}"
        self._inbox = inbox
        self.came: Seen[Received] = Seen()

    async def take(self, message: Received) -> None:
        """Keep one."""
        self.came.add(message)

    async def pull(self, request: bytes = b'{"batch":1,"expires":60000000000}') -> None:
        """Ask for messages."""
        await self._bus.send(self._next, request, reply=self._inbox)

    async def messages(self, count: int) -> list[Received]:
        """Return everything that came once there are so many messages."""
        await self._world.seen(self.came, lambda _: len(self._messages()) >= count)
        return self._messages()

    async def ids(self, count: int) -> list[str]:
        """Return the ids of so many messages."""
        return [id_of(each) for each in await self.messages(count)]

    async def statuses(self, *wanted: str) -> list[dict[str, str]]:
        """Return the headers of every status once the wanted ones are there."""
        await self._world.seen(
            self.came, lambda _: set(wanted) <= {each["Status"] for each in self._statuses()}
        )
        return self._statuses()

    async def answer(self, message: Received, verdict: bytes = b"+ACK") -> None:
        """Answer a message, and see to it that the broker has it."""
        await self._bus.send(message.reply, verdict)
        await self._bus.barrier()

    def _messages(self) -> list[Received]:
        return [each for each in self.came.items if "Status" not in (each.headers or {})]

    def _statuses(self) -> list[dict[str, str]]:
        return [each.headers for each in self.came.items if "Status" in (each.headers or {})]


@asynccontextmanager
async def reader(
    world: World, of: Consumer, *, bus: Transport | None = None
) -> AsyncIterator[Reader]:
    """Yield a reader of a consumer."""
    used = bus or world.bus
    inbox = used.new_inbox()
    reading = Reader(world, used, of, inbox)
    async with used.subscribed(inbox, reading.take):
        yield reading


async def bind(bus: Transport, of: Consumer, **changes: Any) -> Consumer:
    """Make a consumer, with what cannot be declared: an acknowledgement time below a second."""
    config = provision.consumer_config(of) | changes
    body = {"stream_name": of.stream, "config": config}
    await bus.api(f"CONSUMER.CREATE.{of.stream}.{of.name}", body)
    return of


def id_of(message: Received) -> str:
    """Return the id a message was published under."""
    return (message.headers or {}).get("Nats-Msg-Id", "")


def delivery(message: Received) -> Delivery:
    """Return what the acknowledgement subject says."""
    return Delivery.of(message.reply)


def milliseconds(count: int) -> int:
    """Return a time as the API takes it."""
    return int(timedelta(milliseconds=count).total_seconds() * 1_000_000_000)
