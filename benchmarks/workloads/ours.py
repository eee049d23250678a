"""The hop as the platform runs it: a worker for each stage, every feature on, no tracer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial

import anyio

from actors.runtime.bus import connected
from actors.runtime.worker import Worker
from benchmarks import sample
from benchmarks.workloads.common import Job, Meter, run_hops
from schemas.base import Message
from schemas.events import VideoIngested


async def serve(job: Job, meter: Meter, ready: Callable[[], None]) -> None:
    """Run the workers."""
    async with connected(job.url, name="ours") as bus, anyio.create_task_group() as working:
        for stage, consumer in enumerate(sample.topology(job.stages).consumers, start=1):
            worker = Worker(
                bus=bus,
                module=sample.MODULE,
                consumer=consumer,
                decoder=sample.DECODER,
                receive=partial(receive, stage=stage, meter=meter),
                concurrency=sample.IN_FLIGHT,
                dice=random.Random(1),
            )
            working.start_soon(worker.run)
        await anyio.sleep(0.2)
        ready()


async def receive(heard: VideoIngested, *, stage: int, meter: Meter) -> Sequence[Message]:
    """Answer one event."""
    meter.hit()
    if sample.is_slow(heard):
        await asyncio.sleep(sample.SLOW_S)
    return (sample.answer(heard, stage),)


if __name__ == "__main__":
    run_hops(serve)
