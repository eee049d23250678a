"""The saga that is crashed, the mechanisms that save it, and the verdict over what is left.

A saga counts the facts of its job and says each number once on each channel. The verdict reads the
streams afterwards and knows nothing of how they were written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from itertools import product
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from actors.runtime.bus import Bus
from actors.runtime.contract import Step
from actors.runtime.follow import follow
from actors.runtime.record import Record, StreamLog
from actors.runtime.wire import EXPECTED_LAST, MSG_ID, Outgoing, Sayable, outgoing
from schemas.base import EventId
from schemas.events import Notice, UserNotified, VideoIngested
from subjects import build
from subjects.build import facts_of
from subjects.topology import EVT, SAGA, Consumer
from tests.builders import NOON, USER
from tests.integration.runtime.world import consumer, fact, stored

CHANNELS: Final = ("app", "mail")
ACK_WAIT_S: Final = 1
HEARD: Final[Consumer] = consumer(
    filters=("evt.video_intake.>",), max_deliver=1000, ack_wait_s=ACK_WAIT_S
)


class Mechanism(StrEnum):
    """What makes a step happen once; a test may switch each of them off."""

    CAS = "cas"
    """A record is only written behind the one that was read."""
    IDS = "ids"
    """What is said has an id that a redelivery says again."""
    WORDS = "words"
    """The words of a step are stored with it and said again by whoever loads it."""


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
        return Step(after, tuple(_word(heard, channel, after.total) for channel in CHANNELS))


class Crippled:
    """The log and the mouth of a saga, with some of the mechanisms switched off."""

    def __init__(self, bus: Bus, off: Collection[Mechanism]) -> None:
        self._bus = bus
        self._log = StreamLog(bus=bus)
        self._off = off

    async def last(self, key: str) -> tuple[int, bytes] | None:
        """Return the newest record, without its words when they are off."""
        found = await self._log.last(key)
        if found is None or Mechanism.WORDS not in self._off:
            return found
        record = msgspec.json.decode(found[1], type=Record)
        return found[0], msgspec.json.encode(structs.replace(record, said=()))

    async def append(self, key: str, body: bytes, *, after: int) -> int:
        """Store a record, wherever the last one is when the comparison is off."""
        headers = {} if Mechanism.CAS in self._off else {EXPECTED_LAST: str(after)}
        return (await self._bus.publish(build.saga(key), body, headers)).seq

    def words(self, said: Iterable[Sayable]) -> Sequence[Outgoing]:
        """Return what is said, nameless when the ids are off."""
        orders = [outgoing(each) for each in said]
        if Mechanism.IDS not in self._off:
            return orders
        return [
            structs.replace(each, headers={k: v for k, v in each.headers.items() if k != MSG_ID})
            for each in orders
        ]


class Verdict(Struct, frozen=True, kw_only=True):
    """What is left when everything is over."""

    lost: int
    """Numbers that were never said on one of the channels."""
    doubled: int
    """Words that one fact, or one number, made twice."""
    wrong: int
    """Sagas that counted to something else than they heard."""


CLEAN: Final = Verdict(lost=0, doubled=0, wrong=0)


def facts(sagas: int, steps: int) -> list[VideoIngested]:
    """Return the facts, those of one saga far apart."""
    return [
        structs.replace(fact(0, job=f"job_{saga}"), event_id=EventId(f"evt_{saga}_{step}"))
        for step in range(steps)
        for saga in range(sagas)
    ]


async def judge(bus: Bus, *, sagas: int, steps: int) -> Verdict:
    """Read everything that was said and stored."""
    words = [
        msgspec.json.decode(each.data, type=UserNotified)
        for each in await stored(bus, EVT, facts_of(UserNotified))
    ]
    numbers = Counter(
        (each.correlation_id, each.payload.subject, each.payload.channel) for each in words
    )
    causes = Counter((each.cause_id, each.payload.channel) for each in words)
    jobs = [f"job_{n}" for n in range(sagas)]
    wanted = product(jobs, map(str, range(1, steps + 1)), CHANNELS)
    totals = [await _total(bus, job) for job in jobs]
    return Verdict(
        lost=sum(each not in numbers for each in wanted),
        doubled=sum(n - 1 for n in causes.values()) + sum(n - 1 for n in numbers.values()),
        wrong=sum(total != steps for total in totals),
    )


async def _total(bus: Bus, job: str) -> int:
    found = await bus.last(SAGA, build.saga(job))
    if found is None:
        return 0
    record = msgspec.json.decode(found[1], type=Record)
    return msgspec.json.decode(record.state, type=Count).total


def _word(heard: VideoIngested, channel: str, number: int) -> Any:
    notice = Notice(user_id=USER, kind="count", channel=channel, subject=str(number), body="b")
    return UserNotified(**follow(heard, UserNotified, at=NOON, part=channel), payload=notice)
