"""The broker is killed under load and is back two seconds later: how long until work goes on."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Final

import anyio
from anyio.to_thread import run_sync

from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from actors.runtime.errors import BusError
from benchmarks import sample
from benchmarks.arrivals import Arrivals, arriving
from benchmarks.results import Outcome, Seen, row
from benchmarks.running import ROUNDS, SLOW_ROUNDS, broker, program, spread
from subjects.topology import EVT

ACK_WAIT_S: Final = 2
"""Short, so that what was under way when the broker died comes again soon."""
BEFORE_S: Final = 0.7
DOWN_S: Final = 2.0
AFTER_S: Final = 0.7
EVERY_S: Final = 0.01
SETTLED_S: Final = 15.0
OURS: Final = "ours"
PLAIN: Final = "plain"
FASTSTREAM: Final = "faststream_hop"


async def run() -> Outcome:
    """Measure every candidate in turn, several times."""
    first: dict[str, list[float]] = defaultdict(list)
    lost: dict[str, list[float]] = defaultdict(list)
    for number in range(ROUNDS):
        for name in (OURS, PLAIN, FASTSTREAM)[: 3 if number < SLOW_ROUNDS else 2]:
            until_first, missing = await measure(name)
            first[name].append(until_first)
            lost[name].append(missing)
    rows = [
        row("recovery.first", first[OURS], peer=first[PLAIN]),
        row("recovery.lost", lost[OURS], worst=True),
    ]
    seen = [
        Seen(
            what=name,
            wall=spread(first[name], "s", digits=2),
            remark=f"lost {max(lost[name]):.0f}",
        )
        for name in (OURS, PLAIN, FASTSTREAM)
    ]
    return Outcome(rows=rows, seen=seen)


async def measure(name: str) -> tuple[float, float]:
    """Return the seconds until the first result, and how many events have none in the end."""
    with broker() as server:
        async with connected(server.url, name="bench") as bus:
            await provision.apply(bus, sample.topology(1, ack_wait_s=ACK_WAIT_S))
        async with program(name, url=server.url) as candidate:
            await candidate.says()
            async with connected(server.url, name="bench") as bus:
                stored = await _say_for(bus, 0, BEFORE_S)
                await run_sync(server.kill)
            await anyio.sleep(DOWN_S)
            await run_sync(server.start)
            back = time.perf_counter()
            async with connected(server.url, name="bench") as bus:
                async with arriving(bus, 1) as arrivals:
                    stored += await _say_for(bus, stored, AFTER_S, arrivals)
                    await arrivals.until(1)
                until_first = min(arrivals.at.values()) - back
                return until_first, await _missing(bus, stored)


async def _say_for(bus: Bus, start: int, seconds: float, until: Arrivals | None = None) -> int:
    """Say events at an even pace, until something arrives at least; return how many are stored."""
    said = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or (until is not None and not until.at):
        if time.perf_counter() - began > SETTLED_S:
            break
        try:
            await bus.say([sample.sample(start + said)])
        except BusError:
            continue
        said += 1
        await anyio.sleep(EVERY_S)
    return said


async def _missing(bus: Bus, stored: int) -> float:
    """Return how many results never come."""
    missing = stored
    with anyio.move_on_after(SETTLED_S):
        while missing:
            missing = stored - await _results(bus)
            await anyio.sleep(0.1)
    return float(max(missing, 0))


async def _results(bus: Bus) -> int:
    info = await bus.api(f"STREAM.INFO.{EVT}", {"subjects_filter": sample.subject_heard(2)})
    return len(info["state"].get("subjects") or {})
