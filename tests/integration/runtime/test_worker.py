"""One durable consumer, pulled without pause: nothing is lost, nothing waits for its neighbour."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import anyio
import msgspec
import pytest
from nats.aio.msg import Msg

from actors.runtime import answering
from actors.runtime import worker as worker_module
from actors.runtime.bus import Bus
from actors.runtime.contract import GiveUp, TryLater
from actors.runtime.errors import DriftError
from actors.runtime.follow import follow
from actors.runtime.wire import MSG_ID
from schemas.events import Notice, UserNotified, VideoIngested
from subjects.topology import CMD, EVT
from tests.builders import NOON, USER
from tests.integration.runtime.world import (
    SOON_S,
    Seen,
    apply,
    consumer,
    fact,
    info,
    letters,
    puller,
    settled,
    stored,
    wait_past,
    worker,
    working,
)

HEARD = consumer(filters=("evt.video_intake.>",))
CLOCK = consumer("clock", ack_wait_s=2)
"""Nobody answers its messages: the server's own clock for an acknowledgement time."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redeliver at once instead of half a second later and more."""
    monkeypatch.setattr(answering, "NAK_BASE_S", 0.01)
    monkeypatch.setattr(answering, "NAK_CAP_S", 0.02)


class _Actor:
    """Remembers what it heard; ``fail`` decides what is raised for a message, by its id."""

    def __init__(self, **failures: Exception) -> None:
        self.heard: Seen[str] = Seen()
        self._failures = failures

    async def receive(self, heard: VideoIngested) -> Sequence[Any]:
        """Take it down, then fail or not."""
        self.heard.add(heard.event_id)
        if heard.event_id in self._failures:
            raise self._failures[heard.event_id]
        return []


async def test_what_was_stored_before_and_what_comes_is_heard_once(bus: Bus) -> None:
    """The worker may start long after the first message."""
    await apply(bus, HEARD)
    actor = _Actor()
    await bus.say([fact(n) for n in range(20)])
    async with working(worker(bus, HEARD, actor.receive)):
        await actor.heard.until(20)
        await bus.say([fact(n) for n in range(20, 40)])
        await actor.heard.until(40)
        await settled(bus, HEARD)

    assert actor.heard.items == [f"evt_{n}" for n in range(40)]


async def test_an_answer_is_stored_before_its_cause_is_acknowledged(bus: Bus) -> None:
    """Whoever looks after the acknowledgement finds the answer."""
    heard = consumer(filters=("evt.video_intake.*.*.ask",))
    await apply(bus, heard)

    async def answer(cause: VideoIngested) -> Sequence[Any]:
        return [fact(int(cause.event_id.removeprefix("evt_")) + 1000, job="answer")]

    async with working(worker(bus, heard, answer)):
        await bus.say([fact(n, job="ask") for n in range(30)])
        await settled(bus, heard)
        answers = await stored(bus, EVT, "evt.*.*.*.answer")

    assert {each.message_id for each in answers} == {f"evt_{n}" for n in range(1000, 1030)}


async def test_a_handler_that_fails_hears_the_message_again(bus: Bus) -> None:
    """Most failures are of the moment."""
    await apply(bus, HEARD)
    failures = 2
    heard: Seen[str] = Seen()

    async def receive(message: VideoIngested) -> Sequence[Any]:
        heard.add(message.event_id)
        if len(heard.items) <= failures:
            raise ConnectionError("the database is away")
        return []

    async with working(worker(bus, HEARD, receive)):
        await bus.say([fact(1)])
        await heard.until(failures + 1)
        await settled(bus, HEARD)

    assert heard.items == ["evt_1"] * (failures + 1)
    assert await letters(bus) == []


async def test_what_fails_for_good_becomes_a_dead_letter(bus: Bus) -> None:
    """With body, headers and reason, so that it can be looked at and played again."""
    heard = consumer(filters=("evt.video_intake.>",), max_deliver=3)
    await apply(bus, heard)
    actor = _Actor(evt_1=RuntimeError("no such codec"))
    async with working(worker(bus, heard, actor.receive)):
        await bus.say([fact(1), fact(2)])
        await settled(bus, heard)

    [letter] = await letters(bus)
    assert sorted(actor.heard.items) == ["evt_1", "evt_1", "evt_1", "evt_2"]
    assert (letter.reason, letter.error) == ("exhausted", "RuntimeError: no such codec")
    assert (letter.stream, letter.sequence, letter.delivered) == (EVT, 1, 3)
    assert letter.headers[MSG_ID] == "evt_1"
    assert msgspec.json.decode(letter.body, type=VideoIngested).event_id == "evt_1"


