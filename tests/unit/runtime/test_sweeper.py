"""What a saga says again is what its newest record says, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors.runtime.record import CONFLICT_TRIES, Record, Recorded
from actors.runtime.sweeper import say_again
from actors.runtime.wire import Outgoing
from effectmesh.processes.actors import job_is_over, tasks_are_over
from schemas.jobs import ENDINGS, JobState
from tests.unit.runtime.fakes import KEY, Counting, Ears, MemoryLog, line_of, wake


class _Moving:
    """Says words, and lets the saga move on before it does, so many times."""

    def __init__(self, log: MemoryLog, moves: int) -> None:
        self._worker = Recorded(saga=Counting(), log=log, say=Ears().say)
        self._moves = moves
        self.ears = Ears()

    async def say(self, orders: Sequence[Outgoing]) -> None:
        """Move, then speak."""
        if self._moves:
            self._moves -= 1
            await self._worker.receive(wake(f"evt_later_{self._moves}"))
        await self.ears.say(orders)


async def _walked(*event_ids: str) -> MemoryLog:
    log = MemoryLog()
    worker = Recorded(saga=Counting(), log=log, say=Ears().say)
    for event_id in event_ids:
        await worker.receive(wake(event_id))
    return log


async def test_the_newest_words_are_said() -> None:
    """Those before were said before the newest step was stored."""
    log, ears = await _walked("evt_1", "evt_2"), Ears()

    await say_again(KEY, log=log, say=ears.say)

    assert ears.heard == [line_of("evt_2")]


async def test_a_saga_that_moves_on_meanwhile_has_the_last_word() -> None:
    """An old timer said behind the new one would replace it; the job would time out too early."""
    log = await _walked("evt_1")
    moving = _Moving(log, 2)

    await say_again(KEY, log=log, say=moving.say)

    assert moving.ears.heard == [line_of(each) for each in ("evt_1", "evt_later_1", "evt_later_0")]


async def test_a_saga_that_never_stands_still_is_left_to_itself() -> None:
    """It speaks well enough, and the sweep has others to look after."""
    log = await _walked("evt_1")
    moving = _Moving(log, 1000)

    await say_again(KEY, log=log, say=moving.say)

    assert len(moving.ears.heard) == CONFLICT_TRIES


async def test_a_saga_that_is_gone_says_nothing() -> None:
    """Its record was too old to be kept."""
    ears = Ears()

    await say_again("job_gone", log=MemoryLog(), say=ears.say)

    assert ears.heard == []


async def test_asking_again_changes_no_record() -> None:
    """A sweep is not a step."""
    log = await _walked("evt_1")

    await say_again(KEY, log=log, say=Ears().say)

    [(_, body)] = log.records[KEY]
    assert msgspec.json.decode(body, type=Record).step == 1


def test_a_job_is_over_when_its_state_is_an_ending() -> None:
    """A job that waits for its approval is not."""
    over = {state for state in JobState if job_is_over(b'{"state":"%s"}' % state.encode())}

    assert over == ENDINGS


def test_tasks_are_over_when_every_one_is_closed() -> None:
    """One that runs may have lost its order to the agents."""
    closed, running = b'{"phase":"closed"}', b'{"attempt":1}'

    assert tasks_are_over(b'{"tasks":{"a":%s,"b":%s}}' % (closed, closed))
    assert tasks_are_over(b'{"cancelled":true}')
    assert not tasks_are_over(b'{"tasks":{"a":%s,"b":%s}}' % (closed, running))
