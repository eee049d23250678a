"""Seeding, orders, questions: what is stored, what is said, and once."""

from __future__ import annotations

import msgspec
import pytest

from actors.provider_registry.answers import RegistryAnswers
from actors.provider_registry.errors import InvalidRecordError
from actors.provider_registry.memory import MemoryRecords
from actors.provider_registry.seeding import entries, seed
from actors.provider_registry.shipped import shipped
from actors.runtime.contract import FrozenClock, GiveUp, Put
from schemas.asks import (
    FindProvider,
    FindProviderChange,
    ListJobs,
    ListProviders,
    ProviderChangeFound,
    ProviderFound,
    ProviderPage,
    ProviderValidated,
    ValidateProvider,
)
from schemas.base import EventId, ProviderId, TenantId
from schemas.commands import Wake
from schemas.events import ProviderStatusChanged
from schemas.failures import FailureClass
from schemas.routing import ProviderRecord
from tests.builders import NOON, header, task_failed, task_succeeded
from tests.contract.provider_registry.graphs import object_info
from tests.unit.provider_registry.support import (
    DREAM,
    ID,
    PROVEN,
    World,
    put,
    record,
    seen,
    switch,
    with_class,
)


async def test_the_bucket_holds_every_provider_as_its_agents_read_it() -> None:
    """Agents know a provider only from there."""
    records = MemoryRecords()
    await seed(records, shipped(), clock=FrozenClock())
    found = await entries(records)

    assert [entry.key for entry in found] == [each.provider_id for each in shipped()]
    assert {entry.bucket for entry in found} == {"REGISTRY"}
    read = [msgspec.json.decode(entry.value, type=ProviderRecord) for entry in found]
    assert read == list(shipped())


async def test_one_broken_record_stops_the_whole_seeding() -> None:
    """Half a catalog is worse than the one before."""
    records = MemoryRecords()
    good = shipped()[0]
    broken = msgspec.structs.replace(good, provider_id="no token")

    with pytest.raises(InvalidRecordError):
        await seed(records, (good, broken), clock=FrozenClock())
    assert await entries(records) == ()


async def test_seeding_says_which_status_is_new_and_says_it_once() -> None:
    """A provider that came is a fact; a start that changed nothing is none."""
    records = MemoryRecords()
    first = await seed(records, [DREAM], clock=FrozenClock())
    again = await seed(records, [DREAM], clock=FrozenClock())
    renamed = await seed(records, [record(display_name="New")], clock=FrozenClock())
    off = await seed(records, [record(status="disabled")], clock=FrozenClock())

    assert [(each.payload.previous, each.payload.status) for each in first.said] == [("", "active")]
    assert (again.stored, again.said, renamed.said) == ((), (), ())
    assert [(each.payload.previous, each.payload.status) for each in off.said] == [
        ("active", "disabled")
    ]


async def test_a_newer_catalog_replaces_no_edit_and_switches_nothing_on() -> None:
    """What an admin decided stays decided through an upgrade."""
    world = World()
    await seed(world.records, [DREAM], clock=world.clock)
    await world.actor.receive(switch("disabled"))
    await seed(world.records, [record(display_name="Newer")], clock=world.clock)
    assert await world.status() == "disabled"

    edition = put(record(display_name="Mine"), made_from=2)
    await world.actor.receive(edition)
    await seed(world.records, [record(display_name="Newest")], clock=world.clock)

    found = await world.records.find(ID)
    assert found is not None
    assert (found.display_name, found.revision) == ("Mine", 3)


async def test_an_added_provider_is_told_to_agents_after_its_queues_are_there() -> None:
    """An agent that pulled queues which do not exist would fail."""
    world = World()
    world.records.validated = dict.fromkeys(PROVEN, ("host", NOON))
    entry, fact = await world.actor.receive(put(DREAM))

    assert world.queues.made == [ID]
    assert isinstance(entry, Put)
    assert msgspec.json.decode(entry.value, type=ProviderRecord) == DREAM
    assert isinstance(fact, ProviderStatusChanged)
    assert (fact.payload.previous, fact.payload.status) == ("", "active")
    assert (fact.tenant_id, fact.correlation_id) == ("platform", ID)


async def test_a_disabled_provider_gets_no_queues() -> None:
    """Nobody would pull them."""
    world = World()
    await world.actor.receive(put(record(status="disabled")))

    assert world.queues.made == []


async def test_a_redelivered_order_says_the_same_and_stores_nothing_more() -> None:
    """The runtime died between storing and acknowledging."""
    world = World()
    await world.actor.receive(put(DREAM, force=True))
    first = await world.actor.receive(switch("draining"))
    await world.actor.receive(switch("disabled", order="evt_other"))
    world.pass_time(60)
    again = await world.actor.receive(switch("draining"))

    assert again[1] == first[1]
    assert await world.status() == "disabled"
    entry = again[0]
    assert isinstance(entry, Put)
    assert msgspec.json.decode(entry.value, type=ProviderRecord).status == "disabled"
    assert len(await world.records.revisions(ID)) == 1


async def test_an_edit_says_no_status_and_puts_the_new_revision() -> None:
    """Only a change of status is a fact."""
    world = World()
    await world.actor.receive(put(DREAM, force=True))
    said = await world.actor.receive(
        put(record(display_name="Mine"), made_from=1, force=True, order="evt_2")
    )

    [entry] = said
    assert isinstance(entry, Put)
    assert msgspec.json.decode(entry.value, type=ProviderRecord).revision == 2


