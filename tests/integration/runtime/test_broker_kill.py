"""The broker is killed under load and comes back: everything goes on, nothing is lost."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import msgspec
import pytest
from nats.aio.msg import Msg

from actors.runtime import answering
from actors.runtime import worker as worker_module
from actors.runtime.bus import Bus, connected
from actors.runtime.follow import follow
from actors.runtime.wire import MSG_ID
from effectmesh.embedded.nats import EmbeddedNats
from schemas.events import Notice, UserNotified, VideoIngested
from subjects.build import facts_of
from subjects.topology import CMD, EVT
from tests.builders import NOON, USER
from tests.integration.runtime.world import (
    SOON_S,
    Seen,
    apply,
    consumer,
    fact,
    info,
    puller,
    restart,
    settled,
    stored,
    worker,
    working,
)

HEARD = consumer(filters=("evt.video_intake.>",), ack_wait_s=2)
RENDERS = consumer("exec-standard-fx-a", stream=CMD, filters=("cmd.exec.standard.fx-a",))
SPEAKERS = 10
EACH = 150


@pytest.fixture
async def shaky(mortal: EmbeddedNats) -> AsyncIterator[Bus]:
    """Return a connection to the broker that will be killed."""
    async with connected(mortal.url, name="test") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redeliver soon after the broker is back."""
    monkeypatch.setattr(answering, "NAK_BASE_S", 0.02)


async def test_no_acknowledged_fact_is_lost(mortal: EmbeddedNats, shaky: Bus) -> None:
    """Who was told that it is stored has forgotten it by now."""
    await apply(shaky)
    acknowledged: Seen[str] = Seen()

    async def speak(speaker: int) -> None:
        for n in range(EACH):
            said = fact(speaker * EACH + n)
            await shaky.say([said])
            acknowledged.add(said.event_id)

    with anyio.fail_after(4 * SOON_S):
        async with anyio.create_task_group() as speaking:
            for speaker in range(SPEAKERS):
                speaking.start_soon(speak, speaker)
            await acknowledged.until(SPEAKERS * EACH // 4)
            await anyio.to_thread.run_sync(mortal.kill)
            early = len(acknowledged.items)
            await anyio.to_thread.run_sync(mortal.start)

    kept = [each.message_id for each in await stored(shaky, EVT)]
    assert early < SPEAKERS * EACH
    assert sorted(kept) == sorted(acknowledged.items)
    assert len(set(kept)) == SPEAKERS * EACH


async def test_words_that_were_under_way_are_said_once(mortal: EmbeddedNats, shaky: Bus) -> None:
    """They are sent again under their ids; the stream drops what it had."""
    await apply(shaky)
    with anyio.fail_after(4 * SOON_S):
        async with anyio.create_task_group() as speaking:
            for n in range(5):
                speaking.start_soon(shaky.say, [fact(100 * n + m) for m in range(100)])
            await restart(mortal)

    kept = [each.message_id for each in await stored(shaky, EVT)]
    assert sorted(kept) == sorted(f"evt_{n}" for n in range(500))
    assert shaky._waiting == {}


async def test_a_worker_goes_on_where_it_was(mortal: EmbeddedNats, shaky: Bus) -> None:
    """Every message is answered, and every answer stored once."""
    await apply(shaky, HEARD)
    answered: Seen[str] = Seen()

    async def receive(heard: VideoIngested) -> Sequence[Any]:
        answered.add(heard.event_id)
        notice = Notice(user_id=USER, kind="a", channel="b", subject="c", body="d")
        return [UserNotified(**follow(heard, UserNotified, at=NOON), payload=notice)]

    await shaky.say([fact(n) for n in range(300)])
    async with working(worker(shaky, HEARD, receive, concurrency=4)):
        await answered.until(50)
        await restart(mortal)
        await shaky.say([fact(n) for n in range(300, 320)])
        await settled(shaky, HEARD)

    causes = [
        msgspec.json.decode(each.data, type=UserNotified).cause_id
        for each in await stored(shaky, EVT, facts_of(UserNotified))
    ]
    assert sorted(causes) == sorted(f"evt_{n}" for n in range(320))


async def test_a_host_takes_no_more_than_its_slots_when_the_broker_is_back(
    mortal: EmbeddedNats, shaky: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pulls that pile up while it is away would fetch renders that nobody begins."""
    monkeypatch.setattr(worker_module, "PULL_HEARTBEAT_S", 0.02)
    monkeypatch.setattr(worker_module, "POLL_S", 0.02)
    await apply(shaky, RENDERS, streams=[CMD])
    begun: Seen[str] = Seen()
    done = anyio.Event()
    pulls: Seen[None] = Seen()

    async def render(heard: VideoIngested) -> Sequence[Any]:
        begun.add(heard.event_id)
        await done.wait()
        return []

    def serving() -> Sequence[Any]:
        pulls.add(None)
        return [RENDERS]

    host = puller(shaky, [], render, slots=1)
    host._consumers = serving
    async with working(host):
        await pulls.until(2)
        await anyio.to_thread.run_sync(mortal.kill)
        slow = len(pulls.items)
        with anyio.move_on_after(1):
            await pulls.until(slow + 5)
        await anyio.to_thread.run_sync(mortal.start)
        for n in range(5):
            body = msgspec.json.encode(fact(n))
            await shaky.publish("cmd.exec.standard.fx-a", body, {MSG_ID: f"evt_{n}"})
        await begun.until(1)
        await _ignored_pulls_are_over(shaky)
        found = await info(shaky, RENDERS)
        assert (found["num_ack_pending"], found["num_pending"]) == (1, 4)
        done.set()
        await settled(shaky, RENDERS)

    assert sorted(begun.items) == [f"evt_{n}" for n in range(5)]


async def test_a_pull_that_was_lost_with_the_connection_is_made_again_at_once(
    mortal: EmbeddedNats, shaky: Bus
) -> None:
    """A fleet that waits for answers that will never come would stand still for seconds."""
    await apply(shaky, RENDERS, streams=[CMD])
    begun: Seen[str] = Seen()
    pulls: Seen[None] = Seen()

    async def render(heard: VideoIngested) -> Sequence[Any]:
        begun.add(heard.event_id)
        return []

    def serving() -> Sequence[Any]:
        pulls.add(None)
        return [RENDERS]

    host = puller(shaky, [], render, slots=1)
    host._consumers = serving
    os.kill(mortal.pid, signal.SIGSTOP)
    async with working(host):
        await pulls.until(1)
        await restart(mortal)
        await shaky.publish("cmd.exec.standard.fx-a", msgspec.json.encode(fact(1)), {})
        with anyio.fail_after(worker_module.PULL_HEARTBEAT_S - 1):
            await begun.until(1)


async def _ignored_pulls_are_over(bus: Bus) -> None:
    """Return when the server has worked off every pull that was sent before this call."""
    answers: Seen[Msg] = Seen()

    async def take(message: Msg) -> None:
        answers.add(message)

    inbox = bus.new_inbox()
    async with bus.subscribed(inbox, take):
        await bus.send(f"$JS.API.CONSUMER.INFO.{RENDERS.stream}.{RENDERS.name}", b"", reply=inbox)
        await answers.until(1)
