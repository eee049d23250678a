"""The broker is killed again and again under load: what was acknowledged is still there.

``make soak`` kills it ten times, and shows what is measured here and not asserted.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import anyio
import msgspec
import pytest
from anyio.to_thread import run_sync
from msgspec import structs

from actors.runtime import answering, provision
from actors.runtime.bus import Bus, connected
from actors.runtime.errors import BusError
from actors.runtime.follow import follow
from effectmesh.embedded.nats import EmbeddedNats
from schemas.base import EventId
from schemas.events import Notice, UserNotified, VideoIngested
from subjects.build import facts_of
from subjects.topology import DLQ, EVT, Topology
from tests.builders import NOON, USER
from tests.integration.crashes.counting import HEARD
from tests.integration.runtime.world import (
    Seen,
    declared,
    fact,
    settled,
    stored,
    worker,
    working,
)

log = logging.getLogger("tests.crashes")

KILLS: Final = 10 if os.environ.get("SOAK") == "1" else 3
SPEAKERS: Final = 8
SOME: Final = 200
"""Facts that are acknowledged, and answered, before the next kill."""
WITHIN_S: Final = 240.0


class Load:
    """People who say facts, each until it is acknowledged, and a worker who answers them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.acknowledged: Seen[str] = Seen()
        self.answered: Seen[float] = Seen()

    async def run(self, faults: Callable[[], Awaitable[None]]) -> None:
        """Keep it up until ``faults`` are over and everything is answered."""
        async with working(worker(self._bus, HEARD, self._answer, concurrency=16)):
            async with anyio.create_task_group() as speaking:
                for speaker in range(SPEAKERS):
                    speaking.start_soon(self._speak, speaker)
                await faults()
                speaking.cancel_scope.cancel()
            await settled(self._bus, HEARD)

    async def goes_on(self) -> float:
        """Return after some more of everything: how long until the first answer."""
        since = time.monotonic()
        await self.answered.until(len(self.answered.items) + 1)
        first = time.monotonic() - since
        await self.acknowledged.until(len(self.acknowledged.items) + SOME)
        await self.answered.until(len(self.answered.items) + SOME)
        return first

    async def _speak(self, speaker: int) -> None:
        number = 0
        while True:
            said = structs.replace(fact(0), event_id=EventId(f"evt_{speaker}_{number}"))
            try:
                await self._bus.say([said])
            except BusError:
                continue  # not acknowledged, so it is said again
            self.acknowledged.add(said.event_id)
            number += 1

    async def _answer(self, heard: VideoIngested) -> Sequence[Any]:
        self.answered.add(time.monotonic())
        notice = Notice(user_id=USER, kind="a", channel="b", subject="c", body="d")
        return [UserNotified(**follow(heard, UserNotified, at=NOON), payload=notice)]


@pytest.fixture
async def bus(mortal: EmbeddedNats) -> AsyncIterator[Bus]:
    """Return a connection to the broker that will be killed."""
    async with connected(mortal.url, name="load") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redeliver soon after the broker is back."""
    monkeypatch.setattr(answering, "NAK_BASE_S", 0.02)


async def test_every_acknowledged_fact_outlives_the_broker(mortal: EmbeddedNats, bus: Bus) -> None:
    """And each is answered once: the answers of before the kill are known by their ids."""
    await provision.apply(bus, declared(HEARD, streams=(EVT, DLQ)))
    load = Load(bus)

    async def faults() -> None:
        for number in range(1, KILLS + 1):
            await load.goes_on()
            await run_sync(mortal.kill)
            await run_sync(mortal.start)
            log.info("kill %d: first answer after %.2f s", number, await load.goes_on())

    with anyio.fail_after(WITHIN_S):
        await load.run(faults)

    kept, answers = await _kept(bus), await _answers(bus)
    assert set(load.acknowledged.items) <= set(kept)
    assert len(kept) == len(set(kept))
    assert sorted(answers) == sorted(kept)


async def test_a_broker_that_keeps_nothing_on_the_disk_fails(
    mortal: EmbeddedNats, bus: Bus
) -> None:
    """The check above can be failed: it is the file that keeps its promise."""
    real = declared(HEARD, streams=(EVT, DLQ))
    streams = tuple(structs.replace(each, storage="memory", max_bytes=0) for each in real.streams)
    forgetful = Topology(streams=streams, consumers=real.consumers, buckets=())
    await provision.apply(bus, forgetful)
    facts = [fact(n) for n in range(SOME)]
    await bus.say(facts)
    await run_sync(mortal.kill)
    await run_sync(mortal.start)
    async with connected(mortal.url, name="after") as after:
        await provision.apply(after, forgetful)
        kept = await _kept(after)

    assert not {each.event_id for each in facts} <= set(kept)


async def _kept(bus: Bus) -> list[str]:
    return [each.message_id for each in await stored(bus, EVT, facts_of(VideoIngested))]


async def _answers(bus: Bus) -> list[str]:
    return [
        msgspec.json.decode(each.data, type=UserNotified).cause_id
        for each in await stored(bus, EVT, facts_of(UserNotified))
    ]
