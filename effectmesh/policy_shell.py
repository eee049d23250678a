"""Feeds the telemetry to the tracker and publishes what the policy publisher decides.

The tracker's state is never stored: at the start the whole telemetry stream is replayed, and only
then the first manifest is considered.
"""

from __future__ import annotations

from typing import Final

import anyio

from actors.economic_engine.publisher import PolicyPublisher
from actors.economic_engine.tracker import Tracker
from actors.runtime.bus import Bus
from actors.runtime.contract import Clock
from actors.runtime.telemetry import read_telemetry
from actors.runtime.watch import Watched
from schemas.routing import ProviderRecord, RoutingManifest
from schemas.telemetry import TelemetryPacket
from subjects.topology import MANIFEST_KEY

TICK_S: Final = 1.0
"""How often the publisher is asked whether a manifest is due."""


class PolicyShell:
    """One per platform is enough; two say the same under the same ids."""

    def __init__(
        self,
        *,
        bus: Bus,
        tracker: Tracker,
        publisher: PolicyPublisher,
        routing: Watched[RoutingManifest],
        registry: Watched[ProviderRecord],
        clock: Clock,
    ) -> None:
        self._bus = bus
        self._tracker = tracker
        self._publisher = publisher
        self._routing = routing
        self._registry = registry
        self._clock = clock
        self._critical = anyio.Event()

    async def run(self) -> None:
        """Replay, then publish until cancelled."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(read_telemetry, self._bus, self._take)
            tasks.start_soon(self._follow_registry)
            # Forced once: providers may have changed while nobody looked.
            self._critical.set()
            while True:
                await self._publish(force=self._critical.is_set())
                with anyio.move_on_after(TICK_S):
                    await self._critical.wait()

    def _take(self, packet: TelemetryPacket) -> None:
        if any(each.critical for each in self._tracker.observe(packet)):
            self._critical.set()

    async def _follow_registry(self) -> None:
        while True:
            await self._registry.changed()
            self._critical.set()

    async def _publish(self, *, force: bool) -> None:
        self._critical = anyio.Event()
        previous = self._routing.get(MANIFEST_KEY)
        said = self._publisher.publish(self._clock.now(), previous=previous, force=force)
        if not said:
            return
        await self._bus.say(said)
        await self._settle(previous)

    async def _settle(self, previous: RoutingManifest | None) -> None:
        """Wait until the local copy shows what was said, so that it is not said again."""
        with anyio.move_on_after(TICK_S):
            while self._routing.get(MANIFEST_KEY) is previous:
                await self._routing.changed()
