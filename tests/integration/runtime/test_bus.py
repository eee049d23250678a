"""Saying, on a real broker: stored before it returns, once, in order, or refused by name."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from nats.aio.msg import Msg

from actors.runtime import bus as bus_module
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import Later, Put
from actors.runtime.errors import (
    ApiError,
    CannotConnectError,
    NoStreamError,
    NotPermittedError,
    WrongLastSequenceError,
)
from actors.runtime.wire import EXPECTED_LAST
from effectmesh.embedded.nats import EmbeddedNats
from schemas.base import Module
from schemas.commands import Wake
from subjects import build
from subjects.topology import CONTROL, EVT, SAGA, TIMER
from tests.builders import header
from tests.integration.embedded.parents import running
from tests.integration.runtime.line import Line
from tests.integration.runtime.world import SOON_S, apply, fact, stored


async def test_what_was_said_is_stored_in_order(bus: Bus) -> None:
    """All of it, when ``say`` returns: only then may the cause be acknowledged."""
    await apply(bus, buckets=[CONTROL])

    await bus.say([fact(1), fact(2), Put(bucket=CONTROL, key="drain", value=b"true"), fact(3)])

    assert [each.message_id for each in await stored(bus, EVT)] == ["evt_1", "evt_2", "evt_3"]
    assert await bus.last("KV_CONTROL", "$KV.CONTROL.drain") == (1, b"true")


async def test_what_was_said_twice_is_stored_once(bus: Bus) -> None:
    """A redelivery says everything again."""
    await apply(bus)

    await bus.say([fact(1), fact(2)])
    await bus.say([fact(2), fact(1), fact(3)])

    assert [each.message_id for each in await stored(bus, EVT)] == ["evt_1", "evt_2", "evt_3"]


async def test_a_timer_that_is_taken_away_and_set_again_is_set(bus: Bus) -> None:
    """In the order of the words, or a job would wait without a deadline."""
    await apply(bus, streams=[TIMER])
    later = datetime.now(UTC) + timedelta(hours=1)

    await bus.say([_timer("evt_a", later), _timer("evt_off", None), _timer("evt_b", later)])

    [kept] = await stored(bus, TIMER)
    assert kept.message_id == "timer:evt_b"


async def test_a_timer_that_is_set_and_taken_away_is_gone(bus: Bus) -> None:
    """And a word that follows is not lost with it."""
    await apply(bus, streams=[TIMER, EVT])
    later = datetime.now(UTC) + timedelta(hours=1)

    await bus.say([_timer("evt_a", later), _timer("evt_off", None), fact(1)])

    assert await stored(bus, TIMER) == []
    assert len(await stored(bus, EVT)) == 1


async def test_a_subject_that_no_stream_stores_is_an_error(bus: Bus) -> None:
    """Core NATS would drop the message without a word."""
    with pytest.raises(NoStreamError, match="topology apply") as refused:
        await bus.say([fact(1)])

    assert refused.value.subject == "evt.video_intake.VideoIngested.tnt_1.job_1"


async def test_writing_behind_an_old_sequence_is_refused(bus: Bus) -> None:
    """The compare-and-set that keeps two workers on one saga apart."""
    await apply(bus, streams=[SAGA])
    subject = build.saga("job_1")
    first = await bus.publish(subject, b"{}", {EXPECTED_LAST: "0"})
    second = await bus.publish(subject, b"{}", {EXPECTED_LAST: str(first.seq)})

    for expected in (0, first.seq, second.seq + 1):
        with pytest.raises(WrongLastSequenceError):
            await bus.publish(subject, b"{}", {EXPECTED_LAST: str(expected)})
    assert await bus.last(SAGA, subject) == (second.seq, b"{}")
    assert await bus.last(SAGA, build.saga("job_2")) is None


async def test_a_full_stream_refuses_and_nothing_is_left_waiting(bus: Bus) -> None:
    """One refusal must not leave its neighbours' acknowledgements behind, for ever and more."""
    config = {"name": "SMALL", "subjects": ["evt.>"], "max_msgs": 2, "discard": "new"}
    await bus.api("STREAM.CREATE.SMALL", config | {"storage": "memory"})

    with pytest.raises(ApiError, match="maximum messages"):
        await bus.say([fact(n) for n in range(6)])

    assert bus._waiting == {}
    assert len(await stored(bus, "SMALL")) == 2