async def test_poison_and_refusals_are_buried_without_a_second_try(bus: Bus) -> None:
    """And the messages around them are answered as if nothing had been."""
    await apply(bus, HEARD)
    actor = _Actor(evt_2=GiveUp("not ours"))
    poison = "evt.video_intake.VideoIngested.tnt_1.job_1"
    async with working(worker(bus, HEARD, actor.receive)):
        await bus.say([fact(1)])
        await bus.publish(poison, b'{"event_type":"VideoIngested","payload":7}', {})
        await bus.say([fact(2), fact(3)])
        await settled(bus, HEARD)

    found = {each.reason: each for each in await letters(bus)}
    assert sorted(actor.heard.items) == ["evt_1", "evt_2", "evt_3"]
    assert set(found) == {"poison", "gave_up"}
    assert found["poison"].body == '{"event_type":"VideoIngested","payload":7}'
    assert found["poison"].sequence == 2
    assert found["gave_up"].error == "not ours"


async def test_a_poison_message_as_large_as_they_get_is_buried_too(bus: Bus) -> None:
    """Its letter is larger than itself; refused, it would end the worker at each delivery."""
    await apply(bus, HEARD)
    actor = _Actor()
    async with working(worker(bus, HEARD, actor.receive)):
        await bus.publish("evt.video_intake.VideoIngested.t.j", b'"' * 1_000_000, {})
        await bus.say([fact(1)])
        await actor.heard.until(1)
        await settled(bus, HEARD)

    [letter] = await letters(bus)
    assert (letter.reason, letter.cut) == ("poison", True)


async def test_try_later_comes_again_and_is_no_failure(bus: Bus) -> None:
    """A job may wait for its turn far more often than a bug may repeat."""
    heard = consumer(filters=("evt.video_intake.>",), max_deliver=2)
    await apply(bus, heard)
    tries: Seen[str] = Seen()

    async def receive(message: VideoIngested) -> Sequence[Any]:
        tries.add(message.event_id)
        if len(tries.items) < 6:
            raise TryLater("not yet", retry_after=0.01)
        return []

    async with working(worker(bus, heard, receive)):
        await bus.say([fact(1)])
        await tries.until(6)
        await settled(bus, heard)

    assert await letters(bus) == []


async def test_a_message_that_is_put_off_for_ever_is_buried(bus: Bus) -> None:
    """Patience is long and has an end."""
    heard = consumer(filters=("evt.video_intake.>",), patience=4)
    await apply(bus, heard)
    actor = _Actor(evt_1=TryLater("never", retry_after=0.01))
    async with working(worker(bus, heard, actor.receive)):
        await bus.say([fact(1)])
        await actor.heard.until(4)
        await settled(bus, heard)

    [letter] = await letters(bus)
    assert (letter.reason, letter.delivered) == ("exhausted", 5)
    assert len(actor.heard.items) == 4


async def test_a_handler_slower_than_the_acknowledgement_time_keeps_its_message(bus: Bus) -> None:
    """A render takes minutes; given to somebody else meanwhile, it would be paid for twice."""
    heard = consumer(filters=("evt.video_intake.>",), ack_wait_s=2)
    await apply(bus, heard, CLOCK)
    calls: Seen[str] = Seen()
    done = anyio.Event()

    async def slow(message: VideoIngested) -> Sequence[Any]:
        calls.add(message.event_id)
        await done.wait()
        return []

    async with working(worker(bus, heard, slow)):
        await bus.say([fact(1)])
        await calls.until(1)
        await wait_past(bus, CLOCK)
        assert (await info(bus, heard))["num_redelivered"] == 0
        done.set()
        await settled(bus, heard)

    assert calls.items == ["evt_1"]


async def test_a_slow_message_does_not_hold_up_the_others(bus: Bus) -> None:
    """One clip of two hours must not stop the clips of everybody else."""
    await apply(bus, HEARD)
    done = anyio.Event()
    heard: Seen[str] = Seen()

    async def receive(message: VideoIngested) -> Sequence[Any]:
        if message.event_id == "evt_0":
            await done.wait()
        heard.add(message.event_id)
        return []

    async with working(worker(bus, HEARD, receive, concurrency=4)):
        await bus.say([fact(n) for n in range(50)])
        await heard.until(49)
        assert "evt_0" not in heard.items
        done.set()
        await heard.until(50)


async def test_no_more_are_under_way_than_there_are_slots(bus: Bus) -> None:
    """Video is decoded in memory; what does not fit waits on the server, for any worker."""
    await apply(bus, HEARD)
    most, now = 0, 0
    heard: Seen[str] = Seen()

    async def receive(message: VideoIngested) -> Sequence[Any]:
        nonlocal most, now
        now += 1
        most = max(most, now)
        for _ in range(3):
            await bus.api(f"CONSUMER.INFO.{HEARD.stream}.{HEARD.name}")
        now -= 1
        heard.add(message.event_id)
        return []

    async with working(worker(bus, HEARD, receive, concurrency=3)):
        await bus.say([fact(n) for n in range(60)])
        await heard.until(60)

    assert most == 3
    assert sorted(heard.items) == sorted(f"evt_{n}" for n in range(60))


