"""Every actor as a service of the NATS micro protocol, for ``nats micro ls``, ``info``, ``stats``.

A module answers ``$SRV.PING``, ``INFO`` and ``STATS``, also with its name and its id behind it. Its
endpoints are the questions it answers and the consumers it pulls. What a consumer has in front of
it is looked up when somebody asks, so nothing is spent while nobody does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

import anyio
import msgspec
from msgspec import Struct

from actors.runtime.answering import Decode, Receive
from actors.runtime.contract import Answerer, TryLater
from actors.runtime.errors import BusError
from actors.runtime.transport import Handler, Received, Transport
from actors.runtime.wire import Sayable, encode
from schemas.base import Module
from subjects import build
from subjects.topology import Consumer

log = logging.getLogger("effectmesh.micro")

T = TypeVar("T")

PREFIX: Final = "$SRV"
KIND: Final = "io.nats.micro.v1."
LOOK_S: Final = 1.0
"""How long the consumers may take to say what is in front of them; without it the rest is told."""
ERROR_CHARACTERS: Final = 500
FIRST_REPLY_S: Final = 1.5
QUIET_S: Final = 0.5
"""Whoever asks everybody takes a silence of this length for the end."""
REPLIES: Final = 4096


class Meter:
    """What one endpoint did since the start."""

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.last_error = ""
        self.spent_ns = 0
        self.under_way = 0

    def receiving(self, receive: Receive) -> Receive:
        """Return an actor's ``receive``, measured."""
        return partial(self._receive, receive)

    def decoding(self, decoder: Decode) -> Decode:
        """Return a decoder that counts what it cannot read; it never comes to ``receive``."""
        return _Decoding(self, decoder)

    def answering(self, answerer: Answerer) -> Answerer:
        """Return an answerer, measured."""
        return _Answering(self, answerer)

    async def measured(self, work: Awaitable[T]) -> T:
        """Await some work and count it. To be put off is no error."""
        self.requests += 1
        self.under_way += 1
        began = time.perf_counter_ns()
        try:
            return await work
        except TryLater:
            raise
        except Exception as error:
            self._failed(error)
            raise
        finally:
            self.spent_ns += time.perf_counter_ns() - began
            self.under_way -= 1

    def unreadable(self, error: Exception) -> None:
        """Count a message that could not be read."""
        self.requests += 1
        self._failed(error)

    async def _receive(self, receive: Receive, heard: Any) -> Sequence[Sayable]:
        return await self.measured(receive(heard))

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        self.last_error = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]


class _Decoding:
    def __init__(self, meter: Meter, decoder: Decode) -> None:
        self._meter = meter
        self._decoder = decoder

    def decode(self, data: bytes, /) -> Struct:
        """Return the message."""
        try:
            return self._decoder.decode(data)
        except Exception as error:
            self._meter.unreadable(error)
            raise


class _Answering:
    def __init__(self, meter: Meter, answerer: Answerer) -> None:
        self._meter = meter
        self._answerer = answerer

    async def answer(self, question: Struct) -> Struct:
        """Return the answer."""
        return await self._meter.measured(self._answerer.answer(question))


def _none() -> Sequence[Consumer]:
    return ()


class Endpoint(Struct, frozen=True, kw_only=True):
    """One thing a service does: answers a question, or works off a consumer."""

    name: str
    subject: str
    queue_group: str
    meter: Meter
    consumers: Callable[[], Sequence[Consumer]] = _none
    """What it pulls now."""


class About(Struct, frozen=True, kw_only=True):
    """Who a process is, for those who look from outside."""

    version: str
    """Semantic: the protocol wants nothing else."""
    started: datetime
    instance: str
    """An id no other process has, one subject token."""


class Identity(Struct, frozen=True, kw_only=True):
    """The answer to ``PING``."""

    type: str
    name: str
    id: str
    version: str
    metadata: Mapping[str, str]


class EndpointInfo(Struct, frozen=True, kw_only=True):
    """What an endpoint is."""

    name: str
    subject: str
    queue_group: str
    metadata: Mapping[str, str]


class Info(Identity, frozen=True, kw_only=True):
    """The answer to ``INFO``."""

    description: str
    endpoints: Sequence[EndpointInfo]


