"""One message takes 1.5 s: how much longer the others of the same actor take because of it."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from actors.runtime import provision
from actors.runtime.bus import connected
from benchmarks import sample
from benchmarks.arrivals import arriving, delays, say_evenly
from benchmarks.results import Outcome, Seen, row
from benchmarks.running import ROUNDS, broker, program, spread

EVENTS: Final = 90
EVERY_S: Final = 0.02
SLOW_AT: Final = 10
"""Which event is the slow one; the others go on for longer than it takes."""
OURS: Final = "ours"
FASTSTREAM: Final = "faststream_hop"


async def run() -> Outcome:
    """Measure both in turn, several times."""
    added: dict[str, list[float]] = defaultdict(list)
    quiet: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name in (OURS, FASTSTREAM):
            without, with_slow = await measure(name)
            quiet[name].append(without)
            added[name].append(max(0.0, with_slow - without))
    seen = [
        Seen(
            what=name,
            wall="adds " + spread(added[name], "ms"),
            remark="slowest without " + spread(quiet[name], "ms"),
        )
        for name in (OURS, FASTSTREAM)
    ]
    return Outcome(rows=[row("fairness.delay", added[OURS], peer=added[FASTSTREAM])], seen=seen)


async def measure(name: str) -> tuple[float, float]:
    """Return the slowest of the quick ones, without and with a slow one, in milliseconds."""
    with broker() as server:
        async with connected(server.url, name="bench") as bus:
            await provision.apply(bus, sample.topology(1))
            async with program(name, url=server.url) as candidate:
                await candidate.says()
                async with arriving(bus, 1) as arrivals:
                    slowest = []
                    for start, slow in ((0, EVENTS), (EVENTS, SLOW_AT)):
                        events = [
                            sample.sample(start + number, slow=number == slow)
                            for number in range(EVENTS)
                        ]
                        said = await say_evenly(bus, events, EVERY_S)
                        await arrivals.until(start + EVENTS)
                        if slow < EVENTS:
                            said.pop(events[slow].correlation_id)
                        slowest.append(max(delays(said, arrivals)))
    return slowest[0], slowest[1]
