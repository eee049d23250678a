"""What is said is stored: in order, once, under its conditions, within its limits."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from actors.runtime.contract import Put
from actors.runtime.errors import (
    ApiError,
    AskError,
    BusError,
    NoStreamError,
    WrongLastSequenceError,
)
from actors.runtime.provision import apply as apply_topology
from actors.runtime.provision import check, consumer_config, plan
from actors.runtime.transport import Transport
from actors.runtime.wire import EXPECTED_LAST, MSG_ID
from subjects import build
from subjects.topology import CMD, CONTROL, DLQ, EVT, SAGA, topology
from tests.contract.runtime.worlds import World
from tests.integration.runtime.world import apply, consumer, fact, stored

Contract = Callable[[World], Coroutine[Any, Any, None]]
DIRECT = {"storage": "memory", "allow_direct": True}
RECORD = build.saga("job_1")


async def _ids(bus: Transport, stream: str = EVT) -> list[str]:
    return [each.message_id for each in await stored(bus, stream)]


async def test_what_was_said_is_stored_in_order(world: World) -> None:
    """All of it, when ``say`` returns."""
    await apply(world.bus, buckets=[CONTROL])

    await world.bus.say([fact(1), fact(2), Put(bucket=CONTROL, key="k", value=b"v"), fact(3)])

    assert await _ids(world.bus) == ["evt_1", "evt_2", "evt_3"]
    assert await world.bus.last("KV_CONTROL", "$KV.CONTROL.k") == (1, b"v")


async def test_what_was_said_twice_is_stored_once(world: World) -> None:
    """In whatever order it is said again."""
    await apply(world.bus)

    await world.bus.say([fact(1), fact(2)])
    await world.bus.say([fact(2), fact(1), fact(3)])

    assert await _ids(world.bus) == ["evt_1", "evt_2", "evt_3"]


async def test_a_known_id_tells_where_it_is(world: World) -> None:
    """Whatever the subject and the body: ids belong to the stream."""
    await apply(world.bus)

    first = await world.bus.publish("evt.a.b.t.j", b"1", {MSG_ID: "same"})
    again = await world.bus.publish("evt.a.c.t.j", b"2", {MSG_ID: "same"})
    other = await world.bus.publish("evt.a.b.t.j", b"1", {MSG_ID: "other"})

    assert (first.stream, first.seq, first.duplicate) == (EVT, 1, False)
    assert (again.stream, again.seq, again.duplicate) == (EVT, 1, True)
    assert (other.seq, other.duplicate) == (2, False)


async def test_an_id_is_forgotten_after_its_window(world: World) -> None:
    """From then on the receiver must know it; asking again does not make it last."""
    window = {"name": "SHORT", "subjects": ["evt.>"], "duplicate_window": 200_000_000}
    await world.bus.api("STREAM.CREATE.SHORT", window | DIRECT)
    first = await world.bus.publish("evt.a.b.t.j", b"", {MSG_ID: "same"})
    assert (await world.bus.publish("evt.a.b.t.j", b"", {MSG_ID: "same"})).duplicate

    async def is_new() -> bool:
        return not (await world.bus.publish("evt.a.b.t.j", b"", {MSG_ID: "same"})).duplicate

    await world.eventually(is_new)
    assert await world.bus.last("SHORT", "evt.a.b.t.j") == (first.seq + 1, b"")


async def test_a_write_behind_an_old_sequence_is_refused(world: World) -> None:
    """Of two workers on one saga one writes."""
    await apply(world.bus, streams=[SAGA])
    first = await world.bus.publish(RECORD, b"1", {EXPECTED_LAST: "0"})
    await world.bus.publish(build.saga("job_2"), b"other", {})
    second = await world.bus.publish(RECORD, b"2", {EXPECTED_LAST: str(first.seq)})

    for expected in (0, first.seq, second.seq + 1):
        with pytest.raises(WrongLastSequenceError):
            await world.bus.publish(RECORD, b"3", {EXPECTED_LAST: str(expected)})

    assert (first.seq, second.seq) == (1, 3)
    assert await world.bus.last(SAGA, RECORD) == (second.seq, b"2")


async def test_a_known_id_is_no_excuse_for_an_old_sequence(world: World) -> None:
    """The sequence is compared first, so a repeated record is a conflict, not a duplicate."""
    await apply(world.bus, streams=[SAGA])
    await world.bus.publish(RECORD, b"1", {EXPECTED_LAST: "0", MSG_ID: "step_1"})

    with pytest.raises(WrongLastSequenceError):
        await world.bus.publish(RECORD, b"1", {EXPECTED_LAST: "0", MSG_ID: "step_1"})


async def test_a_message_for_another_stream_is_refused(world: World) -> None:
    """Whoever names the stream wants that one."""
    await apply(world.bus, streams=[SAGA])

    with pytest.raises(ApiError, match="expected stream does not match") as refused:
        await world.bus.publish(RECORD, b"", {"Nats-Expected-Stream": EVT})

    assert refused.value.code == 10060


async def test_what_no_stream_stores_is_an_error(world: World) -> None:
    """Plain NATS would drop it without a word."""
    with pytest.raises(NoStreamError) as refused:
        await world.bus.say([fact(1)])

    assert refused.value.subject == "evt.video_intake.VideoIngested.tnt_1.job_1"


async def test_a_full_stream_refuses_and_keeps_what_it_has(world: World) -> None:
    """A queue of orders must not lose the oldest for the newest."""
    config = {"name": "SMALL", "subjects": ["evt.>"], "max_msgs": 2, "discard": "new"}
    await world.bus.api("STREAM.CREATE.SMALL", config | {"storage": "memory"})

    with pytest.raises(ApiError, match="maximum messages exceeded") as refused:
        await world.bus.say([fact(n) for n in range(4)])

    assert refused.value.code == 10077
    assert await _ids(world.bus, "SMALL") == ["evt_0", "evt_1"]


async def test_a_full_stream_of_the_other_kind_drops_the_oldest(world: World) -> None:
    """Facts are for a fortnight, not for ever."""
    config = {"name": "SMALL", "subjects": ["evt.>"], "max_msgs": 2, "discard": "old"}
    await world.bus.api("STREAM.CREATE.SMALL", config | {"storage": "memory"})

    await world.bus.say([fact(n) for n in range(4)])

    assert await _ids(world.bus, "SMALL") == ["evt_2", "evt_3"]


async def test_a_subject_keeps_its_newest(world: World) -> None:
    """As many as the stream says, each subject for itself."""
    config = {"name": "SAGA", "subjects": ["saga.*"], "max_msgs_per_subject": 2}
    await world.bus.api("STREAM.CREATE.SAGA", config | {"storage": "memory"})

    for n in range(4):
        await world.bus.publish(RECORD, b"%d" % n, {})
    await world.bus.publish(build.saga("job_2"), b"other", {})

    assert [each.data for each in await stored(world.bus, SAGA)] == [b"2", b"3", b"other"]


async def test_what_is_too_old_is_gone(world: World) -> None:
    """An agent that fell silent is not shown as alive."""
    config = {"name": "BRIEF", "subjects": ["evt.>"], "max_age": 200_000_000}
    await world.bus.api("STREAM.CREATE.BRIEF", config | DIRECT | {"duplicate_window": 100_000_000})
    await world.bus.publish("evt.a.b.t.j", b"", {})
    assert await world.bus.last("BRIEF", "evt.a.b.t.j") == (1, b"")

    async def gone() -> bool:
        return await world.bus.last("BRIEF", "evt.a.b.t.j") is None

    await world.eventually(gone)


async def test_a_purge_empties_one_subject(world: World) -> None:
    """The numbers go on, and an id that was there stays known."""
    await apply(world.bus, streams=[SAGA])
    await world.bus.publish(RECORD, b"1", {MSG_ID: "a"})
    await world.bus.publish(build.saga("job_2"), b"2", {MSG_ID: "b"})

    answer = await world.bus.api(f"STREAM.PURGE.{SAGA}", {"filter": RECORD})
    again = await world.bus.publish(RECORD, b"1", {MSG_ID: "a"})
    new = await world.bus.publish(RECORD, b"3", {MSG_ID: "c"})

    assert answer["purged"] == 1
    assert again.duplicate
    assert (new.seq, new.duplicate) == (3, False)
    assert [each.data for each in await stored(world.bus, SAGA)] == [b"2", b"3"]


async def test_the_newest_of_a_subject_can_be_read(world: World) -> None:
    """Nothing is an answer too; no stream, or one that forbids it, is none."""
    await apply(world.bus, streams=[SAGA])
    await world.bus.api("STREAM.CREATE.CLOSED", {"name": "CLOSED", "subjects": ["closed"]})
    await world.bus.publish(RECORD, b"1", {})
    second = await world.bus.publish(RECORD, b"2", {})

    assert await world.bus.last(SAGA, RECORD) == (second.seq, b"2")
    assert await world.bus.last(SAGA, build.saga("job_2")) is None
    for stream in ("NOWHERE", "CLOSED"):
        with pytest.raises(AskError):
            await world.bus.last(stream, RECORD)


async def test_what_is_too_large_is_refused_at_once(world: World) -> None:
    """The server would close the connection."""
    await apply(world.bus)

    with pytest.raises(Exception, match="maximum payload"):
        await world.bus.publish("evt.a.b.t.j", b"x" * 1_100_000, {})

    assert world.bus.alive


async def test_many_can_say_at_once(world: World) -> None:
    """Each waits for its own acknowledgements only."""
    await apply(world.bus)
    async with anyio.create_task_group() as tasks:
        for n in range(50):
            tasks.start_soon(world.bus.say, [fact(2 * n), fact(2 * n + 1)])

    assert set(await _ids(world.bus)) == {f"evt_{n}" for n in range(100)}


async def test_a_single_message_can_be_read_and_deleted(world: World) -> None:
    """A dead letter is, once it was played again; a fact never."""
    await apply(world.bus, streams=[EVT, DLQ])
    await world.bus.publish("dlq.approval", b"letter", {MSG_ID: "dlq:1"})
    await world.bus.publish("evt.a.b.t.j", b"fact", {})

    found = await world.bus.api(f"STREAM.MSG.GET.{DLQ}", {"seq": 1})
    await world.bus.api(f"STREAM.MSG.DELETE.{DLQ}", {"seq": 1})

    assert (found["message"]["subject"], found["message"]["data"]) == ("dlq.approval", "bGV0dGVy")
    assert await stored(world.bus, DLQ) == []
    with pytest.raises(ApiError, match="no message found"):
        await world.bus.api(f"STREAM.MSG.GET.{DLQ}", {"seq": 1})
    with pytest.raises(ApiError, match="message delete not permitted"):
        await world.bus.api(f"STREAM.MSG.DELETE.{EVT}", {"seq": 1})


async def test_the_whole_topology_can_be_made_and_checked(world: World) -> None:
    """By the same command that an operator uses, twice without harm."""
    declared = topology([("standard", "fx-a")])
    missing = len(declared.streams) + len(declared.consumers) + len(declared.buckets)

    changed = await apply_topology(world.bus, declared)

    assert len(changed) == missing
    assert await plan(world.bus, declared) == []
    assert await apply_topology(world.bus, declared) == []
    await check(world.bus, declared)


async def test_a_stream_can_be_changed_and_taken_away(world: World) -> None:
    """What is asked of one that does not exist is an error with its own number."""
    await apply(world.bus, streams=[SAGA])
    config = (await world.bus.api(f"STREAM.INFO.{SAGA}"))["config"]
    for n in range(3):
        await world.bus.publish(RECORD, b"%d" % n, {})

    await world.bus.api(f"STREAM.UPDATE.{SAGA}", config | {"max_msgs": 2})
    found = await world.bus.api(f"STREAM.INFO.{SAGA}")

    assert found["config"]["max_msgs"] == 2
    assert (found["state"]["messages"], found["state"]["last_seq"]) == (2, 3)
    await world.bus.api(f"STREAM.DELETE.{SAGA}")
    for call in ("STREAM.INFO", "STREAM.DELETE"):
        with pytest.raises(ApiError, match="stream not found") as refused:
            await world.bus.api(f"{call}.{SAGA}")
        assert refused.value.code == 10059


async def test_names_and_subjects_are_taken_once(world: World) -> None:
    """Two streams with one subject would store a message twice."""
    await apply(world.bus, streams=[EVT])

    for name, subjects, code in (("OTHER", ["evt.a.>"], 10065), (EVT, ["other.>"], 10058)):
        with pytest.raises(ApiError) as refused:
            await world.bus.api(f"STREAM.CREATE.{name}", {"name": name, "subjects": subjects})
        assert refused.value.code == code


async def test_a_work_queue_has_one_consumer_for_each_message(world: World) -> None:
    """Who would be second would get nothing, or everything again."""
    await apply(world.bus, streams=[CMD])
    one = consumer("one", stream=CMD, filters=("cmd.exec.standard.>",))
    two = consumer("two", stream=CMD, filters=("cmd.exec.standard.fx-a",))
    await _make(world.bus, consumer_config(one))

    with pytest.raises(ApiError) as taken:
        await _make(world.bus, consumer_config(two))
    with pytest.raises(ApiError) as careless:
        await _make(world.bus, {"name": "x", "deliver_subject": "x", "ack_policy": "none"})

    assert (taken.value.code, careless.value.code) == (10100, 10098)
    await _make(world.bus, consumer_config(one))


async def test_what_is_unknown_is_refused(world: World) -> None:
    """And not taken for a silent broker."""
    await apply(world.bus, streams=[EVT])

    for call, code in (("CONSUMER.INFO.EVT.nobody", 10014), ("CONSUMER.INFO.NO.body", 10059)):
        with pytest.raises(ApiError) as refused:
            await world.bus.api(call)
        assert refused.value.code == code


async def test_what_was_stored_outlives_a_restart(world: World) -> None:
    """Messages, ids and numbers: whoever says it again says nothing new."""
    await apply(world.bus, streams=[EVT, SAGA])
    await world.bus.say([fact(1), fact(2)])

    await world.restart()
    await world.meanwhile(lambda: _insist(world.bus))

    assert await _ids(world.bus) == ["evt_1", "evt_2", "evt_3"]


async def _insist(bus: Transport) -> None:
    """Say it until it is stored, as a redelivery does."""
    while True:
        try:
            await bus.say([fact(2), fact(1), fact(3)])
        except BusError:
            continue
        return


async def _make(bus: Transport, config: dict[str, Any]) -> None:
    await bus.api(f"CONSUMER.CREATE.{CMD}.{config['name']}", {"stream_name": CMD, "config": config})


STORING: tuple[Contract, ...] = (
    test_what_was_said_is_stored_in_order,
    test_what_was_said_twice_is_stored_once,
    test_a_known_id_tells_where_it_is,
    test_an_id_is_forgotten_after_its_window,
    test_a_write_behind_an_old_sequence_is_refused,
    test_a_known_id_is_no_excuse_for_an_old_sequence,
    test_a_message_for_another_stream_is_refused,
    test_what_no_stream_stores_is_an_error,
    test_a_full_stream_refuses_and_keeps_what_it_has,
    test_a_full_stream_of_the_other_kind_drops_the_oldest,
    test_a_subject_keeps_its_newest,
    test_what_is_too_old_is_gone,
    test_a_purge_empties_one_subject,
    test_the_newest_of_a_subject_can_be_read,
    test_what_is_too_large_is_refused_at_once,
    test_many_can_say_at_once,
    test_a_single_message_can_be_read_and_deleted,
    test_the_whole_topology_can_be_made_and_checked,
    test_a_stream_can_be_changed_and_taken_away,
    test_names_and_subjects_are_taken_once,
    test_a_work_queue_has_one_consumer_for_each_message,
    test_what_is_unknown_is_refused,
    test_what_was_stored_outlives_a_restart,
)
