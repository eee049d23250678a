"""One suite for every kind of record store: revisions are added, never changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import msgspec
import pytest

from actors.provider_registry import core
from actors.provider_registry.memory import MemoryRecords
from actors.provider_registry.ports import Records
from actors.provider_registry.postgres import PostgresRecords
from actors.provider_registry.shipped import shipped
from actors.runtime.contract import FrozenClock
from effectmesh.database import migrate
from schemas.routing import ProviderRecord

RECORD = shipped()[-1]


def edition(name: str) -> ProviderRecord:
    """Return the same provider with other content."""
    return msgspec.structs.replace(RECORD, display_name=name)


@asynccontextmanager
async def stored_in_postgres(database: str) -> AsyncIterator[PostgresRecords]:
    """Yield an empty store in a real database."""
    async with asyncpg.create_pool(database, min_size=1, max_size=4) as pool:
        records = PostgresRecords(pool=pool, clock=FrozenClock())
        await migrate(pool)
        yield records


@pytest.fixture(params=["memory", "postgres"])
async def records(request: pytest.FixtureRequest) -> AsyncIterator[Records]:
    """Yield an empty store of each kind."""
    if request.param == "memory":
        yield MemoryRecords()
        return
    async with stored_in_postgres(request.getfixturevalue("database")) as stored:
        yield stored


async def ship(records: Records, record: ProviderRecord) -> ProviderRecord | None:
    """Ship a record under its digest."""
    return await records.ship(record, digest=core.digest(record))


async def test_new_content_is_a_new_revision(records: Records) -> None:
    """A past job must stay explainable by what it was rendered with."""
    first = await ship(records, edition("one"))
    second = await ship(records, edition("two"))

    assert first is not None
    assert second is not None
    assert (first.revision, second.revision) == (1, 2)
    assert await records.current() == (second,)


async def test_shipping_the_same_again_stores_nothing(records: Records) -> None:
    """Every start seeds."""
    await ship(records, edition("one"))
    await ship(records, edition("two"))

    assert await ship(records, edition("one")) is None
    assert await ship(records, edition("two")) is None
    assert [record.revision for record in await records.current()] == [2]


async def test_current_records_are_sorted_and_whole(records: Records) -> None:
    """What comes back is what was shipped, the graph too."""
    for record in reversed(shipped()):
        await ship(records, record)

    assert await records.current() == shipped()


async def test_a_stored_revision_cannot_be_changed(database: str) -> None:
    """Not even by somebody with a database console."""
    async with stored_in_postgres(database) as records:
        await ship(records, edition("one"))
        connection = await asyncpg.connect(database)
        with pytest.raises(asyncpg.RaiseError, match="immutable"):
            await connection.execute("update provider_registry.provider set digest = ''")
        with pytest.raises(asyncpg.RaiseError, match="immutable"):
            await connection.execute("delete from provider_registry.provider")
        await connection.close()


async def test_two_processes_that_start_together_ship_once(database: str) -> None:
    """Both read the same highest revision; one of them must wait."""
    async with stored_in_postgres(database) as records:
        shippings = [ship(records, edition("one")) for _ in range(4)]
        stored = await asyncio.gather(*shippings)

        assert [each.revision for each in stored if each] == [1]


async def test_preparing_twice_keeps_what_is_there(database: str) -> None:
    """Every start prepares."""
    async with (
        stored_in_postgres(database) as records,
        asyncpg.create_pool(database, min_size=1) as pool,
    ):
        await ship(records, edition("one"))
        await migrate(pool)

        assert len(await records.current()) == 1
