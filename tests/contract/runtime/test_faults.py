"""The broker in memory as it fails: each fault does what it says, and the runtime copes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import anyio
import pytest

from actors.runtime.errors import (
    ApiError,
    AskError,
    BusUnavailableError,
    NotPermittedError,
    WrongLastSequenceError,
)
from actors.runtime.feed import Feed
from actors.runtime.memory import MemoryBus
from actors.runtime.memory.faults import Faults
from actors.runtime.transport import Received
from actors.runtime.wire import EXPECTED_LAST, MSG_ID, Delivery
from schemas.events import VideoIngested
from subjects import build
from subjects.topology import EVT, SAGA
from tests.contract.runtime.worlds import TwinWorld, delivery, id_of, reader, twin_world
from tests.integration.runtime.world import (
    Seen,
    apply,
    consumer,
    fact,
    info,
    stored,
    worker,
    working,
)

HEARD = consumer(filters=("evt.video_intake.>",))
NINE = b'{"batch":9,"expires":60000000000}'


async def test_a_lost_acknowledgement_is_noticed_after_a_while_and_nothing_is_doubled() -> None:
    """The message is said again under its id; the stream has it already."""
    async with twin_world() as world:
        await apply(world.bus)
        world.broker.faults.lost_publish_acks = 2
        began = world.now()

        await world.meanwhile(lambda: world.bus.say([fact(1), fact(2)]))

        assert world.now() - began >= timedelta(seconds=5)
        assert [each.message_id for each in await stored(world.bus, EVT)] == ["evt_1", "evt_2"]


async def test_a_record_whose_acknowledgement_was_lost_is_a_conflict_with_itself() -> None:
    """It has no id, on purpose: whoever wrote it must look what is there now."""
    async with twin_world() as world:
        await apply(world.bus, streams=[SAGA])
        world.broker.faults.lost_publish_acks = 1

        with pytest.raises(WrongLastSequenceError):
            await world.meanwhile(
                lambda: world.bus.publish(build.saga("job_1"), b"{}", {EXPECTED_LAST: "0"})
            )

        assert await world.bus.last(SAGA, build.saga("job_1")) == (1, b"{}")


async def test_after_so_many_lost_acknowledgements_a_publish_gives_up() -> None:
    """The message that caused it is put off, and comes again."""
    async with twin_world() as world:
        await apply(world.bus)
        world.broker.faults.lost_publish_acks = 100
        began = world.now()

        with pytest.raises(BusUnavailableError, match="after 30 s"):
            await world.meanwhile(lambda: world.bus.publish("evt.a.b.t.j", b"", {MSG_ID: "x"}))

        assert world.now() - began == timedelta(seconds=30)
        assert len(await stored(world.bus, EVT)) == 1


async def test_a_refused_publish_is_an_error_and_stores_nothing() -> None:
    """As of a stream that is full."""
    async with twin_world() as world:
        await apply(world.bus)
        world.broker.faults.refused_publishes = 1

        with pytest.raises(ApiError, match="refused by a fault"):
            await world.bus.say([fact(1)])

        assert await stored(world.bus, EVT) == []
        await world.bus.say([fact(1)])


async def test_what_is_forbidden_is_refused_by_name() -> None:
    """And said to nobody who only sends."""
    async with twin_world() as world:
        await apply(world.bus)
        world.broker.faults.forbidden = ("evt.video_intake.>", "$JS.API.STREAM.>")

        with pytest.raises(NotPermittedError) as refused:
            await world.bus.say([fact(1)])
        with pytest.raises(NotPermittedError):
            await world.bus.api("STREAM.NAMES")
        await world.bus.send("evt.video_intake.x.y.z", b"")

        assert refused.value.subject == "evt.video_intake.VideoIngested.tnt_1.job_1"
        world.broker.faults.forbidden = ()
        assert await stored(world.bus, EVT) == []


async def test_a_doubled_delivery_is_counted_as_a_second_one() -> None:
    """As if the acknowledgement time had been over at once."""
    async with twin_world() as world:
        await apply(world.bus, HEARD)
        await world.bus.say([fact(1)])
        world.broker.faults.doubled_deliveries = 1
        async with reader(world, HEARD) as reading:
            await reading.pull()
            first, second = await reading.messages(2)

        assert (delivery(first).delivered, delivery(second).delivered) == (1, 2)
        assert id_of(first) == id_of(second) == "evt_1"


async def test_a_lost_delivery_comes_again_after_the_acknowledgement_time() -> None:
    """The server thinks that somebody has it."""
    async with twin_world() as world:
        await apply(world.bus, HEARD)
        await world.bus.say([fact(1)])
        world.broker.faults.lost_deliveries = 1
        began = world.now()
        async with reader(world, HEARD) as reading:
            await reading.pull(NINE)
            [message] = await reading.messages(1)
            late = world.now() - began

        assert delivery(message).delivered == 2
        assert late == timedelta(seconds=HEARD.ack_wait_s)


async def test_a_lost_answer_leads_to_a_second_hearing() -> None:
    """The actor says the same again, and the stream drops it."""
    async with twin_world() as world:
        heard: Seen[str] = Seen()

        async def receive(message: VideoIngested) -> Sequence[Any]:
            heard.add(message.event_id)
            return [fact(100, job="answer")]

        once = consumer(filters=("evt.video_intake.*.*.job_1",))
        await apply(world.bus, once)
        async with working(worker(world.bus, once, receive)):
            world.broker.faults.lost_answers = 1
            await world.bus.say([fact(1)])
            await world.seen(heard, lambda items: len(items) >= 2)
            await world.broker.clock.settle()
            found = await info(world.bus, once)

        assert heard.items == ["evt_1", "evt_1"]
        assert found["num_ack_pending"] == 0
        assert len(await stored(world.bus, EVT, "evt.*.*.*.answer")) == 1


async def test_delayed_deliveries_arrive_out_of_order_and_none_is_missing() -> None:
    """A pull consumer's may; a feed notices the gap and begins again."""
    async with twin_world(seed=7) as world:
        await apply(world.bus, HEARD)
        await world.bus.say([fact(n) for n in range(9)])
        expected = [f"evt_{n}" for n in range(9)]
        async with reader(world, HEARD) as reading:
            world.broker.faults.delayed_deliveries = 9
            await reading.pull(NINE)
            pulled = await reading.ids(9)

        followed: list[str] = []

        async def take(message: Received, _: Delivery) -> None:
            followed.append(id_of(message))

        world.broker.faults.delayed_deliveries = 4
        feed = Feed(bus=world.bus, stream=EVT, subject="evt.>")
        await world.meanwhile(lambda: feed.read(take))

        assert pulled != expected
        assert sorted(pulled) == expected
        assert followed == expected


