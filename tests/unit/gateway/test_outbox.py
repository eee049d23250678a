"""The queue of one client: what merges, what never drops, when it is full."""

from __future__ import annotations

import anyio
import pytest

from gateway.outbox import Frame, Outbox, OutboxFullError
from tests.builders import NOON


def frame(seq: int, kind: str = "state") -> Frame:
    """Return a frame."""
    return Frame(channel="job:job_1", seq=seq, ts=NOON, type=kind)


async def drained(outbox: Outbox) -> list[int]:
    """Take everything that waits."""
    return [(await outbox.take()).seq for _ in range(len(outbox))]


async def test_percentages_merge_into_the_newest_and_keep_the_order() -> None:
    """A slow client gets fewer of them, and never an older one after a newer line."""
    outbox = Outbox(8)
    outbox.put_merging(frame(1), key="a")
    outbox.put(frame(2))
    outbox.put_merging(frame(3), key="b")
    outbox.put_merging(frame(4), key="a")

    assert await drained(outbox) == [2, 3, 4]


async def test_a_state_line_pushes_a_percentage_out() -> None:
    """What may be lost is lost first."""
    outbox = Outbox(2)
    outbox.put_merging(frame(1), key="a")
    outbox.put(frame(2))
    outbox.put(frame(3))

    assert await drained(outbox) == [2, 3]


async def test_a_queue_full_of_state_lines_takes_no_more_and_loses_none() -> None:
    """A percentage is dropped silently, a state line loudly."""
    outbox = Outbox(2)
    outbox.put(frame(1))
    outbox.put(frame(2))
    outbox.put_merging(frame(3), key="a")
    with pytest.raises(OutboxFullError):
        outbox.put(frame(4))

    assert await drained(outbox) == [1, 2]


async def test_whoever_may_wait_gets_in_when_there_is_room() -> None:
    """A long history goes through a short queue."""
    outbox = Outbox(2)
    taken: list[int] = []

    async def fill() -> None:
        for seq in range(20):
            await outbox.put_when_room(frame(seq))

    async with anyio.create_task_group() as group:
        group.start_soon(fill)
        taken.extend([(await outbox.take()).seq for _ in range(20)])

    assert taken == list(range(20))
