"""What Execution does beside its messages: keeps the providers' limits, and asks for hosts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator
from typing import Any

import boto3
import msgspec
from botocore.exceptions import BotoCoreError
from msgspec import Struct

from actors.execution.actor import Execution, ExecutionModule, Limits, Quarantines
from actors.execution.autoscaler import Autoscaler, Fleet
from actors.execution.broker import BrokerConsumers
from actors.execution.keeper import LimitKeeper
from actors.execution.ports import Scaler
from actors.execution.pricing import RatedPricer
from actors.execution.scaler import AwsScaler, NoScaler
from actors.execution.scaling import Bounds
from actors.runtime.bus import Bus
from actors.runtime.contract import Clock, SystemClock
from actors.runtime.record import Recorded, Say, StreamLog
from actors.runtime.watch import Watched
from effectmesh.prepare import DISABLED
from effectmesh.settings import SettingError, Settings
from schemas.base import ProviderId
from schemas.routing import ProviderRecord, RoutingManifest
from subjects.topology import CONTROL, MANIFEST_KEY, PRESENCE


def execution_module(bus: Bus, *, say: Say, clock: Clock) -> ExecutionModule:
    """Return module 6 with its three kinds of records."""
    log = StreamLog(bus=bus)

    def recorded(saga: Any) -> Any:
        return Recorded(saga=saga, log=log, say=say).receive

    return ExecutionModule(
        tasks=recorded(Execution(pricer=RatedPricer(), clock=clock)),
        quarantines=recorded(Quarantines(clock=clock)),
        limits=recorded(Limits()),
    )


class Present(Struct):
    """What of an agent's presence matters here; the agent says more."""

    host: str = ""
    slots: int = 0
    provider_ids: tuple[ProviderId, ...] = ()


class FleetCare:
    """The parts that run beside the module, each by itself."""

    def __init__(
        self,
        settings: Settings,
        *,
        bus: Bus,
        registry: Watched[ProviderRecord],
        routing: Watched[RoutingManifest],
    ) -> None:
        self._registry = registry
        self._routing = routing
        self._control: Watched[bytes] = Watched(bus=bus, bucket=CONTROL, decode=bytes)
        self._presence: Watched[Present] = Watched(
            bus=bus, bucket=PRESENCE, decode=msgspec.json.Decoder(Present).decode
        )
        consumers = BrokerConsumers(bus=bus)
        self._keeper = LimitKeeper(
            consumers=consumers,
            entries=self._control,
            providers=self._enabled,
            clock=SystemClock(),
        )
        self._autoscaler = Autoscaler(
            backlog=consumers,
            providers=self._served,
            predicted_ms=self._predicted_ms,
            fleet=self._fleet,
            scaler=scaler_of(settings),
            say=bus.say,
            bounds=Bounds(least=settings.least_hosts, most=settings.most_hosts),
            clock=SystemClock(),
        )

    def parts(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Yield each part's name and what runs it."""
        yield "control copy", self._control.run
        yield "presence copy", self._presence.run
        yield "limits", self._keep
        yield "scaling", self._scale

    async def _keep(self) -> None:
        # Before the copy is complete it would seem that nobody limits anything.
        await self._control.ready()
        await self._keeper.run()

    async def _scale(self) -> None:
        await self._presence.ready()
        await self._autoscaler.run()

    def _enabled(self) -> set[str]:
        return {
            each.provider_id for each in self._registry.values.values() if each.status != DISABLED
        }

    def _served(self) -> set[str]:
        return served(self._enabled(), self._presence.values.values())

    def _fleet(self) -> Fleet:
        agents = self._presence.values.values()
        return Fleet(
            hosts=len({each.host for each in agents}), slots=sum(each.slots for each in agents)
        )

    def _predicted_ms(self, provider_id: str) -> int:
        """Return the longest that the manifest expects of a provider, 0 when it does not know."""
        manifest = self._routing.get(MANIFEST_KEY)
        routes = manifest.effects.values() if manifest else ()
        expected = (
            route.expected_duration_ms
            for effect in routes
            for route in effect.providers
            if route.provider_id == provider_id
        )
        return max(expected, default=0)


def served(enabled: set[str], agents: Collection[Present]) -> set[str]:
    """Return the providers whose queues count: those that some agent serves, if any serves one.

    What waits for a host of another kind would ask for more of these for ever.
    """
    able = {provider_id for each in agents for provider_id in each.provider_ids}
    return enabled & able if able else enabled


def scaler_of(settings: Settings) -> Scaler:
    """Return who starts hosts.

    Raises:
        SettingError: it is AWS, and no group is named or no region is known.
    """
    if settings.scaler == "none":
        return NoScaler()
    if not settings.scaler_group:
        raise SettingError("EFFECTMESH_SCALER=aws needs EFFECTMESH_SCALER_GROUP, a group's name")
    try:
        client = boto3.client("autoscaling")
    except BotoCoreError as unknown:
        raise SettingError(f"EFFECTMESH_SCALER=aws: {unknown}") from unknown
    return AwsScaler(client=client, group=settings.scaler_group)
