"""The saga record: a step happens once and its words are never lost."""

from __future__ import annotations

import anyio
import msgspec
import pytest
from msgspec import structs

from actors.runtime import record
from actors.runtime.contract import TryLater
from actors.runtime.errors import BusUnavailableError
from actors.runtime.record import APPLIED_KEPT, Record, Recorded
from schemas.commands import Wake
from tests.unit.runtime.fakes import KEY, Count, Counting, Ears, MemoryLog, line_of, wake


class _World:
    """One log, one audience, and as many workers as a test asks for."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.ears = Ears()
        self.saga = Counting()

    def worker(self, *, cached: int = record.CACHED) -> Recorded[Count, Wake]:
        """Return a worker that knows nothing yet, as after a start."""
        return Recorded(
            saga=self.saga,
            log=self.log,
            say=self.ears.say,
            cached=cached,
        )

    def records(self) -> list[Record]:
        """Return everything that was stored about the job."""
        return [msgspec.json.decode(body, type=Record) for _, body in self.log.records.get(KEY, [])]

    def state(self) -> Count:
        """Return the newest stored state."""
        return msgspec.json.decode(self.records()[-1].state, type=Count)


@pytest.fixture
def world() -> _World:
    """Return an empty one."""
    return _World()


async def test_a_step_is_one_record_and_its_words(world: _World) -> None:
    """State and words are stored together, so neither is ever there without the other."""
    await world.worker().receive(wake("evt_1", step=3))

    [stored] = world.records()
    assert (stored.step, stored.applied) == (1, ("evt_1",))
    assert world.state() == Count(total=3, heard=("evt_1",))
    assert [each.headers["Nats-Msg-Id"] for each in stored.said] == [line_of("evt_1")]
    assert world.ears.heard == [line_of("evt_1")]


async def test_a_redelivery_changes_nothing_and_says_nothing_new(world: _World) -> None:
    """At least once is what the bus promises; once is what the saga needs."""
    worker = world.worker()

    await worker.receive(wake("evt_1", step=3))
    await worker.receive(wake("evt_1", step=3))

    assert world.state().total == 3
    assert len(world.records()) == 1
    assert world.saga.steps == 1
    assert world.ears.kept == [line_of("evt_1")]


async def test_a_redelivery_to_another_worker_says_the_same(world: _World) -> None:
    """The first worker may have died before it spoke; the same ids let the stream drop it."""
    await world.worker().receive(wake("evt_1"))
    await world.worker().receive(wake("evt_1"))

    assert world.state().total == 1
    assert world.ears.heard == [line_of("evt_1"), line_of("evt_1")]


async def test_words_that_were_stored_and_not_said_are_said_first(world: _World) -> None:
    """A crash between the two must lose nothing, and must not let a later step speak earlier."""
    world.ears.deaf = 1
    with pytest.raises(BusUnavailableError):
        await world.worker().receive(wake("evt_1"))
    assert world.ears.heard == []

    await world.worker().receive(wake("evt_2"))

    assert world.ears.heard == [line_of("evt_1"), line_of("evt_2")]
    assert world.state().heard == ("evt_1", "evt_2")


async def test_the_same_worker_says_them_first_too(world: _World) -> None:
    """It must not trust what it remembers of a step whose words failed."""
    worker = world.worker()
    await worker.receive(wake("evt_0"))
    world.ears.deaf = 1
    with pytest.raises(BusUnavailableError):
        await worker.receive(wake("evt_1"))

    await worker.receive(wake("evt_2"))

    assert world.ears.kept == [line_of("evt_0"), line_of("evt_1"), line_of("evt_2")]
    assert world.state().total == 3


async def test_while_old_words_cannot_be_said_no_step_is_stored(world: _World) -> None:
    """The record holds the words of one step only: the next would bury them."""
    world.ears.deaf = 2
    with pytest.raises(BusUnavailableError):
        await world.worker().receive(wake("evt_1"))
    with pytest.raises(BusUnavailableError):
        await world.worker().receive(wake("evt_2"))

    assert [each.applied for each in world.records()] == [("evt_1",)]


async def test_of_two_workers_one_decides_anew_from_what_the_other_stored(world: _World) -> None:
    """Both decided on the same state; to store both would lose one of them."""
    slow, quick = world.worker(), world.worker()
    await slow.receive(wake("evt_0"))

    async def overtake() -> None:
        await quick.receive(wake("evt_quick", step=10))

    world.log.before_append = overtake
    await slow.receive(wake("evt_slow", step=100))

    assert world.state() == Count(total=111, heard=("evt_0", "evt_quick", "evt_slow"))
    assert [each.step for each in world.records()] == [1, 2, 3]
    assert world.saga.steps == 4
    assert world.ears.kept == [line_of("evt_0"), line_of("evt_quick"), line_of("evt_slow")]


async def test_a_message_that_the_other_worker_applied_is_not_applied_again(world: _World) -> None:
    """Both got it: the acknowledgement time ran out while the first still worked on it."""
    first, second = world.worker(), world.worker()
    await first.receive(wake("evt_0"))

    async def overtake() -> None:
        await second.receive(wake("evt_1"))

    world.log.before_append = overtake
    await first.receive(wake("evt_1"))

    assert world.state() == Count(total=2, heard=("evt_0", "evt_1"))


async def test_a_saga_that_is_always_overtaken_is_put_off(world: _World) -> None:
    """Without a bound two workers could keep each other busy for ever."""
    rival = world.worker()
    count = 0

    async def overtake() -> None:
        nonlocal count
        count += 1
        await rival.receive(wake(f"evt_rival_{count}"))

    async def arm() -> None:
        world.log.before_append = overtake

    world.saga = Counting(meanwhile=arm)
    loser = Recorded(saga=world.saga, log=world.log, say=world.ears.say)
    world.saga = Counting()

    with pytest.raises(TryLater) as refused:
        await loser.receive(wake("evt_loser"))

    assert refused.value.retry_after > 0
    assert count == record.CONFLICT_TRIES
    assert "evt_loser" not in world.state().heard


async def test_a_message_that_changes_nothing_stores_nothing(world: _World) -> None:
    """A record costs a write; ``None`` is free."""
    await world.worker().receive(wake("evt_1", purpose="ignore"))

    assert world.records() == []
    assert world.ears.heard == []


async def test_a_saga_in_memory_is_not_loaded_again(world: _World) -> None:
    """A hop through the saga is one write; the compare-and-set guards the copy."""
    worker = world.worker()
    for n in range(5):
        await worker.receive(wake(f"evt_{n}"))

    assert world.log.loads == 1


async def test_a_saga_that_was_forgotten_is_loaded_again(world: _World) -> None:
    """The memory is bounded; what falls out of it is in its last record."""
    worker = world.worker(cached=2)
    for job in ("job_1", "job_2", "job_3", "job_1"):
        heard = msgspec.structs.replace(wake(f"evt_{world.log.loads}"), correlation_id=job)
        await worker.receive(heard)

    last = msgspec.json.decode(world.log.records["job_1"][-1][1], type=Record)
    assert msgspec.json.decode(last.state, type=Count).total == 2
    assert world.log.loads == 4


async def test_a_saga_that_was_forgotten_says_what_it_had_not_said(world: _World) -> None:
    """Forgetting is as a crash: the words are in the record, and come before the next step."""
    worker = world.worker(cached=1)
    await worker.receive(wake("evt_0"))
    world.ears.deaf = 1
    with pytest.raises(BusUnavailableError):
        await worker.receive(wake("evt_1"))
    await worker.receive(structs.replace(wake("evt_other"), correlation_id="job_2"))

    await worker.receive(wake("evt_2"))

    assert [each for each in world.ears.kept if each != line_of("evt_other")] == [
        line_of("evt_0"),
        line_of("evt_1"),
        line_of("evt_2"),
    ]
    assert world.state().heard == ("evt_0", "evt_1", "evt_2")


async def test_of_the_sagas_in_memory_the_one_that_moved_longest_ago_is_forgotten(
    world: _World,
) -> None:
    """A busy job must not be loaded at every message because others come and go."""
    worker = world.worker(cached=2)
    for job in ("job_busy", "job_2", "job_busy", "job_3", "job_busy", "job_4", "job_busy"):
        heard = wake(f"evt_{world.saga.steps}")
        await worker.receive(structs.replace(heard, correlation_id=job))

    assert world.log.loads == 4
    assert len(worker._known) == 2


async def test_the_ids_a_record_remembers_are_bounded(world: _World) -> None:
    """A job hears hundreds of messages; only those still in flight can come again."""
    worker = world.worker()
    for n in range(APPLIED_KEPT + 6):
        await worker.receive(wake(f"evt_{n}"))

    applied = world.records()[-1].applied
    assert len(applied) == APPLIED_KEPT
    assert applied[-1] == f"evt_{APPLIED_KEPT + 5}"
    assert applied[0] == "evt_6"


async def test_messages_of_one_saga_are_applied_one_after_the_other(world: _World) -> None:
    """In one process they would otherwise only fight for the same record."""
    inside = 0
    most = 0

    async def meanwhile() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        inside -= 1

    world.saga = Counting(meanwhile=meanwhile)
    worker = world.worker()
    async with anyio.create_task_group() as tasks:
        for n in range(20):
            tasks.start_soon(worker.receive, wake(f"evt_{n}"))

    assert most == 1
    assert world.state().total == 20
    assert world.saga.steps == 20


async def test_messages_of_two_sagas_do_not_wait_for_each_other(world: _World) -> None:
    """One slow job must not hold up all others."""
    both = anyio.Event()
    inside = 0

    async def meanwhile() -> None:
        nonlocal inside
        inside += 1
        if inside == 2:
            both.set()
        await both.wait()

    world.saga = Counting(meanwhile=meanwhile)
    worker = world.worker()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for job in ("job_1", "job_2"):
                heard = msgspec.structs.replace(wake(f"evt_{job}"), correlation_id=job)
                tasks.start_soon(worker.receive, heard)

    assert sorted(world.log.records) == ["job_1", "job_2"]


async def test_what_failed_leaves_no_lock_behind(world: _World) -> None:
    """The next message of that saga would wait for ever, and each saga would leak one."""
    worker = world.worker()
    world.ears.deaf = 1
    with pytest.raises(BusUnavailableError):
        await worker.receive(wake("evt_1"))

    with anyio.fail_after(5):
        await worker.receive(wake("evt_2"))

    assert worker._busy == {}
