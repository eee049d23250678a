"""The check each half minute: made once, said once, and the agents' copy put right."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from actors.provider_registry import core
from actors.provider_registry.checks import HealthChecks
from actors.provider_registry.health import TO_WORSE, WINDOW_S
from actors.runtime.contract import Put, Said
from schemas.base import EventId
from schemas.events import ProviderStatusChanged
from schemas.routing import ProviderRecord
from tests.unit.provider_registry.support import DREAM, ID, World, put, record, seen, switch


class Checked(World):
    """A registry with its checks, and the bucket as the agents see it."""

    def __init__(self) -> None:
        super().__init__()
        self.bucket: dict[str, ProviderRecord] = {}
        self.checks = self.process()
        self.facts: list[ProviderStatusChanged] = []

    def process(self) -> HealthChecks:
        """Return the checks of one more process over the same stores."""
        return HealthChecks(records=self.records, vitals=self.vitals, fleet=self.fleet)

    async def add(self, wanted: ProviderRecord = DREAM) -> None:
        """Add a provider, by force."""
        self.store(await self.actor.receive(put(wanted, force=True)))

    def store(self, said: object) -> None:
        """Do what the bus does with entries."""
        for each in said:  # type: ignore[attr-defined]
            if isinstance(each, Put):
                self.bucket[each.key] = msgspec.json.decode(each.value, type=ProviderRecord)

    async def check(self, *, agents: int = 1, times: int = 1) -> list[Said]:
        """Check once in each of so many windows; return what was said in all."""
        said: list[Said] = []
        for _ in range(times):
            self.pass_time(WINDOW_S)
            self.fleet.agents = {ID: seen(self.clock.at) * agents}
            now = await self.checks.check(self.clock.at, shown=self.bucket)
            self.store(now)
            await self.checks.said()
            said += now
        return said


def facts(said: list[Said]) -> list[tuple[str, str]]:
    """Return what was said to have changed, as (before, now)."""
    return [
        (each.payload.previous, each.payload.status)
        for each in said
        if isinstance(each, ProviderStatusChanged) and each.payload.aspect == "health"
    ]


def puts(said: list[Said]) -> list[str]:
    """Return the keys that were put."""
    return [each.key for each in said if isinstance(each, Put)]


async def test_health_is_kept_beside_the_record_and_told_to_the_agents_once() -> None:
    """A revision never changes, and every entry of the bucket wakes every agent."""
    world = Checked()
    await world.add()
    said = await world.check(times=5)

    found = await world.records.find(ID)
    assert found is not None
    assert found.health is not None
    assert (found.health.status, found.health.health_score) == ("healthy", 1.0)
    assert puts(said) == [ID]
    assert world.bucket[ID].health is not None
    assert core.digest(found) == core.digest(DREAM)
    assert facts(said) == []


async def test_falling_ill_and_getting_well_are_said_once_each() -> None:
    """After as many checks as it takes, and never again while it lasts."""
    world = Checked()
    await world.add()
    await world.check(times=2)

    assert facts(await world.check(agents=0, times=TO_WORSE - 1)) == []
    assert facts(await world.check(agents=0, times=4)) == [("healthy", "offline")]
    assert facts(await world.check(times=5)) == [("offline", "healthy")]


async def test_renders_that_fail_make_it_unhealthy() -> None:
    """From what Execution says, not from what agents say of themselves."""
    world = Checked()
    await world.add()
    await world.check()
    for n in range(8):
        await world.vitals.note(
            EventId(f"evt_{n}"), ID, succeeded=n < 2, duration_ms=None, at=world.clock.at
        )
    said = await world.check(times=TO_WORSE)

    assert facts(said) == [("healthy", "unhealthy")]
    found = await world.records.find(ID)
    assert found is not None
    assert found.health is not None
    assert found.health.success_rate_24h == 0.25


async def test_a_day_later_the_renders_are_forgotten() -> None:
    """Rates are of 24 hours."""
    world = Checked()
    await world.add()
    await world.vitals.note(
        EventId("evt_1"), ID, succeeded=False, duration_ms=None, at=world.clock.at
    )
    world.pass_time(86_400)
    await world.check()

    found = await world.records.find(ID)
    assert found is not None
    assert found.health is not None
    assert found.health.success_rate_24h is None


async def test_of_two_processes_one_makes_each_check() -> None:
    """Both look at the clock; what is found is counted once."""
    world = Checked()
    await world.add()
    other = world.process()
    world.fleet.agents = {ID: seen(world.clock.at)}
    first = await world.checks.check(world.clock.at, shown=world.bucket)
    second = await other.check(world.clock.at, shown=world.bucket)

    assert puts(list(first)) == [ID]
    assert second == []


async def test_what_a_dead_process_left_unsaid_is_said_under_the_same_id() -> None:
    """It stored what it found and was killed before it could say so."""
    world = Checked()
    await world.add()
    await world.check()
    await world.check(agents=0, times=TO_WORSE - 1)
    world.pass_time(WINDOW_S)
    world.fleet.agents = {}
    lost = list(await world.checks.check(world.clock.at, shown=world.bucket))
    world.checks = world.process()
    again = await world.check(agents=0)
    silent = await world.check(agents=0)

    assert facts(lost) == facts(again) == [("healthy", "offline")]
    assert [each.event_id for each in lost if isinstance(each, ProviderStatusChanged)] == [
        each.event_id for each in again if isinstance(each, ProviderStatusChanged)
    ]
    assert facts(silent) == []


async def test_an_entry_that_is_old_or_gone_is_put_again() -> None:
    """Two processes that changed a provider at once may have put the older one last."""
    world = Checked()
    await world.add()
    await world.check()
    world.bucket[ID] = replace(world.bucket[ID], display_name="Old")
    assert puts(await world.check()) == [ID]

    world.bucket.clear()
    assert puts(await world.check()) == [ID]
    assert puts(await world.check()) == []


async def test_a_disabled_provider_is_not_checked_and_a_draft_is_no_news() -> None:
    """Nobody is to serve the one, and nobody waits for the other."""
    world = Checked()
    await world.add(record(status="draft"))
    assert facts(await world.check(agents=0, times=5)) == []

    await world.actor.receive(switch("disabled"))
    await world.check(times=5)
    found = await world.records.find(ID)
    assert found is not None
    assert found.health is not None
    assert found.health.status == "offline"


async def test_what_an_agent_could_run_may_be_switched_on_again() -> None:
    """No agent tries what is disabled; the proof is kept from when it served."""
    world = Checked()
    await world.add()
    await world.check()
    await world.actor.receive(switch("disabled"))
    world.fleet.agents = {}
    await world.actor.receive(switch("active", order="evt_again"))

    assert await world.status() == "active"


async def test_without_a_proof_it_may_not() -> None:
    """The same, and no agent ever could."""
    world = Checked()
    await world.add()
    await world.check(agents=0)
    await world.actor.receive(switch("disabled"))
    await world.actor.receive(switch("active", order="evt_again"))

    assert await world.status() == "disabled"
