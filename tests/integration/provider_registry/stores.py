"""Empty stores of each kind, for suites that hold all of them to one behaviour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from msgspec import Struct

from actors.provider_registry.memory import MemoryRecords, MemoryVitals
from actors.provider_registry.ports import Records, Vitals
from actors.provider_registry.postgres import PostgresRecords
from actors.provider_registry.vitals import PostgresVitals
from actors.runtime.contract import FrozenClock
from effectmesh.database import migrate
from tests.builders import NOON


class Stores(Struct, frozen=True):
    """What the registry keeps, and the clock it is kept by."""

    records: Records
    vitals: Vitals
    clock: FrozenClock


def in_memory() -> Stores:
    """Return empty stores that are gone with the test."""
    clock = FrozenClock(NOON)
    records = MemoryRecords(clock=clock)
    return Stores(records, MemoryVitals(records=records), clock)


@asynccontextmanager
async def in_postgres(database: str) -> AsyncIterator[Stores]:
    """Yield empty stores in a real database."""
    clock = FrozenClock(NOON)
    async with asyncpg.create_pool(database, min_size=1, max_size=4) as pool:
        await migrate(pool)
        yield Stores(PostgresRecords(pool=pool, clock=clock), PostgresVitals(pool=pool), clock)
