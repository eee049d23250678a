"""Saga steps as the platform takes them: one record for state and words, then the words."""

from __future__ import annotations

import time
from typing import Any

import anyio

from actors.runtime.bus import connected
from actors.runtime.contract import Step
from actors.runtime.record import Recorded, StreamLog
from benchmarks import steps
from benchmarks.steps import Course
from benchmarks.workloads.common import run, say
from schemas.events import VideoIngested


class Counting:
    """A saga that takes every step."""

    state_type = Course

    def key(self, heard: VideoIngested) -> str:
        """Return which saga it is."""
        return heard.correlation_id

    async def step(self, state: Course | None, heard: VideoIngested) -> Step[Course]:
        """Move on."""
        return Step(steps.moved(state, heard), steps.said(heard))


async def measure(arguments: dict[str, Any]) -> None:
    """Take ``count`` steps with each saga, all sagas at once."""
    count = arguments["count"]
    async with connected(arguments["url"], name="sagas") as bus:
        recorded = Recorded(saga=Counting(), log=StreamLog(bus=bus), say=bus.say)

        async def one(saga: int) -> None:
            for number in range(count):
                await recorded.receive(steps.heard(saga, number))

        wall, cpu = time.perf_counter(), time.process_time()
        async with anyio.create_task_group() as stepping:
            for saga in range(steps.SAGAS):
                stepping.start_soon(one, saga)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    say({"wall_s": wall, "cpu_s": cpu})


if __name__ == "__main__":
    run(measure)
