"""Events said at an even pace, and when what was said because of them arrived."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import anyio

from actors.runtime.bus import Bus
from actors.runtime.transport import Received
from benchmarks import sample
from benchmarks.running import WorkloadError
from schemas.events import VideoIngested

WITHIN_S: Final = 20.0


class Arrivals:
    """When each result came, by the name of the job that the event was about."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}
        self._more = anyio.Event()

    async def take(self, message: Received) -> None:
        """Note one."""
        self.at.setdefault(message.subject.rpartition(".")[2], time.perf_counter())
        more, self._more = self._more, anyio.Event()
        more.set()

    async def until(self, count: int) -> None:
        """Return when there are so many.

        Raises:
            WorkloadError: they did not come.
        """
        with anyio.move_on_after(WITHIN_S):
            while len(self.at) < count:
                await self._more.wait()
            return
        raise WorkloadError("arrivals", f"{len(self.at)} of {count} results came")


@asynccontextmanager
async def arriving(bus: Bus, stages: int) -> AsyncIterator[Arrivals]:
    """Listen to what the last stage says."""
    arrivals = Arrivals()
    async with bus.subscribed(sample.subject_heard(stages + 1), arrivals.take):
        await bus.barrier()
        yield arrivals


async def say_evenly(bus: Bus, events: list[VideoIngested], every_s: float) -> dict[str, float]:
    """Say one event after the other; return when each was said, by its job."""
    began = time.perf_counter()
    at: dict[str, float] = {}
    for number, event in enumerate(events):
        await anyio.sleep(max(0.0, began + number * every_s - time.perf_counter()))
        at[event.correlation_id] = time.perf_counter()
        await bus.say([event])
    return at


def delays(said: dict[str, float], arrivals: Arrivals) -> list[float]:
    """Return how long each took, in milliseconds."""
    return [1000 * (arrivals.at[job] - at) for job, at in said.items()]