async def test_what_is_said_while_the_connection_is_down_is_stored_when_it_is_back() -> None:
    """Once, in its order; and what was under way is said again at once."""
    async with twin_world() as world:
        await apply(world.bus)
        bus = _memory(world)
        world.broker.faults.lost_publish_acks = 1
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.say, [fact(1)])
            await world.broker.clock.settle()
            bus.disconnect()
            assert not bus.alive
            tasks.start_soon(bus.say, [fact(2), fact(3)])
            await world.broker.clock.settle()
            began = world.now()
            await bus.reconnect()

        assert world.now() == began
        assert [each.message_id for each in await stored(bus, EVT)] == ["evt_1", "evt_2", "evt_3"]


async def test_a_question_does_not_outlive_its_connection() -> None:
    """Nobody knows whether it was heard; whoever asked may ask again."""
    async with twin_world() as world:
        bus = _memory(world)
        bus.disconnect()
        with pytest.raises(AskError, match=r"no answer to \$JS.API.INFO in 5 s") as refused:
            await world.meanwhile(lambda: bus.api("INFO"))

        assert refused.value.retry_after


async def test_nothing_arrives_while_the_connection_is_down() -> None:
    """What a consumer has waits for it; a plain message is gone."""
    async with twin_world() as world:
        await apply(world.bus, HEARD)
        plain: list[bytes] = []

        async def take(message: Received) -> None:
            plain.append(message.data)

        async with (
            world.connected("other") as other,
            reader(world, HEARD) as reading,
            world.bus.subscribed("live.a", take),
        ):
            await reading.pull(NINE)
            _memory(world).disconnect()
            await other.say([fact(1)])
            await other.send("live.a", b"lost")
            await world.broker.clock.advance(1)
            assert reading.came.items == []
            await _memory(world).reconnect()
            await other.send("live.a", b"heard")
            await world.broker.clock.settle()
            assert plain == [b"heard"]


async def test_a_closed_connection_says_so() -> None:
    """A task that outlived it must not wait for an answer."""
    async with twin_world() as world:
        async with world.connected("short") as bus:
            pass
        for call in (bus.send("live.a", b""), bus.publish("evt.a.b.t.j", b"", {})):
            with pytest.raises(BusUnavailableError):
                await call


async def test_a_stream_that_was_forgotten_is_followed_from_its_new_beginning() -> None:
    """It counts from one again; waiting for the old number would be a watch that shows nothing."""
    async with twin_world() as world:
        await apply(world.bus)
        await world.bus.say([fact(n) for n in range(5)])
        followed: Seen[str] = Seen()

        async def take(message: Received, _: Delivery) -> None:
            followed.add(id_of(message))

        feed = Feed(bus=world.bus, stream=EVT, subject="evt.>")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed.run, take)
            await world.seen(followed, lambda items: len(items) >= 5)
            world.broker.forget(EVT)
            await world.restart()
            await world.bus.say([fact(0), fact(9)])
            await world.seen(followed, lambda items: len(items) >= 7)
            tasks.cancel_scope.cancel()

        assert followed.items == ["evt_0", "evt_1", "evt_2", "evt_3", "evt_4", "evt_0", "evt_9"]


async def test_the_same_dice_make_the_same_weather() -> None:
    """A failure that was seen once can be looked at again."""
    assert await _weather(3) == await _weather(3)
    assert await _weather(3) != await _weather(4)


def test_a_fault_happens_as_often_as_it_was_told() -> None:
    """Then the good days are back."""
    faults = Faults(dice=_NoDice(), lost_answers=2)

    assert [faults.take("lost_answers") for _ in range(3)] == [True, True, False]
    assert faults.happened == Counter(lost_answers=2)


class _NoDice:
    def random(self) -> float:
        """Fail: nothing here is left to chance."""
        raise AssertionError


async def _weather(seed: int) -> list[str]:
    async with twin_world(seed) as world:
        await apply(world.bus, HEARD)
        await world.bus.say([fact(n) for n in range(9)])
        world.broker.faults.odds = {"doubled_deliveries": 0.5, "delayed_deliveries": 0.5}
        async with reader(world, HEARD) as reading:
            await reading.pull(NINE)
            await world.broker.clock.advance(10)
            return [each.reply for each in await reading.messages(9)]


def _memory(world: TwinWorld) -> MemoryBus:
    assert isinstance(world.bus, MemoryBus)
    return world.bus
