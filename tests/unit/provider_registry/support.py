"""Orders to the registry and what it is built of, as the tests of it need them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from actors.provider_registry import core
from actors.provider_registry.actor import ProviderRegistry
from actors.provider_registry.changing import SETTLED, Able, Known
from actors.provider_registry.memory import (
    MemoryFleet,
    MemoryQueues,
    MemoryRecords,
    MemoryVitals,
)
from actors.provider_registry.shipped import shipped
from actors.runtime.contract import FrozenClock
from schemas.base import EventId, JobId, ProviderId, TenantId, UserId
from schemas.commands import ProviderEdition, PutProvider, SetProviderStatus, StatusOrder
from schemas.routing import ProviderRecord
from tests.builders import NOON

ADMIN = UserId("usr_admin")
DREAM = replace(next(each for each in shipped() if each.provider_id == "fx-dream-v1"))
ID = DREAM.provider_id
LATER = NOON + SETTLED
PROVEN = frozenset({core.graph_digest(DREAM)})


def record(**changes: Any) -> ProviderRecord:
    """Return the dream with some fields replaced."""
    return replace(DREAM, **changes)


def with_class(name: str) -> ProviderRecord:
    """Return the dream with a node of another class in it."""
    graph = {**DREAM.graph, "77": {"class_type": name, "inputs": {"image": ["2", 0]}}}
    return record(graph=graph, node_dependencies=(*DREAM.node_dependencies, name))


def known(status: str = "active", **changes: Any) -> Known:
    """Return what is stored of the dream."""
    stored = record(status=status, revision=3)
    return replace(Known(record=stored, stored_at=NOON), **changes)


def seen(at: datetime = LATER) -> tuple[Able, ...]:
    """Return one agent that says that it can run it."""
    return (Able(agent_id="agent_a", at=at),)


def put(
    wanted: ProviderRecord, *, made_from: int = 0, force: bool = False, order: str = "evt_put"
) -> PutProvider:
    """Return the order to store a record."""
    return PutProvider(
        event_id=EventId(order),
        timestamp=NOON,
        correlation_id=JobId(wanted.provider_id),
        tenant_id=TenantId("platform"),
        payload=ProviderEdition(record=wanted, by=ADMIN, made_from=made_from, force=force),
    )


def switch(
    status: str, *, force: bool = False, order: str = "evt_set", provider_id: str = ID
) -> SetProviderStatus:
    """Return the order to give a provider jobs, or no more."""
    return SetProviderStatus(
        event_id=EventId(order),
        timestamp=NOON,
        correlation_id=JobId(provider_id),
        tenant_id=TenantId("platform"),
        payload=StatusOrder(
            provider_id=ProviderId(provider_id), status=status, by=ADMIN, reason="why", force=force
        ),
    )


class World:
    """A registry over stores in memory."""

    def __init__(self) -> None:
        self.clock = FrozenClock(NOON)
        self.records = MemoryRecords(clock=self.clock)
        self.vitals = MemoryVitals(records=self.records)
        self.queues = MemoryQueues()
        self.fleet = MemoryFleet()
        self.actor = ProviderRegistry(
            records=self.records,
            vitals=self.vitals,
            queues=self.queues,
            fleet=self.fleet,
            clock=self.clock,
        )

    def pass_time(self, seconds: float) -> None:
        """Let time go by."""
        self.clock.at += timedelta(seconds=seconds)

    async def status(self) -> str:
        """Return the dream's status."""
        found = await self.records.find(ID)
        assert found is not None
        return found.status