async def test_a_refused_order_says_nothing_and_is_remembered() -> None:
    """Whoever ordered asks what became of it."""
    world = World()
    await world.actor.receive(put(DREAM, force=True))
    said = await world.actor.receive(put(record(display_name="Mine"), order="evt_2"))
    change = await world.records.find_change(EventId("evt_2"))

    assert said == []
    assert change is not None
    assert change.outcome == "exists"


async def test_of_two_edits_of_one_revision_the_second_is_stale() -> None:
    """Optimistic: both read revision 1."""
    world = World()
    await world.actor.receive(put(DREAM, force=True))
    for name in ("a", "b"):
        edition = record(display_name=name)
        await world.actor.receive(put(edition, made_from=1, force=True, order=f"evt_{name}"))

    outcomes = [each.outcome for each in await world.records.changes(ID)]
    found = await world.records.find(ID)
    assert found is not None
    assert (outcomes, found.display_name) == (["stale", "done", "done"], "a")


async def test_an_order_without_a_provider_is_a_dead_letter() -> None:
    """It can be about nothing, whenever it comes."""
    with pytest.raises(GiveUp):
        await World().actor.receive(switch("active", provider_id=""))


async def test_a_timer_is_nobodys_business_here() -> None:
    """The topology delivers them; none is set."""
    wake = Wake(**header("evt_wake"), purpose="x")  # type: ignore[arg-type]

    assert await World().actor.receive(wake) == []


async def test_renders_count_once_and_only_when_they_tell_something() -> None:
    """A broken clip or a cancelled job is nothing a provider did."""
    world = World()
    provider = task_succeeded().payload.provider_id
    await world.actor.receive(task_succeeded())
    await world.actor.receive(task_succeeded())
    for n, blame in enumerate(
        (FailureClass.WORKFLOW_BUG, FailureClass.BAD_INPUT, FailureClass.CANCELLED)
    ):
        failed = task_failed()
        payload = msgspec.structs.replace(failed.payload, failure_class=blame)
        await world.actor.receive(
            msgspec.structs.replace(failed, event_id=EventId(f"evt_f{n}"), payload=payload)
        )
    counted = (await world.vitals.recent(NOON))[provider]

    assert (counted.succeeded, counted.failed) == (1, 1)
    assert counted.latency_ms == task_succeeded().payload.execution_telemetry.actual_duration_ms


def answers(world: World) -> RegistryAnswers:
    """Return who answers for a world."""
    return RegistryAnswers(records=world.records, fleet=world.fleet, clock=world.clock)


async def test_providers_are_listed_by_id() -> None:
    """The question of the admin panel and of routing."""
    world = World()
    await seed(world.records, shipped(), clock=world.clock)
    page = await answers(world).answer(ListProviders())

    assert isinstance(page, ProviderPage)
    assert [each.provider_id for each in page.providers] == sorted(
        each.provider_id for each in shipped()
    )


async def test_a_provider_is_shown_with_its_history_and_its_agents() -> None:
    """As it is, and as it was."""
    world = World()
    await world.actor.receive(put(DREAM, force=True))
    await world.actor.receive(
        put(record(display_name="Mine"), made_from=1, force=True, order="evt_2")
    )
    world.pass_time(60)
    world.fleet.agents = {ID: seen(world.clock.at)}
    now = await answers(world).answer(FindProvider(provider_id=ID))
    then = await answers(world).answer(FindProvider(provider_id=ID, revision=1))
    never = await answers(world).answer(FindProvider(provider_id=ID, revision=9))
    nobody = await answers(world).answer(FindProvider(provider_id=ProviderId("fx-none")))

    assert isinstance(now, ProviderFound)
    assert isinstance(then, ProviderFound)
    assert now.record is not None
    assert then.record is not None
    assert (now.record.display_name, then.record.display_name) == ("Mine", "Dream")
    assert [each.revision for each in now.revisions] == [2, 1]
    assert (now.agents, now.proven) == (("agent_a",), True)
    assert (never, nobody) == (ProviderFound(), ProviderFound())


async def test_what_became_of_an_order_is_answered() -> None:
    """Nothing while it waits."""
    world = World()
    question = FindProviderChange(change_id=EventId("evt_put"))
    assert await answers(world).answer(question) == ProviderChangeFound()

    await world.actor.receive(put(DREAM))
    found = await answers(world).answer(question)
    assert isinstance(found, ProviderChangeFound)
    assert found.change is not None
    assert found.change.outcome == "done"


async def test_a_host_that_can_run_it_lets_it_serve() -> None:
    """The validation is the proof, before it is stored and after."""
    world = World()
    question = ValidateProvider(object_info=object_info(), record=DREAM, host="h:8188")
    assert await answers(world).answer(question) == ProviderValidated(remembered=True)

    await world.actor.receive(put(DREAM))
    assert await world.status() == "active"


async def test_a_host_that_lacks_something_proves_nothing() -> None:
    """And everything is named."""
    world = World()
    await world.actor.receive(put(with_class("NewNode")))
    question = ValidateProvider(object_info=object_info(), provider_id=ID)
    answer = await answers(world).answer(question)

    assert isinstance(answer, ProviderValidated)
    assert (answer.missing_classes, answer.remembered) == (("NewNode",), False)
    assert world.records.validated == {}


async def test_a_stranger_is_not_validated() -> None:
    """There is nothing to compare."""
    question = ValidateProvider(object_info={}, provider_id=ProviderId("fx-none"))

    assert await answers(World()).answer(question) == ProviderValidated(known=False)


async def test_another_modules_question_is_refused() -> None:
    """It was sent to the wrong place and will not be answered by waiting."""
    with pytest.raises(GiveUp):
        await answers(World()).answer(ListJobs(tenant_id=TenantId("tnt_1")))
