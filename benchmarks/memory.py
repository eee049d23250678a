"""How much memory ten actors in one process take, after work, compared with one.

The work comes at an even pace. In a burst every actor opens all its slots at once, which is shown
below and is no goal: how much that takes is chosen with the limit of slots.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from actors.runtime import provision
from actors.runtime.bus import connected
from benchmarks import sample
from benchmarks.arrivals import arriving, say_evenly
from benchmarks.results import Outcome, Seen, ratios, row
from benchmarks.running import ROUNDS, broker, program, spread

EVENTS: Final = 100
EVERY_S: Final = 0.02
BURST: Final = 500
ONE: Final = 1
TEN: Final = 10


async def run() -> Outcome:
    """Measure both in turn, several times."""
    even: dict[int, list[float]] = defaultdict(list)
    burst: dict[int, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for actors in (ONE, TEN):
            after_even, after_burst = await measure(actors)
            even[actors].append(after_even)
            burst[actors].append(after_burst)
    seen = [
        Seen(
            what=f"{actors} actors, 50 events/s",
            wall=spread(even[actors], "MiB", digits=1),
            remark=f"after {BURST} events at once " + spread(burst[actors], "MiB", digits=1),
        )
        for actors in (ONE, TEN)
    ]
    goal = row("memory.ten_actors", ratios(even[TEN], even[ONE]), peer=even[ONE])
    return Outcome(rows=[goal], seen=seen)


async def measure(stages: int) -> tuple[float, float]:
    """Return the memory of a process with so many actors in MiB, after even work and a burst."""
    with broker() as server:
        async with connected(server.url, name="bench") as bus:
            await provision.apply(bus, sample.topology(stages))
            async with program("ours", url=server.url, stages=stages) as actors:
                await actors.says()
                async with arriving(bus, stages) as arrivals:
                    events = [sample.sample(number) for number in range(EVENTS + BURST)]
                    await say_evenly(bus, events[:EVENTS], EVERY_S)
                    await arrivals.until(EVENTS)
                    await actors.tell()
                    even = await actors.says()
                    await bus.say(events[EVENTS:])
                    await arrivals.until(EVENTS + BURST)
                    await actors.tell()
                    burst = await actors.says()
    return float(even["rss_kib"]) / 1024, float(burst["rss_kib"]) / 1024
