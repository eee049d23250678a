"""The hop with nothing but nats-py: fetch a batch, answer it at once, fetch the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import nats
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from benchmarks import sample
from benchmarks.workloads.common import Job, Meter, run_hops
from subjects.topology import EVT

BATCH = sample.IN_FLIGHT


async def serve(job: Job, meter: Meter, ready: Callable[[], None]) -> None:
    """Run a loop for each stage."""
    client = await nats.connect(job.url, error_cb=_quiet, max_reconnect_attempts=-1)
    stream = client.jetstream()
    loops = [asyncio.create_task(loop(stream, stage, meter)) for stage in range(1, job.stages + 1)]
    await asyncio.sleep(0.2)
    ready()
    await asyncio.gather(*loops)


async def loop(stream: JetStreamContext, stage: int, meter: Meter) -> None:
    """Fetch and answer for ever."""
    pulled = await stream.pull_subscribe_bind(durable=sample.durable_of(stage), stream=EVT)
    while True:
        try:
            messages = await pulled.fetch(BATCH, timeout=5)
        except (NatsError, TimeoutError):
            await asyncio.sleep(0)
            continue
        await asyncio.gather(
            *(answer(stream, each, stage, meter) for each in messages), return_exceptions=True
        )


async def answer(stream: JetStreamContext, message: Msg, stage: int, meter: Meter) -> None:
    """Decode, work, publish under the id, acknowledge."""
    meter.hit()
    heard = sample.DECODER.decode(message.data)
    if sample.is_slow(heard):
        await asyncio.sleep(sample.SLOW_S)
    said = sample.answer(heard, stage)
    await stream.publish(
        sample.subject_of(said),
        sample.ENCODER.encode(said),
        headers={"Nats-Msg-Id": said.event_id},
    )
    await message.ack()


async def _quiet(_: Exception) -> None:
    """Keep nats-py from printing."""


if __name__ == "__main__":
    run_hops(serve)
