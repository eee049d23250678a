"""The hop with FastStream at its best: msgspec decodes the body itself, one pull of 64."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from fast_depends.msgspec import MsgSpecSerializer
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from nats.js.api import ConsumerConfig

from benchmarks import sample
from benchmarks.workloads.common import Job, Meter, run_hops
from schemas.events import VideoIngested
from subjects.topology import EVT

EVENTS = JStream(EVT, declare=False)


async def serve(job: Job, meter: Meter, ready: Callable[[], None]) -> None:
    """Run a subscriber for each stage."""
    broker = NatsBroker(
        job.url,
        serializer=MsgSpecSerializer(use_fastdepends_errors=False),
        logger=None,
        log_level=logging.CRITICAL,
        error_cb=_quiet,
    )
    for stage in range(1, job.stages + 1):
        _subscribe(broker, stage, meter)
    async with broker:
        await broker.start()
        await asyncio.sleep(0.2)
        ready()
        await asyncio.Event().wait()


def _subscribe(broker: NatsBroker, stage: int, meter: Meter) -> None:
    async def receive(heard: VideoIngested) -> None:
        meter.hit()
        if sample.is_slow(heard):
            await asyncio.sleep(sample.SLOW_S)
        said = sample.answer(heard, stage)
        await broker.publish(
            sample.ENCODER.encode(said),
            sample.subject_of(said),
            headers={"Nats-Msg-Id": said.event_id},
            stream=EVT,
        )

    broker.subscriber(
        sample.subject_heard(stage),
        stream=EVENTS,
        durable=sample.durable_of(stage),
        config=ConsumerConfig(ack_wait=30),
        pull_sub=PullSub(batch_size=sample.IN_FLIGHT, timeout=5),
        decoder=_decode,
        no_reply=True,
    )(receive)


async def _decode(message: NatsMessage) -> Any:
    return sample.DECODER.decode(message.body)


async def _quiet(_: Exception) -> None:
    """Keep nats-py from printing."""


if __name__ == "__main__":
    run_hops(serve)
