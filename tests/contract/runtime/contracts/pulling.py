"""A durable consumer: pulls and their ends, acknowledgements, redeliveries, limits."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from actors.runtime.transport import Received
from actors.runtime.wire import MSG_ID
from subjects.topology import CMD, EVT
from tests.contract.runtime.worlds import (
    World,
    bind,
    delivery,
    id_of,
    milliseconds,
    reader,
)
from tests.integration.runtime.world import Seen, apply, consumer, fact, info, stored

HEARD = consumer(filters=("evt.video_intake.>",))
CLOCK = consumer("clock", filters=("evt.video_intake.>",))
RENDERS = consumer("exec-standard-fx-a", stream=CMD, filters=("cmd.exec.standard.fx-a",))
QUICK_NS = milliseconds(400)
ONE_NOW = b'{"batch":1,"no_wait":true}'
PULLS = 1000
NINE = b'{"batch":9,"expires":60000000000}'


async def test_a_pull_that_does_not_wait_takes_what_is_there(world: World) -> None:
    """One message, or at once the news that there is none.

    A server may need a moment until a consumer sees what was stored, so it is asked again.
    """
    await apply(world.bus, HEARD)
    async with reader(world, HEARD) as reading:
        await reading.pull(ONE_NOW)
        [nothing] = await reading.statuses("404")
        await world.bus.say([fact(1), fact(2)])
        for pulls in range(2, PULLS):
            await reading.pull(ONE_NOW)
            await world.seen(reading.came, partial(_has, pulls))
            if len(heard := await reading.ids(0)) == 2:
                break

    assert nothing["Description"] == "No Messages"
    assert heard == ["evt_1", "evt_2"]


def _has(count: int, came: list[Received]) -> bool:
    return len(came) >= count


async def test_a_pull_that_waits_gets_what_comes(world: World) -> None:
    """Up to its batch, and from then on nothing."""
    await apply(world.bus, HEARD)
    async with reader(world, HEARD) as reading:
        await reading.pull(b'{"batch":2,"expires":60000000000}')
        await world.bus.say([fact(n) for n in range(4)])
        assert await reading.ids(2) == ["evt_0", "evt_1"]
        found = await info(world.bus, HEARD)
        assert (found["num_pending"], found["num_ack_pending"], found["num_waiting"]) == (2, 2, 0)
        await reading.pull()
        assert (await reading.ids(3))[2:] == ["evt_2"]


async def test_a_pull_beats_while_it_waits_and_ends(world: World) -> None:
    """A reader knows a silent broker from an empty stream, and how much was left of its pull."""
    await apply(world.bus, HEARD)
    async with reader(world, HEARD) as reading:
        await world.bus.say([fact(1)])
        await reading.pull(b'{"batch":3,"expires":500000000,"idle_heartbeat":100000000}')
        statuses = await reading.statuses("408")

    *beats, end = statuses
    assert len(beats) >= 2
    assert {each["Status"] for each in beats} == {"100"}
    assert (end["Status"], end["Nats-Pending-Messages"]) == ("408", "2")


async def test_a_pull_at_nobody_is_told(world: World) -> None:
    """There would be silence otherwise."""
    await apply(world.bus)
    async with reader(world, HEARD) as reading:
        await reading.pull()
        await reading.statuses("503")


async def test_a_consumer_that_is_taken_away_tells_who_waits(world: World) -> None:
    """They would wait for the end of their pull."""
    await apply(world.bus, HEARD)
    async with reader(world, HEARD) as reading:
        await reading.pull()
        await world.bus.barrier()
        await world.bus.api(f"CONSUMER.DELETE.{HEARD.stream}.{HEARD.name}")
        [told] = await reading.statuses("409")

    assert told["Description"] == "Consumer Deleted"


async def test_a_delivery_says_where_it_comes_from(world: World) -> None:
    """Dead letters and gaps are told from it."""
    await apply(world.bus, HEARD)
    await world.bus.publish("evt.other.b.t.j", b"", {})
    await world.bus.say([fact(1), fact(2), fact(3)])
    async with reader(world, HEARD) as reading:
        await reading.pull(NINE)
        found = [delivery(each) for each in await reading.messages(3)]

    assert {(each.stream, each.consumer) for each in found} == {(EVT, HEARD.name)}
    assert [each.sequence for each in found] == [2, 3, 4]
    assert [each.consumer_sequence for each in found] == [1, 2, 3]
    assert [each.pending for each in found] == [2, 1, 0]
    assert {each.delivered for each in found} == {1}


async def test_a_consumer_hears_its_filters_only(world: World) -> None:
    """Each of them, in the order of the stream."""
    some = consumer("some", filters=("evt.a.>", "evt.*.Kind.>"))
    await apply(world.bus, some)
    for subject in ("evt.a.X.t.j", "evt.b.X.t.j", "evt.b.Kind.t.j", "evt.a.Kind.t.j"):
        await world.bus.publish(subject, b"", {})
    async with reader(world, some) as reading:
        await reading.pull(NINE)
        found = [each.subject for each in await reading.messages(3)]
        assert (await info(world.bus, some))["num_pending"] == 0

    assert found == ["evt.a.X.t.j", "evt.b.Kind.t.j", "evt.a.Kind.t.j"]


async def test_a_consumer_can_be_changed_and_keeps_its_place(world: World) -> None:
    """A module that hears one kind more does not hear everything again."""
    narrow = consumer("some", filters=("evt.a.>",))
    await apply(world.bus, narrow)
    await world.bus.publish("evt.a.X.t.j", b"1", {})
    await world.bus.publish("evt.b.X.t.j", b"2", {})
    async with reader(world, narrow) as reading:
        await reading.pull(b'{"batch":1,"expires":60000000000}')
        [first] = await reading.messages(1)
        await reading.answer(first)
        await apply(world.bus, consumer("some", filters=("evt.a.>", "evt.b.>")))
        await world.bus.publish("evt.b.X.t.j", b"3", {})
        await reading.pull(NINE)
        found = await world.seen(reading.came, lambda came: came[-1].data == b"3")

    # what was skipped before may or may not come: it depends on how far the server had looked
    assert [each.data for each in found].count(b"1") == 1


async def test_what_is_not_acknowledged_comes_again(world: World) -> None:
    """Counted, after the acknowledgement time; what is acknowledged never does."""
    await apply(world.bus)
    await bind(world.bus, HEARD, ack_wait=QUICK_NS)
    await world.bus.say([fact(1), fact(2)])
    async with reader(world, HEARD) as reading:
        began = world.now()
        await reading.pull(NINE)
        first, _ = await reading.messages(2)
        await reading.answer(first)
        *_, again = await reading.messages(3)
        late = world.now() - began
        await reading.answer(again)
        found = await info(world.bus, HEARD)

    assert (id_of(again), delivery(again).delivered) == ("evt_2", 2)
    assert late.total_seconds() * 1e9 >= QUICK_NS
    assert (found["num_ack_pending"], found["num_pending"]) == (0, 0)
    assert found["ack_floor"]["stream_seq"] == 2


async def test_what_is_put_off_comes_again_at_once_or_later(world: World) -> None:
    """As late as was said; and the messages behind it do not wait for it."""
    await apply(world.bus, HEARD)
    await world.bus.say([fact(1), fact(2), fact(3)])
    async with reader(world, HEARD) as reading:
        await reading.pull(b'{"batch":2,"expires":60000000000}')
        first, second = await reading.messages(2)
        began = world.now()
        await reading.answer(first, b'-NAK {"delay": 300000000}')
        await reading.answer(second, b"-NAK")
        await reading.pull(NINE)
        ids = await reading.ids(5)
        late = world.now() - began

    assert ids == ["evt_1", "evt_2", "evt_2", "evt_3", "evt_1"]
    assert late.total_seconds() >= 0.3
    assert delivery((await reading.messages(5))[-1]).delivered == 2


async def test_what_is_being_worked_on_is_not_given_away(world: World) -> None:
    """A beat begins the acknowledgement time anew; without one it comes again."""
    await apply(world.bus)
    await bind(world.bus, HEARD, ack_wait=milliseconds(600))
    await bind(world.bus, CLOCK, ack_wait=QUICK_NS)
    await world.bus.say([fact(1)])
    async with reader(world, HEARD) as working, reader(world, CLOCK) as clock:
        await working.pull(NINE)
        [message] = await working.messages(1)
        await clock.pull(NINE)
        for beats in (2, 3):
            await clock.messages(beats)
            await working.answer(message, b"+WPI")
        await clock.messages(4)
        assert (await info(world.bus, HEARD))["num_redelivered"] == 0
        [*_, again] = await working.messages(2)

    assert delivery(again).delivered == 2


async def test_what_is_given_up_does_not_come_again(world: World) -> None:
    """It is in the dead letters by then."""
    await apply(world.bus)
    await bind(world.bus, HEARD, ack_wait=QUICK_NS)
    await bind(world.bus, CLOCK, ack_wait=QUICK_NS)
    await world.bus.say([fact(1)])
    async with reader(world, HEARD) as reading, reader(world, CLOCK) as clock:
        await reading.pull(NINE)
        [message] = await reading.messages(1)
        await reading.answer(message, b"+TERM")
        await clock.pull(NINE)
        await clock.messages(2)

    assert await reading.ids(1) == ["evt_1"]
    assert (await info(world.bus, HEARD))["num_ack_pending"] == 0


async def test_no_more_are_out_than_may_be(world: World) -> None:
    """For all readers of a consumer together; an acknowledgement makes room, for any pull."""
    small = consumer("small", max_ack_pending=2)
    await apply(world.bus, small)
    await world.bus.say([fact(n) for n in range(5)])
    async with reader(world, small) as one, reader(world, small) as other:
        await one.pull(b'{"batch":1,"expires":60000000000}')
        [first] = await one.messages(1)
        await other.pull(NINE)
        [second] = await other.messages(1)
        found = await info(world.bus, small)
        assert (found["num_ack_pending"], found["num_pending"]) == (2, 3)
        await one.answer(first)
        assert await other.ids(2) == ["evt_1", "evt_2"]

    async with reader(world, small) as third:
        await third.pull(ONE_NOW)
        await other.answer(second)
        assert await third.ids(1) == ["evt_3"]


async def test_readers_that_wait_take_turns(world: World) -> None:
    """Nobody starves behind a reader with a large batch."""
    await apply(world.bus, HEARD)
    async with reader(world, HEARD) as one, reader(world, HEARD) as other:
        await one.pull(NINE)
        await other.pull(NINE)
        await world.bus.barrier()
        await world.bus.say([fact(n) for n in range(6)])
        heard = await one.ids(3) + await other.ids(3)

    assert sorted(heard) == [f"evt_{n}" for n in range(6)]


async def test_a_reader_that_went_away_gets_nothing(world: World) -> None:
    """What it waited for goes to who is there, at its first delivery."""
    await apply(world.bus, HEARD)
    async with reader(world, HEARD) as gone:
        await gone.pull(NINE)
        await world.bus.barrier()
    await world.bus.barrier()
    async with reader(world, HEARD) as here:
        await here.pull(NINE)
        await world.bus.say([fact(1)])
        [message] = await here.messages(1)

    assert delivery(message).delivered == 1


async def test_a_place_is_kept_for_whoever_comes_next(world: World) -> None:
    """A worker that died leaves its messages to the next one, and nothing else."""
    await apply(world.bus)
    await bind(world.bus, HEARD, ack_wait=QUICK_NS)
    await world.bus.say([fact(1), fact(2), fact(3)])
    async with world.connected("first") as bus, reader(world, HEARD, bus=bus) as dying:
        await dying.pull(b'{"batch":2,"expires":60000000000}')
        first, _ = await dying.messages(2)
        await dying.answer(first)
    async with world.connected("second") as bus, reader(world, HEARD, bus=bus) as next_one:
        await next_one.pull(NINE)
        found = await world.seen(
            next_one.came, lambda came: {"evt_2", "evt_3"} <= {id_of(each) for each in came}
        )

    deliveries = {id_of(each): delivery(each).delivered for each in reversed(found)}
    assert deliveries == {"evt_2": 2, "evt_3": 1}


async def test_a_place_outlives_a_restart(world: World) -> None:
    """Pulls do not: whoever waits must ask again. Counts need not, nor the last answers."""
    await apply(world.bus)
    await bind(world.bus, HEARD, ack_wait=QUICK_NS)
    await world.bus.say([fact(1), fact(2)])
    async with reader(world, HEARD) as reading:
        await reading.pull(b'{"batch":1,"expires":60000000000}')
        [first] = await reading.messages(1)
        await reading.answer(first)
        await reading.pull(b'{"batch":1,"expires":60000000000}')
        await reading.messages(2)
        await reading.pull(NINE)
        await world.bus.barrier()
        await world.restart()
        assert (await info(world.bus, HEARD))["num_waiting"] == 0
        await reading.pull(NINE)
        found = await reading.messages(3)

    assert "evt_2" in [id_of(each) for each in found[2:]]


async def test_a_work_queue_keeps_what_is_not_done(world: World) -> None:
    """And nothing else: done or given up is gone, put off is not, nor is another's work."""
    await apply(world.bus, RENDERS, streams=[CMD])
    for n in range(4):
        await world.bus.publish(RENDERS.filters[0], b"", {MSG_ID: f"evt_{n}"})
    await world.bus.publish("cmd.exec.standard.fx-b", b"", {MSG_ID: "other"})
    async with reader(world, RENDERS) as reading:
        await reading.pull(NINE)
        done, given_up, put_off, _ = await reading.messages(4)
        await reading.answer(done)
        await reading.answer(given_up, b"+TERM")
        await reading.answer(put_off, b'-NAK {"delay": 60000000000}')

        async def left() -> bool:
            state = (await world.bus.api(f"STREAM.INFO.{CMD}"))["state"]
            return bool(state["messages"] == 3)

        await world.eventually(left)
        again = await world.bus.publish(RENDERS.filters[0], b"", {MSG_ID: "evt_0"})

    assert again.duplicate


