"""Two real sagas lead a job from the order to its end, on the broker in memory.

Everything goes wrong that can between a broker and its clients, a few hundred times in all, and
processes die. What is stored in the end is the same.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import pytest

from actors.runtime.memory.streams import MemoryStream
from schemas.base import Module
from schemas.jobs import JobState
from tests.contract.runtime.house import House, facts, problems, running

ONCE = [
    *("JobStarted", "TokensHeld", "VideoIngested", "ContentAnalyzed", "PromptsGenerated"),
    *("TestBatchDispatched", "BestResultSelected", "ApprovalRequested", "AdminApproved"),
    *("EffectPublished", "TokensCharged", "JobEnded"),
]
TWICE = ["AttemptFinished", "TaskSucceeded", "QualityEvaluated"]
EXPECTED = Counter([*ONCE, *TWICE, *TWICE])
"""Two providers are tried."""
BAD_WEATHER = {
    "lost_publish_acks": 0.05,
    "lost_answers": 0.1,
    "lost_deliveries": 0.03,
    "doubled_deliveries": 0.3,
    "delayed_deliveries": 0.2,
}
SEEDS = range(10)
RESTARTS = 20


async def test_a_job_goes_from_the_order_to_its_end_in_no_time() -> None:
    """On a good day nothing waits for a timer: every message is heard as soon as it is said."""
    house = House(seed=1)
    began = house.clock.now()
    async with running(house) as bus:
        await house.order(bus)
        await house.finish()

        assert await facts(bus) == EXPECTED
        assert await problems(bus) == []
    assert [each.payload.state for each in house.ended.values()] == [JobState.COMPLETE]
    assert _end_of(house) == began


async def test_duplicates_and_a_lost_acknowledgement_change_nothing() -> None:
    """Every message twice, and one that is stored without anybody being told."""
    house = House(seed=1)
    async with running(house) as bus:
        await house.order(bus)
        house.broker.faults.odds = {"doubled_deliveries": 1.0}
        house.broker.faults.lost_publish_acks = 1
        await house.finish()

        assert await facts(bus) == EXPECTED
        assert await problems(bus) == []
    assert house.broker.faults.lost_publish_acks == 0


async def test_no_weather_changes_what_is_stored() -> None:
    """Lost, doubled, late, out of order, and processes that die between two words."""
    happened: Counter[str] = Counter()
    for seed in SEEDS:
        house = House(seed=seed, deaths=0.05)
        async with running(house) as bus:
            await house.order(bus)
            house.broker.faults.odds = BAD_WEATHER
            await house.finish()

            assert (seed, await facts(bus)) == (seed, EXPECTED)
            assert (seed, await problems(bus)) == (seed, [])
        happened += house.broker.faults.happened + Counter(deaths=house.died)

    assert min(happened[name] for name in (*BAD_WEATHER, "deaths")) > 5


@pytest.mark.parametrize("odds", [{}, BAD_WEATHER], ids=["good weather", "bad weather"])
async def test_two_processes_of_each_saga_lead_one_job(odds: dict[str, float]) -> None:
    """What one of them does not remember is not to be dropped: the other may have led on."""
    for seed in SEEDS:
        house = House(seed=seed, deaths=0.05 if odds else 0.0, processes=2)
        async with running(house) as bus:
            await house.order(bus)
            house.broker.faults.odds = odds
            await house.finish()

            assert (seed, await facts(bus)) == (seed, EXPECTED)
            assert (seed, await problems(bus)) == (seed, [])


async def test_without_duplicates_known_the_same_weather_is_seen() -> None:
    """A check that nothing can fail proves nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryStream, "_known", lambda *_: None)
        house = House(seed=0, deaths=0.05)
        async with running(house) as bus:
            await house.order(bus)
            house.broker.faults.odds = BAD_WEATHER
            await house.finish()

            assert any("stored" in each for each in await problems(bus))


async def test_a_job_that_nobody_renders_times_out() -> None:
    """Minutes of waiting, and money given back, in a moment of the machine's time."""
    house = House(seed=1, silent=[Module.GPU_AGENT])
    began = house.clock.now()
    async with running(house) as bus:
        await house.order(bus)
        await house.finish()
        found = await facts(bus)

    assert [each.payload.state for each in house.ended.values()] == [JobState.EXECUTION_FAILED]
    assert _end_of(house) - began >= timedelta(minutes=1)
    assert (found["TaskFailed"], found["TokensReleased"], found["TokensCharged"]) == (2, 1, 0)


async def test_a_broker_that_is_started_again_and_again_loses_nothing() -> None:
    """Every connection is cut, every pull forgotten, in the middle of it."""
    house = House(seed=3)
    async with running(house) as bus:
        house.broker.faults.odds = {"delayed_deliveries": 0.5}
        await house.order(bus)
        for _ in range(RESTARTS):
            await house.clock.advance(0.5)
            house.broker.restart()
            await bus.reconnect()
        assert not house.ended
        await house.finish()

        assert await facts(bus) == EXPECTED
        assert await problems(bus) == []


def _end_of(house: House) -> datetime:
    [ended] = house.ended.values()
    return ended.timestamp
