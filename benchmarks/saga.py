"""Durable saga steps: 32 sagas at once, each step kept and two messages of it stored."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from msgspec import Struct

from actors.runtime import provision
from actors.runtime.bus import connected
from benchmarks import sample, steps
from benchmarks.results import Outcome, Seen, ratios, row
from benchmarks.running import (
    ROUNDS,
    SLOW_ROUNDS,
    WorkloadError,
    answer_of,
    broker,
    database,
    spread,
)
from subjects.topology import EVT, SAGA, STREAMS, Topology

OURS: Final = "saga_records"
OUTBOX: Final = "saga_outbox"
DBOS: Final = "saga_dbos"
COUNT: Final = {OURS: 100, OUTBOX: 30, DBOS: 10}
"""Steps of each saga: about a second for each candidate."""


class Run(Struct, frozen=True):
    """One run of one candidate."""

    rate: float
    cpu_us: float


async def run() -> Outcome:
    """Measure every candidate in turn, several times; the slowest less often."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for number in range(ROUNDS):
        runs[OURS].append(await measure(OURS))
        with database() as postgres:
            runs[OUTBOX].append(await measure(OUTBOX, postgres=postgres))
            if number < SLOW_ROUNDS:
                runs[DBOS].append(await measure(DBOS, postgres=postgres))
    rate = {name: [each.rate for each in found] for name, found in runs.items()}
    rows = [
        row("saga.outbox", ratios(rate[OURS], rate[OUTBOX]), peer=rate[OUTBOX]),
        row("saga.dbos", ratios(rate[OURS][:SLOW_ROUNDS], rate[DBOS]), peer=rate[DBOS]),
    ]
    seen = [
        Seen(
            what=name,
            wall=spread(rate[name], "steps/s"),
            cpu=spread([each.cpu_us for each in runs[name]], "us/step"),
            remark=f"{steps.SAGAS} sagas x {COUNT[name]} steps",
        )
        for name in (OURS, OUTBOX, DBOS)
    ]
    return Outcome(rows=rows, seen=seen)


async def measure(name: str, **arguments: object) -> Run:
    """Run one candidate, and count what it said."""
    total = COUNT[name] * steps.SAGAS
    with broker() as server:
        async with connected(server.url, name="bench") as bus:
            streams = tuple(each for each in STREAMS if each.name in (EVT, SAGA))
            await provision.apply(bus, Topology(streams=streams, consumers=(), buckets=()))
            found = await answer_of(name, url=server.url, count=COUNT[name], **arguments)
            stored = (await bus.api(f"STREAM.INFO.{EVT}"))["state"]["messages"]
    if stored != total * steps.SAID:
        raise WorkloadError(name, f"stored {stored} of {total * steps.SAID} messages")
    return Run(total / found["wall_s"], found["cpu_s"] / total * 1e6)


assert len(sample.ENCODER.encode(steps.moved(None, steps.heard(1, 1)))) in range(900, 1200)
