"""One suite for every kind of store: orders are decided once, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import asyncpg
import msgspec
import pytest
from msgspec.structs import replace

from actors.provider_registry import core
from actors.provider_registry.changing import Decision, Known, decide
from actors.provider_registry.health import Pulse, Record24h
from actors.provider_registry.ports import Checkup
from effectmesh.database import migrate
from schemas.asks import ProviderChange
from schemas.base import EventId, ProviderId
from schemas.commands import PutProvider, SetProviderStatus
from schemas.routing import ProviderHealth
from tests.builders import NOON
from tests.integration.provider_registry.stores import Stores, in_memory, in_postgres
from tests.unit.provider_registry.support import DREAM, ID, PROVEN, put, record, switch

GRAPH = core.graph_digest(DREAM)
HEALTH = ProviderHealth(status="healthy", last_check=NOON, success_rate_24h=0.5, health_score=0.9)


@pytest.fixture(params=["memory", "postgres"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    """Yield empty stores of each kind."""
    if request.param == "memory":
        yield in_memory()
        return
    async with in_postgres(request.getfixturevalue("database")) as stored:
        yield stored


async def order(stores: Stores, heard: PutProvider | SetProviderStatus) -> ProviderChange:
    """Carry an order out."""

    def decided(known: Known | None, validated: frozenset[str]) -> Decision:
        return decide(known, heard, validated=validated, able=(), at=stores.clock.now())

    provider_id = (
        heard.payload.record.provider_id
        if isinstance(heard, PutProvider)
        else heard.payload.provider_id
    )
    return await stores.records.change(heard.event_id, provider_id, decided)


async def test_revisions_are_kept_for_ever_and_the_newest_counts(stores: Stores) -> None:
    """A past job must stay explainable by what it was rendered with."""
    await order(stores, put(DREAM, force=True))
    await order(stores, put(record(display_name="Mine"), made_from=1, force=True, order="evt_2"))
    now = await stores.records.find(ID)
    then = await stores.records.find(ID, revision=1)
    lines = await stores.records.revisions(ID)

    assert now is not None
    assert then is not None
    assert (now.display_name, now.revision) == ("Mine", 2)
    assert then == DREAM
    assert await stores.records.find(ID, revision=3) is None
    assert [(each.revision, each.origin, each.by) for each in lines] == [
        (2, "admin", "usr_admin"),
        (1, "admin", "usr_admin"),
    ]
    assert await stores.records.current() == (now,)


async def test_an_order_is_decided_once(stores: Stores) -> None:
    """It is delivered again after a crash, and meanwhile things have changed."""
    await order(stores, put(DREAM, force=True))
    first = await order(stores, switch("draining"))
    await order(stores, switch("disabled", order="evt_2"))
    again = await order(stores, switch("draining"))

    assert again == first
    found = await stores.records.find(ID)
    assert found is not None
    assert found.status == "disabled"
    assert await stores.records.find_change(first.change_id) == first


async def test_a_status_is_kept_through_edits_and_shipments(stores: Stores) -> None:
    """It stands beside the revisions, so no revision brings it back."""
    await stores.records.ship(DREAM, digest=core.digest(DREAM))
    await order(stores, switch("disabled"))
    newer = record(display_name="Newer")
    shipped = await stores.records.ship(newer, digest=core.digest(newer))
    await order(stores, put(record(display_name="Mine"), made_from=2, order="evt_2"))
    found = await stores.records.find(ID)

    assert shipped is not None
    assert (shipped.revision, shipped.status) == (2, "disabled")
    assert found is not None
    assert (found.revision, found.status) == (3, "disabled")


async def test_a_shipment_replaces_no_edit(stores: Stores) -> None:
    """Not with the next start, and not with the next release."""
    await stores.records.ship(DREAM, digest=core.digest(DREAM))
    await order(stores, put(record(display_name="Mine"), made_from=1, force=True, order="evt_2"))
    newer = record(display_name="Newer")

    assert await stores.records.ship(newer, digest=core.digest(newer)) is None
    assert await stores.records.ship(DREAM, digest=core.digest(DREAM)) is None
    found = await stores.records.find(ID)
    assert found is not None
    assert found.display_name == "Mine"


async def test_refused_orders_are_remembered_and_store_nothing_else(stores: Stores) -> None:
    """Whoever ordered asks why."""
    await order(stores, put(DREAM, force=True))
    refused = await order(stores, put(record(display_name="Mine"), order="evt_2"))
    broken = await order(stores, put(record(capabilities=()), made_from=1, order="evt_3"))

    assert (refused.outcome, broken.outcome) == ("exists", "invalid")
    assert broken.faults == ("capabilities is empty",)
    assert len(await stores.records.revisions(ID)) == 1
    kept = {each.change_id: each.outcome for each in await stores.records.changes(ID)}
    assert kept == {"evt_put": "done", "evt_2": "exists", "evt_3": "invalid"}


async def test_a_validated_graph_is_known_to_every_decision(stores: Stores) -> None:
    """Whichever provider offers it, and before there is one."""
    await stores.records.validate(GRAPH, host="h", at=NOON)
    await stores.records.validate(GRAPH, host="other", at=NOON)
    change = await order(stores, put(DREAM))
    known = await stores.records.known(ID)

    assert change.status == "active"
    assert known is not None
    assert known.validated == PROVEN
    assert known.stored_at == NOON
    assert await stores.records.known(ProviderId("fx-none")) is None


async def test_renders_are_counted_once_and_for_a_day(stores: Stores) -> None:
    """With the newest apart: they tell how it is now."""
    note = partial(stores.vitals.note, provider_id=ID)
    for n in range(30):
        await note(
            EventId(f"evt_{n:02}"),
            succeeded=n < 20,
            duration_ms=1000 if n < 10 else 3000,
            at=NOON.replace(minute=n),
        )
    await note(EventId("evt_00"), succeeded=False, duration_ms=None, at=NOON)
    await note(EventId("evt_old"), succeeded=True, duration_ms=9, at=NOON.replace(hour=1))
    await note(EventId("evt_none"), succeeded=True, duration_ms=None, at=NOON.replace(minute=59))
    found = await stores.vitals.recent(NOON)

    assert found == {
        ID: Record24h(
            succeeded=21,
            failed=10,
            latency_ms=2000,
            recent_succeeded=10,
            recent_failed=10,
            recent_latency_ms=3000,
        )
    }
    assert await stores.vitals.recent(NOON.replace(hour=0)) == found


async def test_each_check_is_taken_once(stores: Stores) -> None:
    """By whichever process comes first; an older one is not made any more."""
    taken = [await stores.vitals.claim(window) for window in (7, 7, 8, 7)]

    assert taken == [True, False, True, False]


async def test_what_crossed_stays_to_be_said(stores: Stores) -> None:
    """Until it was said, whatever the checks after it find."""
    crossed = Checkup(pulse=Pulse(status="healthy"), health=HEALTH, crossed="offline", window=7)
    quiet = replace(crossed, crossed="", window=8)
    await stores.vitals.store({ID: crossed})
    await stores.vitals.store({ID: quiet})
    left = await stores.vitals.unsaid()
    await stores.vitals.said({ID: 6})
    still = await stores.vitals.unsaid()
    await stores.vitals.said({ID: 7})

    assert left == still == {ID: crossed}
    assert await stores.vitals.unsaid() == {}
    assert await stores.vitals.pulses() == {ID: crossed.pulse}


async def test_health_is_shown_with_the_record_and_stored_beside_it(stores: Stores) -> None:
    """No revision holds what a check found."""
    await order(stores, put(DREAM, force=True))
    await stores.vitals.store({ID: Checkup(pulse=Pulse(), health=HEALTH)})
    [found] = await stores.records.current()

    assert found.health == HEALTH
    assert core.digest(found) == core.digest(DREAM)


async def test_of_edits_at_the_same_moment_one_is_stored(database: str) -> None:
    """In several processes; the others were made from what is no longer the newest."""
    async with in_postgres(database) as stores:
        await order(stores, put(DREAM, force=True))
        edits = [
            put(record(display_name=f"n{n}"), made_from=1, force=True, order=f"evt_{n}")
            for n in range(4)
        ]
        outcomes = await asyncio.gather(*(order(stores, each) for each in edits))
        lines = await stores.records.revisions(ID)

    assert sorted(each.outcome for each in outcomes) == ["done", "stale", "stale", "stale"]
    assert [each.revision for each in lines] == [2, 1]


async def test_of_processes_that_check_at_once_one_does(database: str) -> None:
    """Both woke at the start of the same window."""
    async with in_postgres(database) as stores:
        taken = await asyncio.gather(*(stores.vitals.claim(7) for _ in range(4)))

    assert sorted(taken) == [False, False, False, True]


BEFORE = """
create schema provider_registry;
create table provider_registry.provider (
    provider_id text not null,
    revision integer not null check (revision > 0),
    origin text not null check (origin in ('shipped', 'admin')),
    digest text not null,
    record jsonb not null,
    created_at timestamptz not null,
    primary key (provider_id, revision)
);
create index provider_digest on provider_registry.provider (provider_id, digest);
create function provider_registry.refuse_change() returns trigger
language plpgsql as $$ begin raise exception 'immutable'; end $$;
create trigger provider_is_immutable
    before update or delete on provider_registry.provider
    for each row execute function provider_registry.refuse_change();
"""
"""The tables as they were before there was a status beside the revisions."""


async def test_a_database_of_the_version_before_is_taken_over(database: str) -> None:
    """Records that are stored, with the status they have, edits and all."""
    old = msgspec.to_builtins(record(status="shadow"))
    for field in ("clip_rule", "health"):
        old.pop(field)
    async with asyncpg.create_pool(database, min_size=1) as pool:
        await pool.execute(BEFORE)
        await pool.execute(
            "insert into provider_registry.provider values ($1, 1, 'shipped', 'x', $2, $3)",
            ID,
            msgspec.json.encode(old).decode(),
            NOON,
        )
        await migrate(pool)
        await migrate(pool)
    async with in_postgres(database) as stores:
        [found] = await stores.records.current()
        edited = await order(
            stores, put(record(display_name="Mine"), made_from=1, force=True, order="evt_2")
        )
        switched = await order(stores, switch("disabled", order="evt_3"))

    assert (found.status, found.graph) == ("shadow", DREAM.graph)
    assert (edited.outcome, edited.revision, edited.status) == ("done", 2, "shadow")
    assert (switched.outcome, switched.previous) == ("done", "shadow")
