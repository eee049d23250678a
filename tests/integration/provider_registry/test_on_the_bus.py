"""The registry with everything real: a broker with its users, a database, an agent's presence."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import anyio
import asyncpg
import msgspec
import pytest
from msgspec import Struct

from actors.provider_registry.health import TO_WORSE, WINDOW_S
from actors.runtime.bus import Bus
from actors.runtime.contract import FrozenClock, Put
from actors.runtime.host import Hosted, run_hosted
from actors.runtime.watch import Watched
from effectmesh.database import migrate
from effectmesh.prepare import topology_for
from effectmesh.processes.bus_for_gateway import GatewayBus
from effectmesh.processes.catalog import CatalogCare
from effectmesh.processes.copies import registry_copy, routing_copy
from gateway.bodies import StatusBody
from gateway.errors import Refusal
from gateway.identity import Caller, Role
from gateway.providers import ProviderDesk
from gpu_agent.presence import Presence
from schemas.asks import ANY_TENANT, ProviderFound
from schemas.base import Module, UserId
from schemas.routing import ProviderRecord
from subjects.build import ANSWERER
from subjects.topology import CMD, EVT, PRESENCE, gpu_consumers
from tests.builders import NOON
from tests.integration.permissions.conftest import As
from tests.integration.permissions.conftest import as_user as as_user
from tests.integration.permissions.conftest import broker as broker
from tests.integration.permissions.conftest import whole as whole
from tests.integration.runtime.world import SOON_S, stored
from tests.unit.provider_registry.support import record

OPERATOR = Caller(name="ops", tenant_id=ANY_TENANT, user_id=UserId("usr_ops"), role=Role.ADMIN)
WANTED = record(provider_id="fx-bus-v1", status="draft")
ID = WANTED.provider_id


class Running(Struct, frozen=True):
    """A registry that runs as its own user, a gateway's desk, and an agent's view."""

    care: CatalogCare
    desk: ProviderDesk
    agent: Bus
    seen: Watched[ProviderRecord]
    clock: FrozenClock

    async def until(self, told: Callable[[ProviderRecord], bool]) -> ProviderRecord:
        """Return the record as the agent sees it, once something is true of it."""
        with anyio.fail_after(SOON_S):
            while (found := self.seen.get(ID)) is None or not told(found):
                await self.seen.changed()
        return found

    async def found(self, told: Callable[[ProviderFound], bool]) -> None:
        """Ask until something is true of the provider."""
        with anyio.fail_after(SOON_S):
            while not told(await self.desk.find(ID)):
                await anyio.lowlevel.checkpoint()

    async def alive(self) -> None:
        """Say that an agent is alive and can run it."""
        here = Presence(
            agent_id="agent_bus",
            host="h",
            gpu_type="cpu",
            provider_ids=(ID,),
            slots=1,
            at=self.clock.now(),
        )
        value = msgspec.json.encode(here)
        await self.agent.say([Put(bucket=PRESENCE, key="agent_bus", value=value)])

    async def check(self, times: int = 1) -> None:
        """Make the check of so many windows."""
        for _ in range(times):
            self.clock.at = self.clock.at.fromtimestamp(
                self.clock.at.timestamp() + WINDOW_S, tz=self.clock.at.tzinfo
            )
            await self.care.check_once()


@asynccontextmanager
async def registry(as_user: As, database: str) -> AsyncIterator[Running]:
    """Yield all of it, running."""
    clock = FrozenClock(NOON)
    async with AsyncExitStack() as opened:
        own, edge, agent = [
            await opened.enter_async_context(as_user(module))
            for module in (Module.PROVIDER_REGISTRY, Module.GATEWAY, Module.GPU_AGENT)
        ]
        pool = await opened.enter_async_context(
            asyncpg.create_pool(database, min_size=1, max_size=4)
        )
        await migrate(pool)
        seen, shown, routing = registry_copy(agent), registry_copy(edge), routing_copy(edge)
        care = CatalogCare(bus=own, pool=pool, registry=shown, clock=clock)
        bus = GatewayBus(bus=edge, routing=routing, registry=shown)
        async with serving(care, own), anyio.create_task_group() as copies:
            for run in (seen.run, shown.run, *(run for _, run in care.copies())):
                copies.start_soon(run)
            await seen.ready()
            await shown.ready()
            yield Running(care, ProviderDesk(bus=bus, clock=clock), agent, seen, clock)
            copies.cancel_scope.cancel()


@asynccontextmanager
async def serving(care: CatalogCare, bus: Bus) -> AsyncIterator[None]:
    """Run the module for the length of the block."""
    stopping = anyio.Event()
    module = Module.PROVIDER_REGISTRY
    answerers: dict[Any, Any] = {
        kind: care.answers for kind, owner in ANSWERER.items() if owner is module
    }
    hosted = Hosted(module=module, receive=care.module.receive, answerers=answerers, bus=bus)
    run = partial(
        run_hosted,
        bus=bus,
        hosted=[hosted],
        declared=topology_for([]),
        dice=random.Random(1),
        stopping=stopping,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        yield
        stopping.set()


async def test_a_provider_lives_from_its_order_to_its_end(
    as_user: As, database: str, whole: Bus
) -> None:
    """Ordered at the gateway, stored, queued, seen by an agent, proven, enabled, ill, well."""
    async with registry(as_user, database) as running:
        change, _ = await running.desk.put(OPERATOR, WANTED, made_from=0, force=False)
        assert change is not None
        assert (change.outcome, change.status) == ("done", "draft")
        await running.until(lambda each: each.status == "draft")
        for consumer in gpu_consumers(ID):
            await running.agent.api(f"CONSUMER.INFO.{CMD}.{consumer.name}")

        with pytest.raises(Refusal, match="UNPROVEN_PROVIDER"):
            await running.desk.set_status(OPERATOR, ID, StatusBody(status="active"))
        await running.check()
        await running.alive()
        await running.found(lambda each: each.proven)
        enabled, _ = await running.desk.set_status(OPERATOR, ID, StatusBody(status="active"))
        assert enabled is not None
        assert enabled.outcome == "done"
        await running.until(lambda each: each.status == "active")

        await running.check()
        await running.until(lambda each: bool(each.health and each.health.status == "healthy"))
        await running.agent.say([Put(bucket=PRESENCE, key="agent_bus", value=_nobody())])
        await running.found(lambda each: not each.agents)
        await running.check(times=TO_WORSE)
        await running.until(lambda each: bool(each.health and each.health.status == "offline"))

        facts = await stored(whole, EVT, f"evt.provider_registry.*.platform.{ID}")
    told = [msgspec.json.decode(each.data)["payload"] for each in facts]
    assert [(each["previous"], each["status"]) for each in told] == [
        ("", "draft"),
        ("draft", "active"),
        ("healthy", "offline"),
    ]


def _nobody() -> bytes:
    """Return the presence of an agent whose host went away."""
    return msgspec.json.encode({"agent_id": "agent_bus", "provider_ids": []})
