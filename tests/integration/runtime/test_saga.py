"""Hundreds of saga steps by two workers that keep dying: nothing is lost, nothing is doubled.

A worker dies where it hurts: after the step was stored and before, or while, its words are said,
and after all of it but before the acknowledgement. The same run without the record fails the same
check, so the check can be failed.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec
import pytest
from msgspec import Struct, structs

from actors.runtime import answering
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import Step
from actors.runtime.follow import follow
from actors.runtime.record import Record, Recorded, StreamLog
from actors.runtime.wire import Sayable, outgoing
from schemas.base import EventId
from schemas.events import Notice, UserNotified, VideoIngested
from subjects import build
from subjects.topology import DLQ, EVT, SAGA
from tests.builders import NOON, USER
from tests.integration.runtime.world import (
    apply,
    consumer,
    fact,
    letters,
    settled,
    stored,
    worker,
    working,
)

SAGAS = 12
STEPS = 25
CHANNELS = ("app", "mail")
PLACES = ("before the words", "between the words")
LAST_PLACE = "before the acknowledgement"
DEATH = 0.12
"""How likely a worker dies at each of the places where it may."""
HEARD = consumer(filters=("evt.video_intake.>",), max_deliver=1000, ack_wait_s=5)

Say = Callable[[Iterable[Sayable]], Awaitable[None]]
Make = Callable[[Bus, Say], "Receiving"]


class Count(Struct, frozen=True):
    """What a counting saga remembers."""

    total: int = 0


class Counting:
    """Counts what it hears, and says every number once on each channel."""

    state_type = Count

    def key(self, heard: VideoIngested) -> str:
        """One record a job."""
        return heard.correlation_id

    async def step(self, state: Count | None, heard: VideoIngested) -> Step[Count]:
        """Count on."""
        after = Count(total=(state or Count()).total + 1)
        return Step(after, tuple(_said(heard, channel, after.total) for channel in CHANNELS))


class Receiving(Protocol):
    """What a worker calls."""

    async def receive(self, heard: VideoIngested) -> Sequence[Any]:
        """Answer one message."""
        ...


class Naive:
    """The saga everybody writes first: read the state, send, write the state. No ids."""

    def __init__(self, bus: Bus, say: Say) -> None:
        self._bus = bus
        self._say = say
        self._saga = Counting()

    async def receive(self, heard: VideoIngested) -> Sequence[Any]:
        """Count on, and hope."""
        subject = build.saga(self._saga.key(heard))
        found = await self._bus.last(SAGA, subject)
        state = msgspec.json.decode(found[1], type=Count) if found else None
        step = await self._saga.step(state, heard)
        await self._bus.publish(subject, msgspec.json.encode(step.state), {})
        words = [structs.replace(outgoing(each), headers={}) for each in step.said]
        await self._say(words)
        return ()


class _Died(Exception):
    """The process is gone: killed, out of memory, or the machine is."""


class Mortal:
    """A process that dies at random, and is started again knowing nothing."""

    def __init__(self, bus: Bus, make: Make, dice: random.Random) -> None:
        self._bus = bus
        self._make = make
        self._dice = dice
        self._actor = make(bus, self._say)
        self.deaths: Counter[str] = Counter()

    async def receive(self, heard: VideoIngested) -> Sequence[Any]:
        """Let the actor of this life answer."""
        try:
            await self._actor.receive(heard)
            self._risk(LAST_PLACE)
        except _Died:
            self._actor = self._make(self._bus, self._say)
            raise
        return ()

    async def _say(self, said: Iterable[Sayable]) -> None:
        for place, order in zip(PLACES, [outgoing(each) for each in said], strict=True):
            self._risk(place)
            await self._bus.say([order])

    def _risk(self, where: str) -> None:
        if self._dice.random() < DEATH:
            self.deaths[where] += 1
            raise _Died(where)


def recorded(bus: Bus, say: Say) -> Receiving:
    """Return the saga as the runtime runs it."""
    return Recorded(saga=Counting(), log=StreamLog(bus=bus), say=say)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redeliver at once, and keep the log of a thousand deaths out of the way."""
    monkeypatch.setattr(answering, "NAK_BASE_S", 0.002)
    monkeypatch.setattr(answering, "NAK_CAP_S", 0.01)
    monkeypatch.setattr(logging.getLogger("effectmesh.approval"), "disabled", True)


async def test_nothing_is_lost_or_doubled_however_often_a_worker_dies(
    bus: Bus, broker_url: str
) -> None:
    """A job is paid for once and rendered once, whatever happens to the process in between."""
    deaths = await _run(bus, broker_url, recorded)

    assert await _problems(bus) == []
    assert all(deaths[place] > 3 for place in (*PLACES, LAST_PLACE))


async def test_the_record_of_every_step_is_readable_history(bus: Bus, broker_url: str) -> None:
    """``nats stream view SAGA`` is where an operator looks first."""
    await _run(bus, broker_url, recorded)

    for n in range(SAGAS):
        history = [
            msgspec.json.decode(each.data, type=Record)
            for each in await stored(bus, SAGA, build.saga(f"job_{n}"))
        ]
        assert [each.step for each in history] == list(range(1, STEPS + 1))
        assert all(len(each.said) == len(CHANNELS) for each in history)


async def test_without_the_record_the_same_run_loses_and_doubles(bus: Bus, broker_url: str) -> None:
    """A check that nothing can fail proves nothing."""
    await _run(bus, broker_url, Naive)

    problems = await _problems(bus)
    assert any("never said" in each for each in problems)
    assert any("said twice" in each for each in problems)


async def _run(bus: Bus, url: str, make: Make) -> Counter[str]:
    """Let two mortal workers count every saga up; return where they died."""
    await apply(bus, HEARD, streams=[EVT, SAGA, DLQ])
    await bus.say(
        structs.replace(fact(step, job=f"job_{n}"), event_id=EventId(f"evt_{n}_{step}"))
        for step in range(STEPS)
        for n in range(SAGAS)
    )
    async with connected(url, name="second") as other:
        first = Mortal(bus, make, random.Random(11))
        second = Mortal(other, make, random.Random(22))
        async with working(worker(bus, HEARD, first.receive), worker(other, HEARD, second.receive)):
            await settled(bus, HEARD)
    assert await letters(bus) == []
    return first.deaths + second.deaths


async def _problems(bus: Bus) -> list[str]:
    """Return what is wrong: every saga must have said every number from one on, once."""
    said: Counter[tuple[str, str, int]] = Counter()
    for each in await stored(bus, EVT, build.facts_of(UserNotified)):
        heard = msgspec.json.decode(each.data, type=UserNotified)
        said[heard.correlation_id, heard.payload.channel, int(heard.payload.body)] += 1
    expected = {
        (f"job_{n}", channel, number)
        for n in range(SAGAS)
        for channel in CHANNELS
        for number in range(1, STEPS + 1)
    }
    return [
        *(f"{each} was never said" for each in sorted(expected - set(said))),
        *(f"{each} is not a step" for each in sorted(set(said) - expected)),
        *(f"{each} was said twice" for each, times in said.items() if times > 1),
    ]


def _said(heard: VideoIngested, channel: str, number: int) -> UserNotified:
    notice = Notice(user_id=USER, kind="count", channel=channel, subject="", body=str(number))
    header = follow(heard, UserNotified, at=NOON, part=channel)
    return UserNotified(**header, payload=notice)