async def test_a_message_that_is_too_large_is_refused_and_not_waited_for(bus: Bus) -> None:
    """The server would close the connection."""
    await apply(bus)

    with pytest.raises(Exception, match="maximum payload"):
        await bus.publish("evt.a.b.c.d", b"x" * 1_100_000, {})

    assert bus._waiting == {}
    assert bus.alive


async def test_many_can_say_at_once_on_one_connection(bus: Bus) -> None:
    """Each waits for its own acknowledgements only."""
    await apply(bus)
    with anyio.fail_after(SOON_S):
        async with anyio.create_task_group() as tasks:
            for n in range(100):
                tasks.start_soon(bus.say, [fact(2 * n), fact(2 * n + 1)])

    assert {each.message_id for each in await stored(bus, EVT)} == {f"evt_{n}" for n in range(200)}


async def test_after_the_barrier_the_server_knows_every_subscription(
    bus: Bus, broker_url: str
) -> None:
    """A process that says it is ready must answer, or its first questions fail."""

    async def answer(message: Msg) -> None:
        await bus.send(message.reply, b"here")

    async with connected(broker_url, name="asker") as asker:
        for n in range(100):
            async with bus.subscribed(f"ready.{n}", answer):
                await bus.barrier()
                reply = await asker._client.request(f"ready.{n}", b"", timeout=SOON_S)
                assert reply.data == b"here"


async def test_a_subject_that_is_not_allowed_is_told_from_a_silent_broker(home: Path) -> None:
    """nats-py alone would wait for a time-out, and name no subject."""
    with running(_Strict(home=home, sync_always=False)) as url:
        async with connected(url, name="test") as bus:
            await apply(bus)

            with anyio.fail_after(SOON_S), pytest.raises(NotPermittedError) as refused:
                await bus.say([fact(1)])

            assert refused.value.subject == "evt.video_intake.VideoIngested.tnt_1.job_1"
            assert bus._waiting == {}


async def test_a_wrong_password_is_told_without_telling_the_password(
    broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message ends up in logs."""
    monkeypatch.setattr(bus_module, "CONNECT_TIMEOUT_S", 0.5)
    address = broker_url.rpartition("@")[2]

    with pytest.raises(CannotConnectError, match=r"(?i)authorization") as refused:
        async with connected(f"nats://effectmesh:guessed-secret@{address}", name="test"):
            pass

    assert "guessed-secret" not in str(refused.value)
    assert address in str(refused.value)


async def test_nobody_there_is_an_error_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """nats-py alone would try for ever."""
    monkeypatch.setattr(bus_module, "CONNECT_TIMEOUT_S", 0.5)

    with anyio.fail_after(SOON_S), pytest.raises(CannotConnectError, match="EFFECTMESH_NATS_URL"):
        async with connected("nats://127.0.0.1:1", name="test"):
            pass


class _Strict(EmbeddedNats):
    """A broker whose user may not publish facts."""

    def _config(self, password: str, ports: Path) -> str:
        text = super()._config(password, ports)
        [line] = [each for each in text.splitlines() if each.startswith("authorization")]
        user = f"user: effectmesh, password: {json.dumps(password)}"
        denied = f'{{ {user}, permissions: {{ publish: {{ deny: "evt.>" }} }} }}'
        return text.replace(line, f"authorization {{ users: [{denied}] }}")


def _timer(event_id: str, at: datetime | None) -> Later:
    wake = Wake(**header(event_id), purpose="deadline")  # type: ignore[arg-type]
    return Later(key="job_1", name="deadline", module=Module.ORCHESTRATOR, at=at, message=wake)


async def test_a_bus_whose_line_is_cut_closes_without_a_fault(nats_server: str) -> None:
    """A process that is told to end while the broker is away ends, and says nothing of it."""
    async with Line.to(nats_server) as line, connected(line.url, name="cut") as bus:
        line.cut()
        with anyio.fail_after(SOON_S):
            while bus.alive:
                await anyio.lowlevel.checkpoint()
        await bus.send("evt.nowhere", b"kept until the line is there again")