async def test_two_workers_share_the_messages(bus: Bus) -> None:
    """Started twice, a module does twice as much and nothing twice."""
    await apply(bus, HEARD)
    first, second = _Actor(), _Actor()
    async with working(
        worker(bus, HEARD, first.receive, concurrency=2),
        worker(bus, HEARD, second.receive, concurrency=2),
    ):
        await bus.say([fact(n) for n in range(60)])
        await settled(bus, HEARD)

    assert sorted(first.heard.items + second.heard.items) == sorted(f"evt_{n}" for n in range(60))
    assert first.heard.items
    assert second.heard.items


async def test_a_stop_lets_what_is_under_way_finish(bus: Bus) -> None:
    """On a deploy, half a render must not be thrown away."""
    await apply(bus, HEARD)
    started: Seen[str] = Seen()
    done = anyio.Event()
    finished = []

    async def receive(message: VideoIngested) -> Sequence[Any]:
        started.add(message.event_id)
        await done.wait()
        finished.append(message.event_id)
        return []

    running = worker(bus, HEARD, receive, concurrency=2)
    async with working(running):
        await bus.say([fact(n) for n in range(4)])
        await started.until(2)
        running.stop()
        done.set()

    assert sorted(finished) == sorted(started.items) == ["evt_0", "evt_1"]
    await bus.barrier()
    assert (await info(bus, HEARD))["ack_floor"]["stream_seq"] == 2