class Load(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an endpoint has before it; of a question only what is under way."""

    in_flight: int
    lag: int | None = None
    """Messages that wait on the server."""
    redeliveries: int | None = None
    """Messages under way that were delivered before."""
    unacknowledged: int | None = None
    """Delivered to any worker and not answered yet."""


class EndpointStats(Struct, frozen=True, kw_only=True):
    """What an endpoint did. Times in nanoseconds."""

    name: str
    subject: str
    queue_group: str
    num_requests: int
    num_errors: int
    last_error: str
    processing_time: int
    average_processing_time: int
    data: Load


class Stats(Identity, frozen=True, kw_only=True):
    """The answer to ``STATS``."""

    started: str
    endpoints: Sequence[EndpointStats]


def pulling(consumer: Consumer, meter: Meter) -> Endpoint:
    """Return the endpoint of a durable consumer. Its subject is the one it is pulled by."""
    return Endpoint(
        name=consumer.stream,
        subject=f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}",
        queue_group=consumer.name,
        meter=meter,
        consumers=lambda: (consumer,),
    )


def pulling_several(
    name: str, stream: str, consumers: Callable[[], Sequence[Consumer]], meter: Meter
) -> Endpoint:
    """Return the endpoint of whichever consumers of a stream are pulled at the moment."""
    return Endpoint(
        name=name,
        subject=f"$JS.API.CONSUMER.MSG.NEXT.{stream}.>",
        queue_group=name,
        meter=meter,
        consumers=consumers,
    )


def asked(question: type[Struct], module: Module, meter: Meter) -> Endpoint:
    """Return the endpoint of a question."""
    return Endpoint(
        name=question.__name__, subject=build.ask(question), queue_group=module, meter=meter
    )


class Service:
    """One module of one process, answering for itself."""

    def __init__(
        self, *, bus: Transport, module: Module, about: About, endpoints: Sequence[Endpoint]
    ) -> None:
        self._bus = bus
        self._module = module
        self._about = about
        self._id = f"{about.instance}-{module}"
        self._endpoints = endpoints

    async def run(self) -> None:
        """Answer until cancelled."""
        verbs = {"PING": self.ping, "INFO": self.info, "STATS": self.stats}
        async with AsyncExitStack() as subscriptions:
            for verb, reply in verbs.items():
                for tail in ("", f".{self._module}", f".{self._module}.{self._id}"):
                    await subscriptions.enter_async_context(
                        self._bus.subscribed(f"{PREFIX}.{verb}{tail}", self._replying(reply))
                    )
            await self._bus.barrier()
            await anyio.sleep_forever()

    async def ping(self) -> Identity:
        """Return who this is."""
        return Identity(type=KIND + "ping_response", **self._identity())

    async def info(self) -> Info:
        """Return what this does."""
        return Info(
            type=KIND + "info_response",
            **self._identity(),
            description=f"the module {self._module} of effectmesh",
            endpoints=[_info(each) for each in self._endpoints],
        )

    async def stats(self) -> Stats:
        """Return what this did, and what is in front of it."""
        return Stats(
            type=KIND + "stats_response",
            **self._identity(),
            started=_rfc3339(self._about.started),
            endpoints=[_stats(each, await self._load(each)) for each in self._endpoints],
        )

    def _replying(self, reply: Callable[[], Awaitable[Struct]]) -> Handler:
        return partial(self._reply, reply)

    async def _reply(self, reply: Callable[[], Awaitable[Struct]], message: Received) -> None:
        if message.reply:
            await self._bus.send(message.reply, encode(await reply()))

    def _identity(self) -> dict[str, Any]:
        return {
            "name": self._module,
            "id": self._id,
            "version": self._about.version,
            "metadata": {"process": self._about.instance},
        }

    async def _load(self, endpoint: Endpoint) -> Load:
        in_flight = endpoint.meter.under_way
        try:
            with anyio.fail_after(LOOK_S):
                found = [
                    await self._bus.api(f"CONSUMER.INFO.{each.stream}.{each.name}")
                    for each in endpoint.consumers()
                ]
        except (BusError, TimeoutError) as away:
            log.info("%s: what waits for it is unknown: %s", self._module, away)
            return Load(in_flight=in_flight)
        if not found:
            return Load(in_flight=in_flight)
        return Load(
            in_flight=in_flight,
            lag=sum(each["num_pending"] for each in found),
            redeliveries=sum(each["num_redelivered"] for each in found),
            unacknowledged=sum(each["num_ack_pending"] for each in found),
        )


async def everybody(bus: Transport) -> Sequence[Stats]:
    """Return the statistics of every module that answers, in every process."""
    send, replies = anyio.create_memory_object_stream[Received](REPLIES)
    inbox = bus.new_inbox()
    found: list[Stats] = []
    with send, replies:
        async with bus.subscribed(inbox, send.send):
            await bus.barrier()
            await bus.send(f"{PREFIX}.STATS", b"", reply=inbox)
            wait = FIRST_REPLY_S
            while len(found) < REPLIES:
                with anyio.move_on_after(wait):
                    found += _ours(await replies.receive())
                    wait = QUIET_S
                    continue
                break
    return sorted(found, key=lambda each: (each.name, each.id))


def _ours(reply: Received) -> Sequence[Stats]:
    """Return what a module of ours said. Other programs on the broker are no business of ours."""
    try:
        return [msgspec.json.decode(reply.data, type=Stats)]
    except msgspec.DecodeError:
        return []


def _info(endpoint: Endpoint) -> EndpointInfo:
    filters = [each for consumer in endpoint.consumers() for each in consumer.filters]
    return EndpointInfo(
        name=endpoint.name,
        subject=endpoint.subject,
        queue_group=endpoint.queue_group,
        metadata={"filters": ",".join(filters)} if filters else {},
    )


def _stats(endpoint: Endpoint, load: Load) -> EndpointStats:
    meter = endpoint.meter
    return EndpointStats(
        name=endpoint.name,
        subject=endpoint.subject,
        queue_group=endpoint.queue_group,
        num_requests=meter.requests,
        num_errors=meter.errors,
        last_error=meter.last_error,
        processing_time=meter.spent_ns,
        average_processing_time=meter.spent_ns // meter.requests if meter.requests else 0,
        data=load,
    )


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
