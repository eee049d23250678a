"""Looks at queues and hosts now and then, and asks for more or fewer hosts."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Final

import anyio
from msgspec import Struct
from msgspec.structs import replace

from actors.execution import scaling
from actors.execution.errors import ScalingFailedError
from actors.execution.ports import Backlog, Scaler
from actors.execution.scaling import Bounds, Demand, Scaling
from actors.runtime.contract import Clock
from actors.runtime.errors import BusError
from actors.runtime.follow import begin, derived_id
from actors.runtime.wire import Sayable
from schemas.base import JobId, TenantId
from schemas.events import ScaleAdvice, ScaleRequested

log = logging.getLogger("effectmesh.scaling")

LOOK_S: Final = 15.0
FLEET: Final = JobId("fleet")
PLATFORM: Final = TenantId("platform")

Say = Callable[[Sequence[Sayable]], Awaitable[None]]


class Fleet(Struct, frozen=True, kw_only=True):
    """Who is there to render."""

    hosts: int
    slots: int


class Autoscaler:
    """One in each process that runs Execution. Several ask for the same.

    Says:     ScaleRequested, once for each time that something is to be changed
    Repeats:  harmless; a number of hosts is asked for, not a change of it
    """

    def __init__(
        self,
        *,
        backlog: Backlog,
        providers: Callable[[], Collection[str]],
        predicted_ms: Callable[[str], int],
        fleet: Callable[[], Fleet],
        scaler: Scaler,
        say: Say,
        bounds: Bounds,
        clock: Clock,
    ) -> None:
        self._backlog = backlog
        self._providers = providers
        self._predicted_ms = predicted_ms
        self._fleet = fleet
        self._scaler = scaler
        self._say = say
        self._bounds = bounds
        self._clock = clock
        self._known = Scaling()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except BusError as away:
                log.info("scaling has to wait: %s", away)
            await anyio.sleep(LOOK_S)

    async def look(self) -> ScaleAdvice | None:
        """Look once; return what was asked for.

        Raises:
            BusError: the queues cannot be read, or nothing can be said.
        """
        at = self._clock.now()
        known, advice = scaling.look(self._known, await self._demand(), self._bounds, at=at)
        if advice is not None:
            advice = replace(advice, applied=await self._applied(advice))
            await self._say([_said(advice, at=at)])
        self._known = known
        return advice

    async def _demand(self) -> Demand:
        queues = await self._backlog.read(sorted(self._providers()))
        fleet = self._fleet()
        return Demand(
            waiting=sum(each.waiting for each in queues),
            running=sum(each.running for each in queues),
            predicted_ms=sum(
                each.waiting * (self._predicted_ms(each.provider_id) or scaling.UNKNOWN_MS)
                for each in queues
            ),
            hosts=fleet.hosts,
            slots=fleet.slots,
        )

    async def _applied(self, advice: ScaleAdvice) -> bool:
        try:
            return await self._scaler.scale(advice.desired_hosts)
        except ScalingFailedError as failed:
            log.error("%s", failed)
            return False


def _said(advice: ScaleAdvice, *, at: datetime) -> ScaleRequested:
    minute = at.replace(second=0, microsecond=0).isoformat()
    event_id = derived_id("evt", ScaleRequested.__name__, minute, str(advice.desired_hosts))
    header = begin(job_id=FLEET, tenant_id=PLATFORM, at=at, event_id=event_id)
    return ScaleRequested(**header, payload=advice)
