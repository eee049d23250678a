"""Three servers, three copies: one is killed and comes back, leaders step down, nothing is lost.

How long the work stands still is measured and not asserted: it depends on the machine.
``make soak`` shows it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from typing import Final

import anyio
import msgspec
import pytest
from anyio.to_thread import run_sync
from msgspec import structs

from actors.runtime import answering, provision
from actors.runtime.bus import Bus, connected
from actors.runtime.errors import BusError
from actors.runtime.record import Record, Recorded, StreamLog
from schemas.base import EventId
from schemas.events import UserNotified, VideoIngested
from subjects import build
from subjects.build import facts_of
from subjects.topology import EVT, SAGA
from tests.integration.cluster.conftest import DECLARED, HEARD
from tests.integration.cluster.nodes import Cluster, leader, settled_on, whole
from tests.integration.crashes.counting import CHANNELS, Count, Counting
from tests.integration.runtime.world import Seen, fact, settled, stored, worker, working

log = logging.getLogger("tests.cluster")

SPEAKERS: Final = 4
SOME: Final = 40
"""Facts that are acknowledged, and answered, between one fault and the next."""
AHEAD: Final = 500
"""How far those who speak may be ahead of who hears them."""
STEPS: Final = 50
"""Facts of one job: fewer than its record remembers."""
WITHIN_S: Final = 120.0


class Done:
    """When things were done, to see how long nothing was."""

    def __init__(self) -> None:
        self.items: Seen[tuple[float, str]] = Seen()

    def add(self, what: str) -> None:
        """Note that it is done now."""
        self.items.add((time.monotonic(), what))

    @property
    def names(self) -> list[str]:
        """What was done."""
        return [name for _, name in self.items.items]

    @property
    def count(self) -> int:
        """How much was done."""
        return len(self.items.items)

    async def more(self, count: int) -> None:
        """Return when so many more are done."""
        await self.items.until(self.count + count)

    def gap(self, since: float) -> float:
        """Return the longest time in which nothing was done."""
        times = [since, *(at for at, _ in self.items.items if at > since)]
        return max((b - a for a, b in pairwise(times)), default=0.0)


class Load:
    """People who say facts until each is acknowledged, and a saga that hears them."""

    def __init__(self, speaking: Bus, working_: Bus) -> None:
        self._speaking = speaking
        self._working = working_
        self._saga = Recorded(
            saga=Counting(), log=StreamLog(bus=working_), say=working_.say
        ).receive
        self.acknowledged, self.answered = Done(), Done()
        self.refused: Counter[str] = Counter()

    async def run(self, faults: Callable[[], Awaitable[None]]) -> None:
        """Keep it up until ``faults`` are over and everything is answered."""
        async with working(worker(self._working, HEARD, self._answer, concurrency=8)):
            async with anyio.create_task_group() as speaking:
                for speaker in range(SPEAKERS):
                    speaking.start_soon(self._speak, speaker)
                await faults()
                speaking.cancel_scope.cancel()
            await settled(self._working, HEARD)

    async def after(self, what: str, since: float) -> None:
        """Return after some more of everything, and tell how long there was nothing."""
        async with anyio.create_task_group() as both:
            both.start_soon(self.acknowledged.more, SOME)
            both.start_soon(self.answered.more, SOME)
        log.info(
            "%s: no acknowledgement for %.2f s, no answer for %.2f s, refused %s",
            what,
            self.acknowledged.gap(since),
            self.answered.gap(since),
            dict(self.refused),
        )
        self.refused.clear()

    async def _speak(self, speaker: int) -> None:
        number = 0
        while True:
            while self.acknowledged.count > self.answered.count + AHEAD:
                await self.answered.more(1)
            job = f"job_{speaker}_{number // STEPS}"
            said = structs.replace(fact(0, job=job), event_id=EventId(f"evt_{speaker}_{number}"))
            try:
                await self._speaking.say([said])
            except BusError as refused:
                self.refused[type(refused).__name__] += 1
                continue  # not acknowledged, so it is said again
            self.acknowledged.add(said.event_id)
            number += 1

    async def _answer(self, heard: VideoIngested) -> tuple[()]:
        await self._saga(heard)
        self.answered.add(heard.event_id)
        return ()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redeliver soon after a leader is back."""
    monkeypatch.setattr(answering, "NAK_BASE_S", 0.05)


async def test_nothing_is_lost_when_a_server_dies_and_leaders_change(
    cluster: Cluster, bus: Bus
) -> None:
    """Every acknowledged fact is there, was heard, and counted once."""
    async with connected(cluster.url, name="speakers") as speaking:
        load = Load(speaking, bus)

        async def faults() -> None:
            await load.after("at rest", time.monotonic())
            victim = await leader(bus, EVT)
            since = time.monotonic()
            await run_sync(cluster.kill, victim)
            await load.after(f"{victim}, which led {EVT}, was killed", since)
            since = time.monotonic()
            await run_sync(cluster.start, victim)
            await whole(bus, EVT)
            await whole(bus, SAGA)
            await load.after(f"{victim} came back", since)
            for led in (
                f"STREAM.LEADER.STEPDOWN.{EVT}",
                f"STREAM.LEADER.STEPDOWN.{SAGA}",
                f"CONSUMER.LEADER.STEPDOWN.{HEARD.stream}.{HEARD.name}",
            ):
                since = time.monotonic()
                await bus.api(led)
                await load.after(led, since)

        with anyio.fail_after(WITHIN_S):
            await load.run(faults)

        kept = [each.message_id for each in await stored(bus, EVT, facts_of(VideoIngested))]
        assert set(load.acknowledged.names) <= set(kept)
        assert len(kept) == len(set(kept))
        assert set(load.answered.names) == set(kept)
        assert await _counted(bus) == Counter(_job_of(each) for each in kept)
        words = await stored(bus, EVT, facts_of(UserNotified))
        assert len(words) == len(CHANNELS) * len(kept)
        assert await settled_on(partial(provision.plan, bus, DECLARED)) == []


def _job_of(event_id: str) -> str:
    _, speaker, number = event_id.split("_")
    return f"job_{speaker}_{int(number) // STEPS}"


async def _counted(bus: Bus) -> Counter[str]:
    """Return what every saga has counted to, by its newest record."""
    totals: Counter[str] = Counter()
    for each in await stored(bus, SAGA, build.saga_records()):
        record = msgspec.json.decode(each.data, type=Record)
        totals[record.key] = msgspec.json.decode(record.state, type=Count).total
    return totals
