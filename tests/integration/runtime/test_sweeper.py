"""A saga that stored its words and died before it said them speaks, though nobody speaks to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import anyio
import msgspec
import pytest
from msgspec import Struct, structs

from actors.runtime.bus import Bus, connected
from actors.runtime.contract import Step
from actors.runtime.errors import BusUnavailableError
from actors.runtime.follow import follow
from actors.runtime.record import Recorded, StreamLog
from actors.runtime.sweeper import Sweeper, Swept
from actors.runtime.wire import Sayable
from effectmesh.embedded.nats import EmbeddedNats
from schemas.base import EventId
from schemas.events import Notice, UserNotified, VideoIngested
from subjects import build
from subjects.topology import EVT, SAGA
from tests.builders import NOON, USER
from tests.integration.runtime.world import SOON_S, Seen, apply, fact, restart, stored

STREAMS = (EVT, SAGA)


class Count(Struct, frozen=True):
    """What a counting saga remembers."""

    total: int = 0


class Counting:
    """Says a notice at each step, and is over after three."""

    state_type = Count

    def key(self, heard: VideoIngested) -> str:
        """One record a job."""
        return heard.correlation_id

    async def step(self, state: Count | None, heard: VideoIngested) -> Step[Count]:
        """Count on."""
        after = Count(total=(state or Count()).total + 1)
        notice = Notice(user_id=USER, kind="a", channel="b", subject="c", body=str(after.total))
        said = UserNotified(**follow(heard, UserNotified, at=NOON), payload=notice)
        return Step(after, (said,))


class _Died(Exception):
    """The worker is gone."""


async def _die(_: Iterable[Sayable]) -> None:
    raise _Died


def over(state: bytes) -> bool:
    """Tell whether a count is full."""
    return msgspec.json.decode(state, type=Count).total >= 3


def swept(bus: Bus, say: Any = None) -> Swept:
    """Return the counting sagas."""
    return Swept(
        owns=lambda key: key.startswith("job_"),
        over=over,
        log=StreamLog(bus=bus),
        say=say or bus.say,
    )


def sweeper(bus: Bus, *, say: Any = None, **changes: Any) -> Sweeper:
    """Return a sweeper to which every saga is quiet."""
    return Sweeper(bus=bus, kinds=[swept(bus, say)], **({"quiet_s": 0.0} | changes))


async def walk(bus: Bus, steps: int, *, job: str = "job_1", say: Any = None) -> None:
    """Let a worker that knows nothing yet take some steps."""
    worker = Recorded(saga=Counting(), log=StreamLog(bus=bus), say=say or bus.say)
    for n in range(steps):
        heard = structs.replace(fact(n, job=job), event_id=EventId(f"evt_{job}_{n}"))
        await worker.receive(heard)


async def die_before_the_words(bus: Bus, *, job: str = "job_1") -> None:
    """Store a step whose words are never said."""
    with pytest.raises(_Died):
        await walk(bus, 1, job=job, say=_die)


async def said(bus: Bus) -> list[str]:
    """Return for which jobs a notice is stored, one for each notice."""
    return [each.subject.rpartition(".")[2] for each in await stored(bus, EVT)]


async def test_without_it_the_words_are_never_said_and_with_it_they_are(bus: Bus) -> None:
    """The worker died between record and words, and no message for this job will ever come."""
    await apply(bus, streams=STREAMS)
    await die_before_the_words(bus)
    await walk(bus, 1, job="job_other")

    assert await said(bus) == ["job_other"]
    assert await sweeper(bus).sweep() == 2
    assert await said(bus) == ["job_other", "job_1"]


async def test_what_was_said_is_not_said_twice(bus: Bus) -> None:
    """The same ids; and the second sweep has nothing to do."""
    await apply(bus, streams=STREAMS)
    await walk(bus, 2)
    sweeping = sweeper(bus)

    assert [await sweeping.sweep() for _ in range(3)] == [1, 0, 0]
    assert await said(bus) == ["job_1", "job_1"]


async def test_a_saga_that_is_over_is_left_alone(bus: Bus) -> None:
    """There are many of them, and they have nothing to wait for."""
    await apply(bus, streams=STREAMS)
    await walk(bus, 3)

    assert await sweeper(bus).sweep() == 0


async def test_a_saga_of_somebody_else_is_left_alone(bus: Bus) -> None:
    """Its words are not ours to say; the broker would refuse them."""
    await apply(bus, streams=STREAMS)
    await walk(bus, 1, job="tasks_1")

    assert await sweeper(bus).sweep() == 0


async def test_a_saga_that_moves_is_left_alone(bus: Bus) -> None:
    """Whoever moves it says its words; to say them here as well only costs."""
    await apply(bus, streams=STREAMS)
    await walk(bus, 1)
    sweeping = sweeper(bus, quiet_s=3600.0)

    assert [await sweeping.sweep() for _ in range(2)] == [0, 0]


async def test_what_was_stored_since_is_seen_by_the_next_sweep(bus: Bus) -> None:
    """It runs for weeks; reading everything anew each time would be a load of its own."""
    await apply(bus, streams=STREAMS)
    await walk(bus, 1, job="job_1")
    sweeping = sweeper(bus)
    await sweeping.sweep()
    await die_before_the_words(bus, job="job_2")

    assert await sweeping.sweep() == 1
    assert await said(bus) == ["job_1", "job_2"]


async def test_one_sweep_does_so_much_and_the_next_the_rest(bus: Bus) -> None:
    """After an outage thousands may be due; the work under way comes first."""
    await apply(bus, streams=STREAMS)
    for n in range(5):
        await die_before_the_words(bus, job=f"job_{n}")
    sweeping = sweeper(bus, per_sweep=2)

    assert [await sweeping.sweep() for _ in range(4)] == [2, 2, 1, 0]
    assert sorted(await said(bus)) == [f"job_{n}" for n in range(5)]


async def test_words_that_cannot_be_said_now_are_due_again(bus: Bus) -> None:
    """The broker may be away; once more costs nothing."""
    await apply(bus, streams=STREAMS)
    await die_before_the_words(bus)
    deaf = [True]

    async def say(orders: Sequence[Sayable]) -> None:
        if deaf.pop():
            raise BusUnavailableError("evt", after_s=1)
        await bus.say(orders)

    deaf.insert(0, False)
    sweeping = sweeper(bus, say=say)

    assert [await sweeping.sweep() for _ in range(2)] == [0, 1]
    assert await said(bus) == ["job_1"]


async def test_a_record_that_cannot_be_read_does_not_stop_the_others(bus: Bus) -> None:
    """Somebody wrote it by hand, or a version that is gone did."""
    await apply(bus, streams=STREAMS)
    await bus.publish(build.saga("job_0"), b"garbage", {})
    await die_before_the_words(bus)

    assert await sweeper(bus).sweep() == 1
    assert await said(bus) == ["job_1"]


async def test_it_goes_on_after_the_broker_was_killed(mortal: EmbeddedNats) -> None:
    """That is when sagas are most likely to have stopped."""
    async with connected(mortal.url, name="test") as bus:
        await apply(bus, streams=STREAMS)
        await walk(bus, 1)
        spoken: Seen[None] = Seen()

        async def say(orders: Sequence[Sayable]) -> None:
            await bus.say(orders)
            spoken.add(None)

        sweeping = sweeper(bus, say=say, interval_s=0.05)
        with anyio.fail_after(4 * SOON_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(sweeping.run)
                await spoken.until(1)
                await restart(mortal)
                await die_before_the_words(bus, job="job_2")
                await spoken.until(2)
                tasks.cancel_scope.cancel()

        assert await said(bus) == ["job_1", "job_2"]
