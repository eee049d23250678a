"""The workers as they run: on either transport an actor hears everything, and says it once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import anyio
import msgspec
import pytest

from actors.runtime.contract import TryLater
from actors.runtime.errors import DriftError
from actors.runtime.record import Record, Recorded, StreamLog
from schemas.events import UserNotified, VideoIngested
from subjects.topology import CMD, DLQ, EVT, SAGA
from tests.contract.runtime.worlds import World
from tests.integration.runtime.test_saga import CHANNELS, Counting
from tests.integration.runtime.test_worker import RENDERS, order
from tests.integration.runtime.world import (
    Seen,
    apply,
    consumer,
    fact,
    info,
    letters,
    puller,
    stored,
    worker,
    working,
)

HEARD = consumer(filters=("evt.video_intake.>",), max_deliver=2)


class _Actor:
    """Remembers what it heard; raises a failure so many times for a message."""

    def __init__(self, **failures: tuple[Exception, int]) -> None:
        self.heard: Seen[str] = Seen()
        self._failures = failures

    async def receive(self, heard: VideoIngested) -> Sequence[Any]:
        """Take it down, then fail or not."""
        self.heard.add(heard.event_id)
        failure, times = self._failures.get(heard.event_id, (None, 0))
        if failure is not None and self.heard.items.count(heard.event_id) <= times:
            raise failure
        return []


async def test_everything_is_heard_once(world: World) -> None:
    """What was stored before and what comes, by two workers together."""
    await apply(world.bus, HEARD)
    actor = _Actor()
    await world.bus.say([fact(n) for n in range(20)])
    async with (
        world.connected("second") as other,
        working(
            worker(world.bus, HEARD, actor.receive, concurrency=2),
            worker(other, HEARD, actor.receive, concurrency=2),
        ),
    ):
        await world.seen(actor.heard, lambda heard: len(heard) >= 20)
        await world.bus.say([fact(n) for n in range(20, 40)])
        await world.seen(actor.heard, lambda heard: len(heard) >= 40)
        await _settled(world)

    assert sorted(actor.heard.items) == sorted(f"evt_{n}" for n in range(40))


async def test_failures_come_again_and_what_keeps_failing_is_buried(world: World) -> None:
    """With body and reason; the messages around it are answered as if nothing had been."""
    await apply(world.bus, HEARD)
    actor = _Actor(
        evt_1=(RuntimeError("no such codec"), 9),
        evt_2=(RuntimeError("a bad moment"), 1),
        evt_3=(TryLater("not yet", retry_after=0.05), 4),
    )
    async with working(worker(world.bus, HEARD, actor.receive)):
        await world.bus.say([fact(n) for n in range(5)])
        await _settled(world)
        found = await world.meanwhile(lambda: letters(world.bus))

    heard = Counter(actor.heard.items)
    assert heard == {"evt_0": 1, "evt_1": 2, "evt_2": 2, "evt_3": 5, "evt_4": 1}
    assert [(each.reason, each.error) for each in found] == [
        ("exhausted", "RuntimeError: no such codec")
    ]


async def test_a_stop_lets_what_is_under_way_finish(world: World) -> None:
    """And leaves the rest to others."""
    await apply(world.bus, HEARD)
    started: Seen[str] = Seen()
    done = anyio.Event()

    async def receive(message: VideoIngested) -> Sequence[Any]:
        started.add(message.event_id)
        await done.wait()
        return []

    running = worker(world.bus, HEARD, receive, concurrency=2)
    async with working(running):
        await world.bus.say([fact(n) for n in range(4)])
        await world.seen(started, lambda items: len(items) >= 2)
        running.stop()
        done.set()

    await world.bus.barrier()
    assert sorted(started.items) == ["evt_0", "evt_1"]
    assert (await info(world.bus, HEARD))["ack_floor"]["stream_seq"] == 2


async def test_a_worker_goes_on_after_a_restart(world: World) -> None:
    """It asks again at once."""
    await apply(world.bus, HEARD)
    actor = _Actor()
    async with working(worker(world.bus, HEARD, actor.receive)):
        await world.bus.say([fact(1)])
        await world.seen(actor.heard, bool)
        await world.restart()
        await world.bus.say([fact(2)])
        await world.seen(actor.heard, lambda heard: "evt_2" in heard)


async def test_a_worker_without_its_consumer_does_not_start(world: World) -> None:
    """It would look alive and hear nothing."""
    await apply(world.bus)

    with pytest.raises(DriftError, match=r"EVT/approval.*not found"):
        await world.meanwhile(worker(world.bus, HEARD, _Actor().receive).run)


async def test_a_host_takes_one_message_for_each_free_slot(world: World) -> None:
    """What it cannot start yet is free for any other host."""
    await apply(world.bus, RENDERS, streams=[CMD])
    begun: Seen[str] = Seen()
    done = anyio.Event()

    async def render(heard: VideoIngested) -> Sequence[Any]:
        begun.add(heard.event_id)
        await done.wait()
        return []

    await order(world.bus, "fx-a", *range(4))
    async with working(puller(world.bus, [RENDERS], render, slots=2)):
        await world.seen(begun, lambda items: len(items) >= 2)
        found = await info(world.bus, RENDERS)
        done.set()
        await begun.until(4)

    assert (found["num_ack_pending"], found["num_pending"]) == (2, 2)
    assert sorted(begun.items) == [f"evt_{n}" for n in range(4)]


async def test_two_workers_on_one_saga_write_one_history(world: World) -> None:
    """Of two that step at once one starts again from what the other wrote."""
    await apply(world.bus, HEARD, streams=[EVT, SAGA, DLQ])
    await world.bus.say([fact(n) for n in range(20)])
    async with world.connected("second") as other:
        sagas = [
            Recorded(saga=Counting(), log=StreamLog(bus=each), say=each.say)
            for each in (world.bus, other)
        ]
        async with working(
            worker(world.bus, HEARD, sagas[0].receive, concurrency=3),
            worker(other, HEARD, sagas[1].receive, concurrency=3),
        ):
            await _settled(world)
        said = await world.meanwhile(lambda: stored(world.bus, EVT, "evt.approval.>"))
        history = await world.meanwhile(lambda: stored(world.bus, SAGA))

    records = [msgspec.json.decode(each.data, type=Record) for each in history]
    counted = Counter(
        msgspec.json.decode(each.data, type=UserNotified).payload.body for each in said
    )
    assert [each.step for each in records] == list(range(1, 21))
    assert counted == {str(n): len(CHANNELS) for n in range(1, 21)}


async def _settled(world: World) -> None:
    """Return once everything was delivered and answered."""

    async def settled() -> bool:
        found = await info(world.bus, HEARD)
        return not found["num_pending"] and not found["num_ack_pending"]

    await world.eventually(settled)


WORKING: tuple[Callable[[World], Coroutine[Any, Any, None]], ...] = (
    test_everything_is_heard_once,
    test_failures_come_again_and_what_keeps_failing_is_buried,
    test_a_stop_lets_what_is_under_way_finish,
    test_a_worker_goes_on_after_a_restart,
    test_a_worker_without_its_consumer_does_not_start,
    test_a_host_takes_one_message_for_each_free_slot,
    test_two_workers_on_one_saga_write_one_history,
)
