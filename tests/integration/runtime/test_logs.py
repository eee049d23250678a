"""Log records reach the broker, the last ones of a process too."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import anyio
import msgspec
import pytest

from actors.runtime import host
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import GiveUp
from actors.runtime.host import GaveUpError, Hosted, run_hosted
from actors.runtime.worker import Worker
from schemas.base import Module
from schemas.events import VideoIngested
from schemas.logs import Critical, Error, LogRecord, Observed
from subjects.build import facts_of
from subjects.topology import DLQ, EVT, LOG, Topology
from tests.builders import JOB, video_ingested
from tests.integration.runtime.world import (
    SOON_S,
    Seen,
    apply,
    consumer,
    declared,
    settled,
    stored,
)

HEARD = consumer(Module.CONTENT_ANALYSIS, filters=(facts_of(VideoIngested),))
TOPOLOGY: Topology = declared(HEARD, streams=[EVT, DLQ, LOG])


async def _hosted(bus: Bus, receive: Any, stopping: anyio.Event) -> None:
    await run_hosted(
        bus=bus,
        hosted=[Hosted(module=Module.CONTENT_ANALYSIS, receive=receive)],
        declared=TOPOLOGY,
        dice=random.Random(1),
        stopping=stopping,
    )


async def _records(bus: Bus) -> list[tuple[str, LogRecord]]:
    """Return every record, once there is one: a record is sent, nobody waits until it is stored."""
    with anyio.fail_after(SOON_S):
        while not (found := await stored(bus, LOG)):
            pass
    return [(each.subject, msgspec.json.decode(each.data, type=LogRecord)) for each in found]


async def test_a_dead_letter_is_a_record_with_its_job_and_its_page(
    bus: Bus, broker_url: str
) -> None:
    """An operator reads what happened, what it costs and what to do in one place."""
    await apply(bus, HEARD, streams=[EVT, DLQ, LOG])
    said: Seen[str] = Seen()

    async def refuse(_: Any) -> Sequence[Any]:
        raise GiveUp("never")

    async def look(message: Any) -> None:
        said.add(message.subject)

    stopping = anyio.Event()
    async with connected(broker_url, name="actors") as own, bus.subscribed("log.>", look):
        await bus.barrier()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_hosted, own, refuse, stopping)
            await bus.say([video_ingested()])
            await said.until(1)
            stopping.set()
    await settled(bus, HEARD)

    [(subject, record)] = await _records(bus)
    assert subject == "log.operational.content_analysis.ERROR"
    assert isinstance(record, Error)
    assert (record.event_type, record.correlation_id) == (Observed.DEAD_LETTER, JOB)
    assert record.economic_impact.affected_jobs == 1
    assert record.operator_action.suggested_runbook_url == "/runbooks/dead-letters"


async def test_the_record_of_a_process_that_gives_up_is_stored(
    bus: Bus, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the most important one, and the process that says it is about to end."""
    await apply(bus, HEARD, streams=[EVT, DLQ, LOG])
    monkeypatch.setattr(host, "RESTARTS", 1)

    async def fails(_: Worker) -> None:
        raise ValueError("odd")

    async def nothing(_: Any) -> Sequence[Any]:
        return []

    monkeypatch.setattr(Worker, "run", fails)
    async with connected(broker_url, name="actors") as own:
        with pytest.raises(GaveUpError):
            await _hosted(own, nothing, anyio.Event())

    [(subject, record)] = await _records(bus)
    assert subject == "log.operational.content_analysis.CRITICAL"
    assert isinstance(record, Critical)
    assert record.event_type == Observed.PART_GAVE_UP
