"""What breaks is started again; what keeps breaking ends the process."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import anyio
import msgspec
import pytest

from actors.runtime import host
from actors.runtime.errors import DriftError
from actors.runtime.host import (
    STARTING,
    GaveUpError,
    Hosted,
    cause_of,
    consumers_of,
    decoder_of,
    run_hosted,
    run_workers,
    supervised,
)
from actors.runtime.memory.broker import MemoryBroker
from actors.runtime.memory.bus import MemoryBus
from actors.runtime.memory.clock import VirtualClock
from schemas.asks import ListGallery
from schemas.base import Module
from subjects.topology import HEARS, OBEYS, WAKES, topology
from tests.contract.messages.examples import GOLDEN


class _Part:
    """Fails as often as it is told to, then returns."""

    name = "part"
    log = None

    def stop(self) -> None:
        """Do nothing more; it never does."""

    def __init__(self, failures: int, error: type[Exception] = ValueError) -> None:
        self.left = failures
        self.runs = 0
        self._error = error

    async def run(self) -> None:
        """Fail or return."""
        self.runs += 1
        if self.left:
            self.left -= 1
            raise self._error(["it broke"])


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "RESTART_WAIT_S", 0.0)


async def test_what_breaks_is_started_again() -> None:
    """One bad moment must not take a module away for good."""
    part = _Part(host.RESTARTS - 1)

    await supervised("part", part.run)

    assert part.runs == host.RESTARTS


async def test_what_keeps_breaking_ends_the_process() -> None:
    """A part that restarts for ever looks alive and does nothing."""
    part = _Part(host.RESTARTS + 5)

    with pytest.raises(GaveUpError, match="part failed 8 times") as gave_up:
        await supervised("part", part.run)

    assert part.runs == host.RESTARTS
    assert isinstance(gave_up.value.__cause__, ValueError)


async def test_failures_far_apart_do_not_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight failures in a year are no reason to stop."""
    monkeypatch.setattr(host, "QUIET_S", -1.0)
    part = _Part(host.RESTARTS * 3)

    await supervised("part", part.run)

    assert part.left == 0


async def test_a_wrong_topology_is_not_tried_again() -> None:
    """Somebody has to apply it; until then the process must not pretend to work."""
    part = _Part(1, DriftError)

    with pytest.raises(DriftError):
        await supervised("part", part.run)

    assert part.runs == 1


async def test_a_wrong_topology_is_not_tried_again_when_a_task_found_it() -> None:
    """A task group hides what it raised in a group."""

    async def run() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_Part(1, DriftError).run)

    with pytest.raises(DriftError):
        await supervised("part", run)


async def test_restarts_wait_longer_each_time_and_not_all_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What broke everywhere at once must not come back everywhere at once."""
    monkeypatch.setattr(host, "RESTART_WAIT_S", 1.0)
    waits: dict[int, list[float]] = {seed: [] for seed in range(8)}
    for seed, slept in waits.items():
        monkeypatch.setattr(anyio, "sleep", _Sleep(slept))
        part = _Part(host.RESTARTS - 1)
        await supervised("part", part.run, dice=random.Random(seed))

    for n in range(host.RESTARTS - 1):
        whole = min(host.RESTART_CAP_S, 2.0**n)
        nth = [slept[n] for slept in waits.values()]
        assert all(whole / 2 <= each <= whole for each in nth)
        assert len(set(nth)) == len(nth)


async def test_what_broke_is_told_while_it_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is not ready meanwhile."""
    failing: dict[str, str] = {}
    seen: list[dict[str, str]] = []

    async def sleep(_: float) -> None:
        seen.append(dict(failing))

    monkeypatch.setattr(anyio, "sleep", sleep)
    await supervised("part", _Part(2).run, failing=failing)

    assert seen == [{"part": "ValueError: ['it broke']"}] * 2
    assert failing == {}


async def test_what_ends_a_process_is_raised_as_itself() -> None:
    """Whoever starts it reads one line, not the tree of its tasks."""
    gives_up: Any = _Part(99)
    drifted: Any = [_Part(1, DriftError), _Part(0)]

    with pytest.raises(GaveUpError, match="part failed"):
        await run_workers([gives_up], anyio.Event())
    with pytest.raises(DriftError):
        await run_workers(drifted, anyio.Event())


def test_of_several_causes_the_one_that_ends_the_process_is_told() -> None:
    """What fell with it is only in the way."""
    inner = ExceptionGroup("tasks", [ValueError("first"), GaveUpError("part", 8)])

    assert isinstance(cause_of(ExceptionGroup("all", [KeyError(1), inner])), GaveUpError)
    assert isinstance(cause_of(ExceptionGroup("all", [KeyError(1)])), KeyError)
    assert str(cause_of(ValueError("alone"))) == "alone"


class _Sleep:
    """Takes down how long it was asked for, and does not wait."""

    def __init__(self, slept: list[float]) -> None:
        self._slept = slept

    async def __call__(self, seconds: float) -> None:
        """Wait not."""
        self._slept.append(seconds)


@pytest.mark.parametrize("module", sorted({*HEARS, *OBEYS}))
def test_a_module_decodes_what_it_is_delivered_and_nothing_else(module: Module) -> None:
    """Its consumers deliver facts, commands and timers; a stranger is poison."""
    decoder = decoder_of(module)
    known = {*HEARS.get(module, ()), *OBEYS.get(module, ())}
    names = {kind.__name__ for kind in known} | ({"Wake"} if module in WAKES else set())

    for name in names:
        heard = decoder.decode((GOLDEN / f"{name}.json").read_bytes())
        assert type(heard).__name__ == name
    with pytest.raises(msgspec.ValidationError):
        decoder.decode((GOLDEN / "TelemetryPacket.json").read_bytes())


def test_a_module_has_one_consumer_for_each_stream_it_hears() -> None:
    """Facts, commands and timers come from three streams."""
    found = consumers_of(Module.ORCHESTRATOR, topology())

    assert sorted(each.stream for each in found) == ["CMD", "EVT", "TIMER"]


class _SlowBarrier(MemoryBus):
    """A server that needs its time until it knows who listens."""

    go_on: anyio.Event

    async def barrier(self) -> None:
        """Wait until the test lets it through."""
        await self.go_on.wait()


async def test_a_process_is_not_ready_before_every_question_is_answered() -> None:
    """Whoever starts the stack orders right then, and was told that nobody answers."""
    failing = {STARTING: "starting"}
    stopping = anyio.Event()
    broker = MemoryBroker(clock=VirtualClock(), dice=random.Random(1))
    hosted = [Hosted(module=Module.GALLERY, receive=None, answerers={ListGallery: _Nobody()})]
    async with anyio.create_task_group() as tasks:
        bus = _SlowBarrier(broker=broker, name="test", tasks=tasks)
        bus.go_on = anyio.Event()
        run = partial(
            run_hosted,
            bus=bus,
            hosted=hosted,
            declared=topology(),
            dice=random.Random(1),
            stopping=stopping,
            failing=failing,
        )
        tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        before = dict(failing)
        bus.go_on.set()
        await anyio.wait_all_tasks_blocked()
        after = dict(failing)
        tasks.cancel_scope.cancel()

    assert before == {"questions to gallery": "not answered yet"}
    assert after == {}


class _Nobody:
    async def answer(self, question: Any) -> Any:
        """Never asked."""
        raise AssertionError(question)
