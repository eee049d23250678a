"""What is said later: once, at its time, unless it was replaced or taken away."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from actors.runtime.contract import Later
from actors.runtime.errors import ApiError
from actors.runtime.transport import Transport
from actors.runtime.wire import MSG_ID, SCHEDULE, SCHEDULE_TARGET
from schemas.base import Module
from schemas.commands import Wake
from subjects import build
from subjects.topology import SAGA, TIMER
from tests.builders import header
from tests.contract.runtime.worlds import World, reader
from tests.integration.runtime.world import apply, consumer, stored

HOUR = timedelta(hours=1)
MOMENT = timedelta(milliseconds=200)
WOKEN = consumer(Module.APPROVAL, stream=TIMER, filters=(build.due_for(Module.APPROVAL),))
ALL = b'{"batch":9,"expires":60000000000}'


async def test_a_timer_comes_back_at_its_time(world: World) -> None:
    """To the module that set it, with the message it was set with, and no trace of the timer."""
    await apply(world.bus, WOKEN, streams=[TIMER])
    async with reader(world, WOKEN) as reading:
        await reading.pull(ALL)
        began = world.now()
        await world.bus.say([_timer(world, "evt_1", MOMENT)])
        [woken] = await reading.messages(1)

    headers = woken.headers or {}
    assert world.now() - began >= MOMENT
    assert woken.subject == "due.approval.tnt_1.job_1.deadline"
    assert b'"evt_1"' in woken.data
    assert headers["Nats-Scheduler"] == "timer.job_1.deadline"
    assert headers["Schema"] == "Wake"
    assert {MSG_ID, SCHEDULE, SCHEDULE_TARGET}.isdisjoint(headers)
    assert [each.subject for each in await stored(world.bus, TIMER, "timer.>")] == []


async def test_a_timer_of_the_past_fires_at_once(world: World) -> None:
    """A step that was delayed by an outage sets deadlines of the past."""
    await apply(world.bus, WOKEN, streams=[TIMER])
    async with reader(world, WOKEN) as reading:
        await reading.pull(ALL)
        await world.bus.say([_timer(world, "evt_1", -HOUR)])
        await reading.messages(1)


async def test_a_timer_replaces_the_one_of_its_name(world: World) -> None:
    """A job has one deadline, the one of the state it is in."""
    await apply(world.bus, WOKEN, streams=[TIMER])
    async with reader(world, WOKEN) as reading:
        await reading.pull(ALL)
        await world.bus.say([_timer(world, "evt_a", MOMENT), _timer(world, "evt_b", 2 * MOMENT)])
        assert len(await stored(world.bus, TIMER)) == 1
        await world.bus.say([_timer(world, "evt_c", 3 * MOMENT, "reminder")])
        found = await reading.messages(2)

    assert [each.data.count(b'"evt_b"') for each in found] == [1, 0]
    assert [each.data.count(b'"evt_c"') for each in found] == [0, 1]


async def test_a_timer_that_was_taken_away_does_not_fire(world: World) -> None:
    """And one that is set again behind that does."""
    await apply(world.bus, WOKEN, streams=[TIMER])
    async with reader(world, WOKEN) as reading:
        await reading.pull(ALL)
        await world.bus.say([_timer(world, "evt_gone", MOMENT)])
        await world.bus.say([_timer(world, "evt_off", None)])
        await world.bus.say([_timer(world, "evt_kept", 2 * MOMENT)])
        [woken] = await reading.messages(1)

    assert b'"evt_kept"' in woken.data


async def test_a_timer_set_again_by_a_redelivery_fires_once(world: World) -> None:
    """The record's words are said again after every crash."""
    await apply(world.bus, WOKEN, streams=[TIMER])
    async with reader(world, WOKEN) as reading:
        await reading.pull(ALL)
        await world.bus.say([_timer(world, "evt_1", -HOUR)])
        await reading.messages(1)
        await world.bus.say([_timer(world, "evt_1", -HOUR)])
        await world.bus.say([_timer(world, "evt_2", -HOUR, "reminder")])
        found = await reading.messages(2)

    assert [each.subject.rpartition(".")[2] for each in found] == ["deadline", "reminder"]


async def test_a_timer_outlives_a_restart(world: World) -> None:
    """It is with the broker, not in anybody's memory."""
    await apply(world.bus, WOKEN, streams=[TIMER])
    await world.bus.say([_timer(world, "evt_1", 2 * MOMENT)])
    await world.restart()
    async with reader(world, WOKEN) as reading:
        await reading.pull(ALL)
        await reading.messages(1)


async def test_a_timer_that_makes_no_sense_is_refused(world: World) -> None:
    """Stored, it would never fire, and nobody would know."""
    await apply(world.bus, streams=[TIMER, SAGA])

    for subject, schedule, target, code in (
        ("saga.job_1", "@at 2031-01-01T00:00:00Z", "saga.job_2", 10188),
        ("timer.job_1.x", "tomorrow", "due.approval.t.j.x", 10189),
        ("timer.job_1.x", "@at 2031-01-01T00:00:00Z", "evt.a.b.t.j", 10190),
    ):
        with pytest.raises(ApiError) as refused:
            await _publish(world.bus, subject, schedule, target)
        assert refused.value.code == code


async def _publish(bus: Transport, subject: str, schedule: str, target: str) -> None:
    await bus.publish(subject, b"{}", {SCHEDULE: schedule, SCHEDULE_TARGET: target})


def _timer(world: World, event_id: str, after: timedelta | None, name: str = "deadline") -> Later:
    wake = Wake(**header(event_id), purpose=name)
    at = None if after is None else world.now() + after
    return Later(key="job_1", name=name, module=Module.APPROVAL, at=at, message=wake)


SCHEDULING: tuple[Callable[[World], Coroutine[Any, Any, None]], ...] = (
    test_a_timer_comes_back_at_its_time,
    test_a_timer_of_the_past_fires_at_once,
    test_a_timer_replaces_the_one_of_its_name,
    test_a_timer_that_was_taken_away_does_not_fire,
    test_a_timer_set_again_by_a_redelivery_fires_once,
    test_a_timer_outlives_a_restart,
    test_a_timer_that_makes_no_sense_is_refused,
)
