"""Makes database and broker what the code declares. Running it again changes nothing."""

from __future__ import annotations

from collections.abc import Iterable

from actors.provider_registry.postgres import PostgresRecords
from actors.provider_registry.seeding import entries, seed
from actors.provider_registry.shipped import shipped
from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import Clock, SystemClock
from actors.runtime.follow import begin, derived_id
from effectmesh.database import migrate, pooled
from effectmesh.settings import Settings
from effectmesh.state import ADMIN_USER, DEMO_TENANT
from schemas.base import MICRO, JobId
from schemas.commands import TopUp, TopUpWallet
from schemas.routing import ProviderRecord
from subjects.topology import Topology, in_lanes, topology

DISABLED = "disabled"
WALLET = JobId("wallet")


def topology_for(records: Iterable[ProviderRecord], *, replicas: int = 1) -> Topology:
    """Return everything that must exist on the broker to serve these providers."""
    served = (each.provider_id for each in records if each.status != DISABLED)
    return topology(in_lanes(served), replicas=replicas)


async def prepare(settings: Settings) -> None:
    """Create tables, ship the provider catalog, apply the topology, welcome the demo tenant.

    Raises:
        BusError: the broker cannot be what is declared.
    """
    clock = SystemClock()
    async with (
        pooled(settings.postgres_url, size=2) as pool,
        connected(settings.nats_url, name="prepare") as bus,
    ):
        await migrate(pool)
        records = PostgresRecords(pool=pool, clock=clock)
        seeded = await seed(records, shipped(), clock=clock)
        current = await records.current()
        await provision.apply(bus, topology_for(current, replicas=settings.replicas))
        await bus.say([*await entries(records), *seeded.said])
        await _welcome(bus, settings, clock)


async def _welcome(bus: Bus, settings: Settings, clock: Clock) -> None:
    """Fill the demo tenant's wallet once; the ledger knows the id and books it no second time."""
    if not settings.welcome_tokens:
        return
    event_id = derived_id("evt", "welcome", DEMO_TENANT)
    header = begin(job_id=WALLET, tenant_id=DEMO_TENANT, at=clock.now(), event_id=event_id)
    gift = TopUp(
        topup_id="welcome", amount_microtokens=settings.welcome_tokens * MICRO, by=ADMIN_USER
    )
    await bus.say([TopUpWallet(**header, payload=gift)])