async def test_what_does_not_finish_in_time_is_left_for_another_worker(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop has a bound, and an unanswered message is delivered again."""
    monkeypatch.setattr(worker_module, "DRAIN_S", 0.05)
    heard = consumer(filters=("evt.video_intake.>",), ack_wait_s=1)
    await apply(bus, heard)
    started: Seen[str] = Seen()

    async def stuck(message: VideoIngested) -> Sequence[Any]:
        started.add(message.event_id)
        await anyio.sleep_forever()
        return []

    running = worker(bus, heard, stuck)
    async with working(running):
        await bus.say([fact(1)])
        await started.until(1)
        running.stop()

    actor = _Actor()
    async with working(worker(bus, heard, actor.receive)):
        await actor.heard.until(1)


async def test_a_worker_without_its_consumer_does_not_start(bus: Bus) -> None:
    """It would look alive and hear nothing."""
    await apply(bus)

    with anyio.fail_after(SOON_S), pytest.raises(DriftError, match=r"EVT/approval.*not found"):
        await worker(bus, HEARD, _Actor().receive).run()


async def test_a_worker_whose_consumer_is_taken_away_ends(bus: Bus) -> None:
    """It would ask a hundred thousand times a second for a consumer that does not exist."""
    await apply(bus, HEARD)
    actor = _Actor()
    running = worker(bus, HEARD, actor.receive)

    with anyio.fail_after(SOON_S):
        async with anyio.create_task_group() as tasks:
            ended = anyio.Event()

            async def run() -> None:
                with pytest.raises(DriftError, match="EVT/approval"):
                    await running.run()
                ended.set()

            tasks.start_soon(run)
            await bus.say([fact(1)])
            await actor.heard.until(1)
            await bus.api(f"CONSUMER.DELETE.{HEARD.stream}.{HEARD.name}")
            await ended.wait()


# -- one message for each free slot ---------------------------------------------------------------


RENDERS = consumer("exec-standard-fx-a", stream=CMD, filters=("cmd.exec.standard.fx-a",))
OTHERS = consumer("exec-standard-fx-b", stream=CMD, filters=("cmd.exec.standard.fx-b",))


class _Host:
    """Renders until told that it is done."""

    def __init__(self) -> None:
        self.begun: Seen[str] = Seen()
        self.ended: list[str] = []
        self.done = anyio.Event()

    async def receive(self, heard: VideoIngested) -> Sequence[Any]:
        """Render."""
        self.begun.add(heard.event_id)
        await self.done.wait()
        self.ended.append(heard.event_id)
        return []


async def order(bus: Bus, provider: str, *numbers: int) -> None:
    """Put work into a provider's queue."""
    for n in numbers:
        body = msgspec.json.encode(fact(n))
        await bus.publish(f"cmd.exec.standard.{provider}", body, {MSG_ID: f"evt_{n}"})


async def test_a_host_takes_one_message_for_each_free_slot(bus: Bus) -> None:
    """What it cannot start yet is free for any other host."""
    await apply(bus, RENDERS, streams=[CMD])
    small, large = _Host(), _Host()
    await order(bus, "fx-a", *range(6))
    async with working(puller(bus, [RENDERS], small.receive, slots=1)):
        await small.begun.until(1)
        found = await info(bus, RENDERS)
        assert (found["num_ack_pending"], found["num_pending"]) == (1, 5)

        async with working(puller(bus, [RENDERS], large.receive, slots=3)):
            await large.begun.until(3)
            found = await info(bus, RENDERS)
            assert (found["num_ack_pending"], found["num_pending"]) == (4, 2)

            small.done.set()
            large.done.set()
            await settled(bus, RENDERS)

    assert sorted(small.ended + large.ended) == [f"evt_{n}" for n in range(6)]


async def test_a_host_serves_its_consumers_in_turn(bus: Bus) -> None:
    """A provider with a long queue must not starve the others."""
    await apply(bus, RENDERS, OTHERS, streams=[CMD])
    host = _Host()
    host.done.set()
    await order(bus, "fx-a", *range(5))
    await order(bus, "fx-b", *range(10, 15))
    async with working(puller(bus, [RENDERS, OTHERS], host.receive, slots=1)):
        begun = await host.begun.until(10)

    turns = [int(each.removeprefix("evt_")) >= 10 for each in begun]
    assert all(a != b for a, b in itertools.pairwise(turns))


async def test_a_host_without_a_consumer_waits_for_one(bus: Bus) -> None:
    """Its ComfyUI is still loading, or can run nothing of what is wanted."""
    await apply(bus, RENDERS, streams=[CMD])
    serving = []
    host = _Host()
    host.done.set()
    await order(bus, "fx-a", 1)
    async with working(puller(bus, serving, host.receive, slots=1)):
        await bus.barrier()
        assert host.begun.items == []
        serving.append(RENDERS)
        await host.begun.until(1)


async def test_a_consumer_that_does_not_exist_does_not_stop_the_others(bus: Bus) -> None:
    """A provider was added, and its queue is not applied yet."""
    await apply(bus, OTHERS, streams=[CMD])
    host = _Host()
    host.done.set()
    async with working(puller(bus, [RENDERS, OTHERS], host.receive, slots=1)):
        await order(bus, "fx-b", 1, 2)
        await host.begun.until(2)


async def test_a_long_render_is_neither_cancelled_nor_given_away(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the wait for work has a bound, not the work."""
    monkeypatch.setattr(worker_module, "PULL_HEARTBEAT_S", 0.2)
    renders = consumer("exec", filters=("evt.video_intake.>",), ack_wait_s=2)
    await apply(bus, renders, CLOCK)
    host = _Host()
    async with working(puller(bus, [renders], host.receive, slots=1, beat_s=0.5)):
        await bus.say([fact(1)])
        await host.begun.until(1)
        await wait_past(bus, CLOCK)
        assert (await info(bus, renders))["num_redelivered"] == 0
        host.done.set()
        await settled(bus, renders)

    assert host.begun.items == host.ended == ["evt_1"]


async def test_a_stop_finishes_the_render_and_takes_no_other(bus: Bus) -> None:
    """Somebody else renders the rest."""
    await apply(bus, RENDERS, streams=[CMD])
    host = _Host()
    await order(bus, "fx-a", 1, 2)
    running = puller(bus, [RENDERS], host.receive, slots=1)
    async with working(running):
        await host.begun.until(1)
        running.stop()
        host.done.set()

    await bus.barrier()
    found = await info(bus, RENDERS)
    assert host.ended == ["evt_1"]
    assert (found["num_ack_pending"], found["num_pending"]) == (0, 1)


async def test_a_redelivered_render_says_the_same(bus: Bus) -> None:
    """Two hosts may render one attempt; one report of it is stored."""
    renders = consumer("exec", filters=("evt.video_intake.*.*.ask",), ack_wait_s=1)
    await apply(bus, renders)
    deaf: Seen[Msg] = Seen()

    async def take(message: Msg) -> None:
        deaf.add(message)

    async def report(heard: VideoIngested) -> Sequence[Any]:
        notice = Notice(user_id=USER, kind="a", channel="b", subject="c", body="d")
        return [UserNotified(**follow(heard, UserNotified, at=NOON), payload=notice)]

    async with bus.subscribed("lost", take):
        await bus.say([fact(1, job="ask")])
        request = b'{"batch":1,"expires":1000000000}'
        await bus.send("$JS.API.CONSUMER.MSG.NEXT.EVT.exec", request, reply="lost")
        [first] = await deaf.until(1)
    heard = msgspec.json.decode(first.data, type=VideoIngested)
    await bus.say(await report(heard))

    async with working(puller(bus, [renders], report, slots=1)):
        await settled(bus, renders)

    assert len(await stored(bus, EVT, "evt.approval.>")) == 1
