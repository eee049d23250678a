"""What tests of the runtime share: a small topology, a worker under test, a way to wait."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import anyio
import msgspec
from anyio.to_thread import run_sync
from msgspec import Struct
from nats.aio.msg import Msg

from actors.runtime import provision
from actors.runtime.answering import DeadLetter
from actors.runtime.bus import Bus
from actors.runtime.errors import AskError
from actors.runtime.feed import Feed
from actors.runtime.wire import Delivery
from actors.runtime.worker import SlotPuller, Worker
from effectmesh.embedded.nats import EmbeddedNats
from schemas.base import JobId, Module
from schemas.events import VideoIngested
from subjects.topology import BUCKETS, DLQ, EVT, STREAMS, Bucket, Consumer, Stream, Topology
from tests.builders import video_ingested

T = TypeVar("T")

SOON_S = 15.0
"""A bound, not a wait: what takes longer is broken."""
NOBODY = "evt.>"


class Seen(Generic[T]):
    """A list that can be waited for."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._more = anyio.Event()

    def add(self, item: T) -> None:
        """Append, and wake whoever waits."""
        self.items.append(item)
        more, self._more = self._more, anyio.Event()
        more.set()

    async def until(self, count: int) -> list[T]:
        """Return everything once there are ``count`` items."""
        return await self.when(lambda items: len(items) >= count)

    async def when(self, ready: Callable[[list[T]], bool]) -> list[T]:
        """Return everything once ``ready`` says so."""
        with anyio.fail_after(SOON_S):
            while not ready(self.items):
                await self._more.wait()
        return self.items


class Stored(Struct, frozen=True):
    """One message of a stream."""

    subject: str
    data: bytes
    message_id: str


def stream_named(name: str) -> Stream:
    """Return a stream of the real topology."""
    [found] = [each for each in STREAMS if each.name == name]
    return found


def bucket_named(name: str) -> Bucket:
    """Return a bucket of the real topology."""
    [found] = [each for each in BUCKETS if each.name == name]
    return found


def consumer(name: str = Module.APPROVAL, **changes: Any) -> Consumer:
    """Return a consumer of every fact."""
    known: dict[str, Any] = {
        "stream": EVT,
        "name": name,
        "filters": ("evt.>",),
        "description": "a test",
    }
    return Consumer(**(known | changes))


def declared(
    *consumers: Consumer, streams: Sequence[str] = (EVT, DLQ), buckets: Sequence[str] = ()
) -> Topology:
    """Return a topology of a few of the real streams and these consumers."""
    return Topology(
        streams=tuple(stream_named(name) for name in streams),
        consumers=consumers,
        buckets=tuple(bucket_named(name) for name in buckets),
    )


async def apply(
    bus: Bus,
    *consumers: Consumer,
    streams: Sequence[str] = (EVT, DLQ),
    buckets: Sequence[str] = (),
) -> None:
    """Make a topology."""
    await provision.apply(bus, declared(*consumers, streams=streams, buckets=buckets))


async def empty(bus: Bus) -> None:
    """Delete every stream."""
    for name in (await bus.api("STREAM.NAMES")).get("streams") or ():
        await bus.api(f"STREAM.DELETE.{name}")


def fact(number: int, *, job: str = "job_1") -> VideoIngested:
    """Return one of many different facts."""
    return msgspec.structs.replace(
        video_ingested(f"evt_{number}"), correlation_id=JobId(job), timestamp=datetime.now(UTC)
    )


async def stored(bus: Bus, stream: str, subject: str = ">") -> list[Stored]:
    """Return everything a stream holds."""
    found: list[Stored] = []

    async def take(message: Msg, _: Delivery) -> None:
        message_id = (message.headers or {}).get("Nats-Msg-Id", "")
        found.append(Stored(message.subject, message.data, message_id))

    with anyio.fail_after(SOON_S):
        await Feed(bus=bus, stream=stream, subject=subject).read(take)
    return found


async def letters(bus: Bus) -> list[DeadLetter]:
    """Return every dead letter."""
    return [msgspec.json.decode(each.data, type=DeadLetter) for each in await stored(bus, DLQ)]


async def info(bus: Bus, of: Consumer) -> dict[str, Any]:
    """Return what the server knows of a consumer."""
    return await bus.api(f"CONSUMER.INFO.{of.stream}.{of.name}")


async def settled(bus: Bus, of: Consumer) -> None:
    """Return once everything was delivered and answered.

    Acknowledgements are sent and not waited for, so the server may be a moment behind; and on a
    busy machine it may stand still for longer than one call waits.
    """
    with anyio.fail_after(SOON_S):
        while True:
            try:
                found = await info(bus, of)
            except AskError:
                continue
            if not found["num_pending"] and not found["num_ack_pending"]:
                return


def worker(
    bus: Bus,
    of: Consumer,
    receive: Callable[[Any], Awaitable[Sequence[Any]]],
    *,
    concurrency: int = 8,
    kind: Any = VideoIngested,
) -> Worker:
    """Return a worker that is not running yet."""
    return Worker(
        bus=bus,
        module=Module.APPROVAL,
        consumer=of,
        decoder=msgspec.json.Decoder(kind),
        receive=receive,
        concurrency=concurrency,
        dice=random.Random(1),
    )


def puller(
    bus: Bus,
    of: Sequence[Consumer],
    receive: Callable[[Any], Awaitable[Sequence[Any]]],
    *,
    slots: int,
    beat_s: float = 5.0,
) -> SlotPuller:
    """Return a puller that is not running yet."""
    return SlotPuller(
        bus=bus,
        module=Module.GPU_AGENT,
        consumers=lambda: of,
        decoder=msgspec.json.Decoder(VideoIngested),
        receive=receive,
        slots=slots,
        beat_s=beat_s,
        dice=random.Random(1),
    )


@asynccontextmanager
async def working(
    *workers: Worker | SlotPuller, within_s: float = 4 * SOON_S
) -> AsyncIterator[None]:
    """Run workers for the length of the block, then drain them."""
    with anyio.fail_after(within_s):
        async with anyio.create_task_group() as tasks:
            for each in workers:
                tasks.start_soon(each.run)
            yield
            for each in workers:
                each.stop()


async def wait_past(bus: Bus, of: Consumer) -> None:
    """Return when the server has taken a message of this consumer for lost.

    A clock that is the server's own: pull one message, do not answer, and wait for it to be
    delivered again.
    """
    answers: Seen[Msg] = Seen()

    async def take(message: Msg) -> None:
        if message.data:
            answers.add(message)

    inbox = bus.new_inbox()
    async with bus.subscribed(inbox, take):
        request = b'{"batch":2,"expires":%d}' % int(SOON_S * 1e9)
        await bus.send(f"$JS.API.CONSUMER.MSG.NEXT.{of.stream}.{of.name}", request, reply=inbox)
        [_, again] = await answers.until(2)
    assert Delivery.of(again.reply).delivered == 2


async def restart(server: EmbeddedNats) -> None:
    """Kill a broker as a crash would, and start it again at the same address."""
    await run_sync(server.kill)
    await run_sync(server.start)
