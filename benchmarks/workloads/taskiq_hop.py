"""The hop with taskiq-nats at its best: pulls of 64, msgspec instead of the standard JSON."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from taskiq.abc.serializer import TaskiqSerializer
from taskiq.receiver import Receiver
from taskiq_nats import PullBasedJetStreamBroker

from benchmarks import sample
from benchmarks.workloads.common import Job, Meter, run_hops
from schemas.events import VideoIngested

TASK = "hop"
SUBJECT = "tasks"


class MsgspecSerializer(TaskiqSerializer):
    """JSON by msgspec."""

    def dumpb(self, value: Any) -> bytes:
        """Encode."""
        return msgspec.json.encode(value)

    def loadb(self, value: bytes) -> Any:
        """Decode."""
        return msgspec.json.decode(value)


def broker_at(url: str) -> PullBasedJetStreamBroker:
    """Return the broker; whoever fills the queue uses the same."""
    broker = PullBasedJetStreamBroker(
        [url],
        subject=SUBJECT,
        stream_name="TASKS",
        durable="tasks",
        pull_consume_batch=sample.IN_FLIGHT,
        pull_consume_timeout=5,
    )
    return broker.with_serializer(MsgspecSerializer())


async def serve(job: Job, meter: Meter, ready: Callable[[], None]) -> None:
    """Run the one task."""
    logging.disable(logging.CRITICAL)
    broker = broker_at(job.url)
    broker.is_worker_process = True

    async def hop(body: dict[str, Any]) -> None:
        meter.hit()
        heard = msgspec.convert(body, VideoIngested)
        said = sample.answer(heard, 1)
        await broker.js.publish(
            sample.subject_of(said),
            sample.ENCODER.encode(said),
            headers={"Nats-Msg-Id": said.event_id},
        )

    broker.register_task(hop, task_name=TASK)
    await broker.startup()
    receiver = Receiver(
        broker,
        max_async_tasks=sample.IN_FLIGHT,
        max_prefetch=sample.IN_FLIGHT,
        validate_params=False,
        run_startup=False,
    )
    ready()
    await receiver.listen(asyncio.Event())


if __name__ == "__main__":
    run_hops(serve)
