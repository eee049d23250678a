"""Timers that the broker keeps: they fire whoever died, and only the newest of a name does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from actors.runtime.bus import Bus, connected
from actors.runtime.contract import Later
from effectmesh.embedded.nats import EmbeddedNats
from schemas.base import Module
from schemas.commands import Wake
from subjects.build import due_for
from subjects.topology import TIMER
from tests.builders import header
from tests.integration.runtime.world import (
    Seen,
    apply,
    consumer,
    restart,
    settled,
    stored,
    worker,
    working,
)

WOKEN = consumer(Module.APPROVAL, stream=TIMER, filters=(due_for(Module.APPROVAL),))
HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=300)


def timer(event_id: str, after: timedelta | None, name: str = "deadline") -> Later:
    """Return a timer of a job, or what takes it away."""
    wake = Wake(**header(event_id), purpose=name)  # type: ignore[arg-type]
    at = None if after is None else datetime.now(UTC) + after
    return Later(key="job_1", name=name, module=Module.APPROVAL, at=at, message=wake)


class _Sleeper:
    def __init__(self) -> None:
        self.woken: Seen[str] = Seen()

    async def receive(self, heard: Wake) -> Sequence[Any]:
        """Take down which timer it was."""
        self.woken.add(heard.event_id)
        return []


async def test_a_timer_comes_back_to_the_module_that_set_it(bus: Bus) -> None:
    """With the message it was set with, not before its time."""
    await apply(bus, WOKEN, streams=[TIMER])
    sleeper = _Sleeper()
    began = datetime.now(UTC)
    async with working(worker(bus, WOKEN, sleeper.receive, kind=Wake)):
        await bus.say([timer("evt_1", MOMENT)])
        await sleeper.woken.until(1)

    assert sleeper.woken.items == ["evt_1"]
    assert datetime.now(UTC) - began >= MOMENT
    assert [each.subject for each in await stored(bus, TIMER, "timer.>")] == []


async def test_a_timer_that_is_already_due_fires_at_once(bus: Bus) -> None:
    """A step that was delayed by an outage sets deadlines of the past."""
    await apply(bus, WOKEN, streams=[TIMER])
    sleeper = _Sleeper()
    async with working(worker(bus, WOKEN, sleeper.receive, kind=Wake)):
        await bus.say([timer("evt_1", -HOUR)])
        await sleeper.woken.until(1)


async def test_a_second_timer_of_the_same_name_replaces_the_first(bus: Bus) -> None:
    """A job has one deadline, the one of the state it is in."""
    await apply(bus, WOKEN, streams=[TIMER])
    sleeper = _Sleeper()
    async with working(worker(bus, WOKEN, sleeper.receive, kind=Wake)):
        await bus.say([timer("evt_first", MOMENT), timer("evt_second", 2 * MOMENT)])
        await bus.say([timer("evt_other", 3 * MOMENT, "reminder")])
        await sleeper.woken.when(lambda woken: "evt_other" in woken)

    assert sleeper.woken.items == ["evt_second", "evt_other"]


async def test_a_timer_that_was_taken_away_does_not_fire(bus: Bus) -> None:
    """A job that ended must not time out."""
    await apply(bus, WOKEN, streams=[TIMER])
    sleeper = _Sleeper()
    async with working(worker(bus, WOKEN, sleeper.receive, kind=Wake)):
        await bus.say([timer("evt_gone", MOMENT), timer("evt_kept", 2 * MOMENT, "reminder")])
        await bus.say([timer("evt_off", None)])
        await sleeper.woken.until(1)

    assert sleeper.woken.items == ["evt_kept"]
    assert await stored(bus, TIMER, "timer.>") == []


async def test_taking_away_what_is_not_set_is_no_error(bus: Bus) -> None:
    """Every ending does, whether there was a deadline or not."""
    await apply(bus, streams=[TIMER])

    await bus.say([timer("evt_off", None)])


async def test_a_timer_that_is_set_again_by_a_redelivery_fires_once(bus: Bus) -> None:
    """The record's words are said again after every crash."""
    await apply(bus, WOKEN, streams=[TIMER])
    sleeper = _Sleeper()
    once = timer("evt_1", -HOUR)
    async with working(worker(bus, WOKEN, sleeper.receive, kind=Wake)):
        await bus.say([once])
        await sleeper.woken.until(1)
        await bus.say([structs.replace(once, at=datetime.now(UTC))])
        await bus.say([timer("evt_2", -HOUR, "reminder")])
        await sleeper.woken.when(lambda woken: "evt_2" in woken)
        await settled(bus, WOKEN)

    assert sleeper.woken.items == ["evt_1", "evt_2"]


async def test_timers_survive_the_broker(mortal: EmbeddedNats) -> None:
    """They are on disk, not in anybody's memory."""
    async with connected(mortal.url, name="test") as bus:
        await apply(bus, WOKEN, streams=[TIMER])
        sleeper = _Sleeper()
        await bus.say([timer("evt_1", MOMENT)])
        await restart(mortal)
        async with working(worker(bus, WOKEN, sleeper.receive, kind=Wake)):
            await sleeper.woken.until(1)

    assert sleeper.woken.items == ["evt_1"]
