"""Eight hops one after the other in one process, at ten events per second."""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Final

from actors.runtime import provision
from actors.runtime.bus import connected
from benchmarks import sample
from benchmarks.arrivals import arriving, delays, say_evenly
from benchmarks.results import Outcome, Seen, ratios, row
from benchmarks.running import broker, program, spread

ROUNDS: Final = 7
"""More than elsewhere: single milliseconds depend on what else the machine does."""
STAGES: Final = 8
WARM: Final = 5
"""Events that come first and are not counted."""
EVENTS: Final = 40
EVERY_S: Final = 0.1
OURS: Final = "ours"
FASTSTREAM: Final = "faststream_hop"


async def run() -> Outcome:
    """Measure both in turn, several times."""
    medians: dict[str, list[float]] = defaultdict(list)
    slowest: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name in (OURS, FASTSTREAM):
            found = await measure(name)
            medians[name].append(statistics.median(found))
            slowest[name].append(max(found))
    rows = [
        row(
            "pipeline.p50",
            ratios(medians[OURS], medians[FASTSTREAM]),
            peer=medians[FASTSTREAM],
        )
    ]
    seen = [
        Seen(
            what=name,
            wall="p50 " + spread(medians[name], "ms", digits=1),
            remark="slowest " + spread(slowest[name], "ms"),
        )
        for name in (OURS, FASTSTREAM)
    ]
    return Outcome(rows=rows, seen=seen)


async def measure(name: str) -> list[float]:
    """Return how long each event took through all stages, in milliseconds."""
    with broker() as server:
        async with connected(server.url, name="bench") as bus:
            await provision.apply(bus, sample.topology(STAGES))
            async with program(name, url=server.url, stages=STAGES) as candidate:
                await candidate.says()
                async with arriving(bus, STAGES) as arrivals:
                    events = [sample.sample(number) for number in range(WARM + EVENTS)]
                    said = await say_evenly(bus, events, EVERY_S)
                    await arrivals.until(len(events))
                    return delays(said, arrivals)[WARM:]
