"""Messages of one job go one after the other, in the order they came; jobs do not wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from msgspec import structs

from actors.runtime import ordering
from actors.runtime.contract import TryLater
from actors.runtime.ordering import InTurn, in_turn
from schemas.base import JobId, Module
from schemas.commands import Wake
from subjects.topology import HEARS, KEYED, OBEYS
from tests.unit.runtime.fakes import wake

SOON_S = 10.0


class _Actor:
    """Takes a message and keeps it until it is let go; the first may fail."""

    def __init__(self, *, failing: str = "") -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.put_off: list[str] = []
        self._failing = failing
        self._gates: dict[str, anyio.Event] = {}
        self.turns = InTurn(self.receive)

    def gate(self, event_id: str) -> anyio.Event:
        """Return what a message waits for."""
        return self._gates.setdefault(event_id, anyio.Event())

    async def receive(self, heard: Wake) -> Sequence[Any]:
        """Begin, wait, end."""
        self.begun.append(heard.event_id)
        await self.gate(heard.event_id).wait()
        if heard.event_id == self._failing:
            raise ValueError(heard.event_id)
        self.ended.append(heard.event_id)
        return []

    async def deliver(self, event_id: str, job: str = "job_1") -> None:
        """Deliver as the runtime does; what is put off or fails is the runtime's business."""
        try:
            await self.turns.receive(about(event_id, job))
        except TryLater:
            self.put_off.append(event_id)
        except ValueError:
            self.ended.append(f"{event_id} failed")

    @asynccontextmanager
    async def hearing(self, *deliveries: tuple[str, str]) -> AsyncIterator[None]:
        """Deliver in this order, all at once, and let everything end at the end of the block."""
        with anyio.fail_after(SOON_S):
            async with anyio.create_task_group() as tasks:
                for event_id, job in deliveries:
                    tasks.start_soon(partial(self.deliver, event_id, job))
                await anyio.wait_all_tasks_blocked()
                yield
                for event_id, _ in deliveries:
                    self.gate(event_id).set()


def about(event_id: str, job: str = "job_1") -> Wake:
    """Return a message about a job."""
    return structs.replace(wake(event_id), correlation_id=JobId(job))


ONE_JOB = (("evt_1", "job_1"), ("evt_2", "job_1"), ("evt_3", "job_1"))


async def test_messages_of_one_job_go_one_after_the_other() -> None:
    """Two transfers of one job at once would fight for the same row."""
    actor = _Actor()

    async with actor.hearing(*ONE_JOB):
        assert actor.begun == ["evt_1"]
        actor.gate("evt_1").set()
        await anyio.wait_all_tasks_blocked()
        assert actor.begun == ["evt_1", "evt_2"]

    assert actor.ended == ["evt_1", "evt_2", "evt_3"]


async def test_without_turns_they_would_overtake_each_other() -> None:
    """So the test above can fail: the same actor, heard without turns."""
    actor = _Actor()
    actor.turns = actor  # type: ignore[assignment]

    async with actor.hearing(*ONE_JOB):
        assert actor.begun == ["evt_1", "evt_2", "evt_3"]


async def test_the_order_is_that_of_delivery_whoever_is_quickest() -> None:
    """A late comer must not slip in while one turn is passed on to the next."""
    actor = _Actor()
    deliveries = [(f"evt_{n}", "job_1") for n in range(10)]

    async with actor.hearing(*deliveries), anyio.create_task_group() as late:
        for event_id, _ in reversed(deliveries):
            actor.gate(event_id).set()
        for event_id in ("evt_late", "evt_later"):
            actor.gate(event_id).set()
            late.start_soon(partial(actor.deliver, event_id))
            await checkpoint()

    assert actor.ended == [*(event_id for event_id, _ in deliveries), "evt_late", "evt_later"]


async def test_another_job_does_not_wait() -> None:
    """One job that is stuck must not be everybody's."""
    actor = _Actor()

    async with actor.hearing(("evt_1", "job_1"), ("evt_2", "job_1"), ("evt_3", "job_2")):
        assert actor.begun == ["evt_1", "evt_3"]
        actor.gate("evt_3").set()
        await anyio.wait_all_tasks_blocked()
        assert actor.ended == ["evt_3"]


async def test_a_message_that_fails_lets_the_next_one_go() -> None:
    """It is delivered again, behind the others; they must not wait for it."""
    actor = _Actor(failing="evt_1")

    async with actor.hearing(*ONE_JOB):
        pass

    assert actor.ended == ["evt_1 failed", "evt_2", "evt_3"]


async def test_a_message_that_is_cancelled_lets_the_next_one_go() -> None:
    """On a stop, what is under way is cut off after a while; a turn must not be lost with it."""
    actor = _Actor()

    async with anyio.create_task_group() as cut_off:
        cut_off.start_soon(actor.deliver, "evt_1")
        cut_off.start_soon(actor.deliver, "evt_2")
        await anyio.wait_all_tasks_blocked()
        cut_off.cancel_scope.cancel()
    actor.gate("evt_3").set()
    await actor.deliver("evt_3")

    assert actor.begun == ["evt_1", "evt_3"]
    assert actor.ended == ["evt_3"]


async def test_behind_a_message_that_does_not_end_nobody_waits_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its slots are needed; put off, the message may be heard by another process."""
    monkeypatch.setattr(ordering, "TURN_S", 0.01)
    actor = _Actor()

    with anyio.fail_after(SOON_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(actor.deliver, "evt_1")
            await anyio.wait_all_tasks_blocked()
            await actor.deliver("evt_2")
            assert actor.put_off == ["evt_2"]
            actor.gate("evt_1").set()

    assert actor.ended == ["evt_1"]


async def test_so_many_of_one_job_wait_and_no_more() -> None:
    """A worker has few slots, and a flood about one job must leave some to the others."""
    actor = _Actor()
    flood = [(f"evt_{n}", "job_1") for n in range(ordering.WAITING + 3)]

    async with actor.hearing(*flood, ("evt_other", "job_2")):
        assert actor.put_off == [f"evt_{ordering.WAITING + n}" for n in (1, 2)]
        assert actor.begun == ["evt_0", "evt_other"]

    assert len(actor.ended) == ordering.WAITING + 2


async def test_a_job_that_nobody_speaks_of_any_more_is_forgotten() -> None:
    """A process that runs for months hears of millions."""
    actor = _Actor(failing="evt_1")
    async with actor.hearing(*ONE_JOB, ("evt_4", "job_2")):
        assert len(actor.turns._lanes) == 2

    assert actor.turns._lanes == {}


@pytest.mark.parametrize("module", sorted({*HEARS, *OBEYS}))
def test_a_module_takes_turns_where_it_is_declared(module: Module) -> None:
    """The others would only lose their parallel work."""
    actor = _Actor()

    receive = in_turn(module, actor.receive)

    assert (receive != actor.receive) == (module in KEYED)


def test_every_module_that_takes_turns_hears_something() -> None:
    """A name that fits nothing declares nothing."""
    assert {*HEARS, *OBEYS} >= KEYED