async def test_an_acknowledgement_is_answered_when_asked(world: World) -> None:
    """For those who must know before they go on."""
    await apply(world.bus, HEARD)
    await world.bus.say([fact(1)])
    came: Seen[Received] = Seen()

    async def take(message: Received) -> None:
        came.add(message)

    inbox = world.bus.new_inbox()
    async with reader(world, HEARD) as reading, world.bus.subscribed(inbox, take):
        await reading.pull()
        [message] = await reading.messages(1)
        await world.bus.send(message.reply, b"+ACK", reply=inbox)
        [answer] = await world.seen(came, bool)

    assert answer.data == b""
    assert (await info(world.bus, HEARD))["num_ack_pending"] == 0


async def test_a_fact_stays_when_it_was_heard(world: World) -> None:
    """Others hear it too, and whoever comes later."""
    await apply(world.bus, HEARD)
    await world.bus.say([fact(1)])
    async with reader(world, HEARD) as reading:
        await reading.pull()
        [message] = await reading.messages(1)
        await reading.answer(message)
    await apply(world.bus, HEARD, CLOCK)
    async with reader(world, CLOCK) as later:
        await later.pull()
        assert await later.ids(1) == ["evt_1"]

    assert len(await stored(world.bus, EVT)) == 1


PULLING: tuple[Callable[[World], Coroutine[Any, Any, None]], ...] = (
    test_a_pull_that_does_not_wait_takes_what_is_there,
    test_a_pull_that_waits_gets_what_comes,
    test_a_pull_beats_while_it_waits_and_ends,
    test_a_pull_at_nobody_is_told,
    test_a_consumer_that_is_taken_away_tells_who_waits,
    test_a_delivery_says_where_it_comes_from,
    test_a_consumer_hears_its_filters_only,
    test_a_consumer_can_be_changed_and_keeps_its_place,
    test_what_is_not_acknowledged_comes_again,
    test_what_is_put_off_comes_again_at_once_or_later,
    test_what_is_being_worked_on_is_not_given_away,
    test_what_is_given_up_does_not_come_again,
    test_no_more_are_out_than_may_be,
    test_readers_that_wait_take_turns,
    test_a_reader_that_went_away_gets_nothing,
    test_a_place_is_kept_for_whoever_comes_next,
    test_a_place_outlives_a_restart,
    test_a_work_queue_keeps_what_is_not_done,
    test_an_acknowledgement_is_answered_when_asked,
    test_a_fact_stays_when_it_was_heard,
)
