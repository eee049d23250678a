"""Time that moves only when told to: in order, as far as asked, with everybody done in between."""

from __future__ import annotations

from datetime import timedelta

import anyio
import pytest

from actors.runtime.memory import VirtualClock
from actors.runtime.memory import clock as clock_module
from actors.runtime.memory.clock import NeverQuietError


async def test_timers_fire_in_their_order_each_at_its_own_time() -> None:
    """A deadline that comes first must be seen first, however far the time is moved."""
    clock = VirtualClock()
    began = clock.now()
    fired: list[tuple[str, timedelta]] = []
    for name, after in (("late", 3), ("early", 1), ("same", 3), ("never", 9)):
        clock.call_in(after, lambda name=name: fired.append((name, clock.now() - began)))

    await clock.advance(5)

    second = timedelta(seconds=1)
    assert fired == [("early", second), ("late", 3 * second), ("same", 3 * second)]
    assert clock.now() - began == 5 * second


async def test_a_timer_set_by_a_timer_fires_in_the_same_move() -> None:
    """A redelivery that is answered by a retry leads to the next redelivery."""
    clock = VirtualClock()
    fired: list[int] = []

    def again() -> None:
        fired.append(len(fired))
        clock.call_in(1, again)

    clock.call_in(1, again)
    await clock.advance(3.5)

    assert fired == [0, 1, 2]


async def test_a_cancelled_timer_does_not_fire() -> None:
    """What was acknowledged must not come again."""
    clock = VirtualClock()
    fired: list[str] = []
    timer = clock.call_in(1, lambda: fired.append("gone"))
    timer.cancel()

    assert not await clock.until(lambda: bool(fired), within_s=10)


async def test_whoever_was_woken_has_acted_before_the_next_timer() -> None:
    """Or a time-out would overtake the answer that came in time."""
    clock = VirtualClock()
    woken = anyio.Event()
    order: list[str] = []

    async def act() -> None:
        await woken.wait()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        order.append("acted")

    clock.call_in(1, woken.set)
    clock.call_in(1.001, lambda: order.append("timed out"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(act)
        await clock.advance(2)

    assert order == ["acted", "timed out"]


async def test_moving_until_stops_at_the_first_timer_that_is_enough() -> None:
    """And says so when none is, without going past the limit."""
    clock = VirtualClock()
    began = clock.now()
    fired: list[int] = []
    for after in (1, 2, 3):
        clock.call_in(after, lambda after=after: fired.append(after))

    assert await clock.until(lambda: 2 in fired)
    assert clock.now() - began == timedelta(seconds=2)
    assert not await clock.until(lambda: 7 in fired, within_s=0.5)
    assert fired == [1, 2]


async def test_a_call_is_driven_to_its_end() -> None:
    """With what it returns, or raises, or not at all in time."""
    clock = VirtualClock()

    async def wait(seconds: float, error: Exception | None = None) -> float:
        over = anyio.Event()
        clock.call_in(seconds, over.set)
        await over.wait()
        if error is not None:
            raise error
        return seconds

    assert await clock.during(lambda: wait(5)) == 5
    with pytest.raises(ValueError, match="no"):
        await clock.during(lambda: wait(5, ValueError("no")))
    with pytest.raises(TimeoutError, match="no answer in 4 s"):
        await clock.during(lambda: wait(5), within_s=4)


async def test_what_never_comes_to_rest_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two actors that answer each other for ever would hang the test."""
    monkeypatch.setattr(clock_module, "SETTLE_ROUNDS", 500)
    clock = VirtualClock()

    async def chatter() -> None:
        while True:
            clock.stir()
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(chatter)
        with pytest.raises(NeverQuietError, match="500 turns"):
            await clock.settle()
        tasks.cancel_scope.cancel()
