"""Tasks that stay and do one piece of work after the other."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from actors.runtime.slots import Slots


async def test_work_that_comes_one_by_one_needs_one_task() -> None:
    """Starting a task for every message is what this is there to avoid."""
    done: list[int] = []

    async def work(piece: int) -> None:
        done.append(piece)

    async with anyio.create_task_group() as tasks:
        slots = Slots(tasks, work, limit=4)
        for piece in range(10):
            slots.take(piece)
            await anyio.wait_all_tasks_blocked()
        assert slots._started == 1
        slots.close()

    assert done == list(range(10))


async def test_work_begins_in_the_order_it_came() -> None:
    """Messages of one job wait for each other in the order in which they begin."""
    begun: list[int] = []

    async def work(piece: int) -> None:
        begun.append(piece)
        for _ in range(piece % 3):
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        slots = Slots(tasks, work, limit=4)
        for first in range(0, 60, 5):
            for piece in range(first, first + 5):
                slots.take(piece)
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()
        slots.close()

    assert begun == list(range(60))


async def test_no_more_is_done_at_once_than_there_are_slots() -> None:
    """A module that decodes video in memory says how many it can take."""
    running = most = 0
    go = anyio.Event()

    async def work(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    async with anyio.create_task_group() as tasks:
        slots = Slots(tasks, work, limit=3)
        for piece in range(8):
            slots.take(piece)
        await anyio.wait_all_tasks_blocked()
        assert running == 3
        go.set()
        await anyio.wait_all_tasks_blocked()
        slots.close()

    assert most == 3


async def test_what_waits_is_still_done_after_closing() -> None:
    """A drain finishes what was taken."""
    done: list[int] = []
    go = anyio.Event()

    async def work(piece: int) -> None:
        await go.wait()
        done.append(piece)

    async with anyio.create_task_group() as tasks:
        slots = Slots(tasks, work, limit=2)
        for piece in range(5):
            slots.take(piece)
        await anyio.wait_all_tasks_blocked()
        slots.close()
        go.set()

    assert sorted(done) == list(range(5))


async def test_a_failure_ends_the_group() -> None:
    """Whoever supervises the worker must hear of it."""

    async def work(_: int) -> None:
        raise LookupError

    with pytest.raises(ExceptionGroup):
        async with anyio.create_task_group() as tasks:
            Slots(tasks, work, limit=2).take(1)
