"""Saga steps with DBOS: a workflow for each saga, a step of it for each step.

The workflow keeps the state, each step's result is what the step leads to, and the messages are
stored from within the step under ids that a repeated step says again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import nats
from dbos import DBOS
from nats.js import JetStreamContext

from benchmarks import sample, steps
from benchmarks.workloads.common import run, say


async def measure(arguments: dict[str, Any]) -> None:
    """Take ``count`` steps with each saga, all sagas at once."""
    count = arguments["count"]
    logging.disable(logging.CRITICAL)
    DBOS(
        config={
            "name": "sagas",
            "system_database_url": arguments["postgres"],
            "log_level": "CRITICAL",
        }
    )
    client = await nats.connect(arguments["url"])
    saga = _workflow(client.jetstream())
    DBOS.launch()
    wall, cpu = time.perf_counter(), time.process_time()
    handles = [await DBOS.start_workflow_async(saga, each, count) for each in range(steps.SAGAS)]
    await asyncio.gather(*(each.get_result() for each in handles))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    DBOS.destroy()
    await client.close()
    say({"wall_s": wall, "cpu_s": cpu})


def _workflow(stream: JetStreamContext) -> Any:
    @DBOS.step()
    async def step(state: str, saga: int, number: int) -> str:
        event = steps.heard(saga, number)
        course = steps.moved(steps.DECODER.decode(state) if state else None, event)
        await asyncio.gather(
            *(
                stream.publish(subject, body, headers={"Nats-Msg-Id": message_id})
                for message_id, subject, body in steps.words(event)
            )
        )
        return sample.ENCODER.encode(course).decode()

    @DBOS.workflow()
    async def saga(saga: int, count: int) -> int:
        state = ""
        for number in range(count):
            state = await step(state, saga, number)
        return count

    return saga


if __name__ == "__main__":
    run(measure)
