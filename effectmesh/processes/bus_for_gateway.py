"""The gateway's view of the bus, made of the runtime's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import anyio
import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from actors.runtime.bus import Bus
from actors.runtime.errors import AskError, BusError
from actors.runtime.feed import Feed
from actors.runtime.tracing import UNTRACED, Tracer
from actors.runtime.watch import Watched
from actors.runtime.wire import Delivery
from gateway.errors import AskTimedOutError, BusUnavailableError
from gateway.ports import ASK_TIMEOUT_S
from schemas.base import Message, Module
from schemas.progress import JobProgressed
from schemas.routing import EffectRoute, ProviderRecord, RoutingManifest
from subjects import build
from subjects.topology import MANIFEST_KEY, PROGRESS

T = TypeVar("T", bound=Struct)

QUEUED_LINES: Final = 256
"""Progress lines of one job that wait for a client; the stream keeps no more either."""


class GatewayBus:
    """``gateway.ports.Bus`` on a connection and two local copies."""

    def __init__(
        self,
        *,
        bus: Bus,
        routing: Watched[RoutingManifest],
        registry: Watched[ProviderRecord],
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._bus = bus
        self._routing = routing
        self._registry = registry
        self._tracer = tracer
        self._lines = msgspec.json.Decoder(JobProgressed)

    async def publish(self, said: Message) -> None:
        """Store one message. An order begins its job's trace, or joins it."""
        try:
            with self._tracer.sending(said, module=Module.GATEWAY):
                await self._bus.say([said])
        except BusError as away:
            raise BusUnavailableError(str(away)) from away

    async def ask(self, question: Struct, answer: type[T], *, timeout: float = ASK_TIMEOUT_S) -> T:
        """Put a question to the module that answers it."""
        try:
            return await self._bus.ask(question, answer, timeout=timeout)
        except AskError as silent:
            raise AskTimedOutError(type(question).__name__, timeout) from silent
        except BusError as away:
            raise BusUnavailableError(str(away)) from away

    @asynccontextmanager
    async def follow_progress(
        self, tenant_id: str, job_id: str, *, after: int = 0
    ) -> AsyncIterator[AsyncIterator[tuple[int, JobProgressed]]]:
        """Yield the lines of one job, stored ones first."""
        subject = build.progress(tenant_id, job_id)
        feed = Feed(bus=self._bus, stream=PROGRESS, subject=subject, after=after)
        send, lines = anyio.create_memory_object_stream[tuple[int, JobProgressed]](QUEUED_LINES)

        async def take(message: Msg, delivery: Delivery) -> None:
            await send.send((delivery.sequence, self._lines.decode(message.data)))

        async with anyio.create_task_group() as following:
            following.start_soon(feed.run, take)
            with send, lines:
                yield lines
            following.cancel_scope.cancel()

    def effects(self) -> Mapping[str, EffectRoute]:
        """Return the effects of the newest manifest."""
        manifest = self._routing.get(MANIFEST_KEY)
        return manifest.effects if manifest else {}

    def providers(self) -> Collection[str]:
        """Return every known provider's id."""
        return self._registry.values.keys()

    def alive(self) -> bool:
        """Tell whether the connection is up."""
        return self._bus.alive
