"""The provider registry as it runs: its module, its copy of the agents, its checks."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import anyio
import asyncpg
import msgspec

from actors.provider_registry.actor import ProviderRegistry
from actors.provider_registry.answers import RegistryAnswers
from actors.provider_registry.checks import HealthChecks
from actors.provider_registry.fleet import PresentFleet, Sighting
from actors.provider_registry.health import WINDOW_S
from actors.provider_registry.postgres import PostgresRecords
from actors.provider_registry.queues import BrokerQueues
from actors.provider_registry.vitals import PostgresVitals
from actors.runtime.bus import Bus
from actors.runtime.contract import Clock, SystemClock
from actors.runtime.errors import BusError
from actors.runtime.watch import Watched
from effectmesh.database import AWAY
from schemas.routing import ProviderRecord
from subjects.topology import PRESENCE

log = logging.getLogger("effectmesh.catalog")

MARGIN_S: Final = 0.5
"""How long after a window's start it is checked, so that no clock is before it."""


_AWAY: Final[tuple[type[Exception], ...]] = (*AWAY, BusError)


class CatalogCare:
    """Module 3 with all that it needs, built."""

    def __init__(
        self,
        *,
        bus: Bus,
        pool: asyncpg.Pool,
        registry: Watched[ProviderRecord],
        clock: Clock | None = None,
    ) -> None:
        self._bus = bus
        self._registry = registry
        self._clock = clock or SystemClock()
        self._presence: Watched[Sighting] = Watched(
            bus=bus, bucket=PRESENCE, decode=msgspec.json.Decoder(Sighting).decode
        )
        fleet = PresentFleet(lambda: self._presence.values)
        records = PostgresRecords(pool=pool, clock=self._clock)
        vitals = PostgresVitals(pool=pool)
        self._checks = HealthChecks(records=records, vitals=vitals, fleet=fleet)
        self.answers = RegistryAnswers(records=records, fleet=fleet, clock=self._clock)
        self.module = ProviderRegistry(
            records=records,
            vitals=vitals,
            queues=BrokerQueues(bus=bus),
            fleet=fleet,
            clock=self._clock,
        )

    def parts(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Yield what runs beside the module, by name."""
        yield from self.copies()
        yield "provider checks", self.check

    def copies(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Yield what keeps the copies of buckets, by name."""
        yield "presence copy", self._presence.run

    async def check(self) -> None:
        """Check every provider once in each window, until cancelled.

        Before both copies are complete nothing is checked: every agent would seem to be gone.
        """
        await self._presence.ready()
        await self._registry.ready()
        while True:
            now = self._clock.now().timestamp()
            await anyio.sleep(WINDOW_S - now % WINDOW_S + MARGIN_S)
            try:
                await self.check_once()
            except _AWAY as away:
                log.info("the providers are not checked this time: %s", away)

    async def check_once(self) -> None:
        """Check every provider, unless another process did, and say what was found."""
        if not self._bus.alive:
            return
        said = await self._checks.check(self._clock.now(), shown=self._registry.values)
        await self._bus.say(said)
        await self._checks.said()
