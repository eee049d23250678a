"""One hop: hear a typed event, work, store the answer under its id, acknowledge."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import anyio
from msgspec import Struct, to_builtins
from taskiq.kicker import AsyncKicker

from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from benchmarks import sample
from benchmarks.results import Outcome, Seen, ratios, row
from benchmarks.running import ROUNDS, WorkloadError, broker, cpu_s, program, spread
from benchmarks.workloads import taskiq_hop
from subjects.topology import EVT

SKIP: Final = 500
COUNT: Final = 3000
FILL: Final = 250
"""Events that are stored with one call."""
LOOK_S: Final = 0.05
LOOKS: Final = 400
"""How often it is looked whether everything is stored."""
OURS: Final = "ours"
PLAIN: Final = "plain"
FASTSTREAM: Final = "faststream_hop"
TASKIQ: Final = "taskiq_hop"
CANDIDATES: Final = (OURS, PLAIN, FASTSTREAM, TASKIQ)


class Run(Struct, frozen=True):
    """One run of one candidate."""

    rate: float
    cpu_us: float
    server_us: float


async def run() -> Outcome:
    """Measure every candidate in turn, several times."""
    runs: dict[str, list[Run]] = defaultdict(list)
    for _ in range(ROUNDS):
        for name in CANDIDATES:
            runs[name].append(await measure(name))
    rate = {name: [each.rate for each in runs[name]] for name in CANDIDATES}
    cpu = {name: [each.cpu_us for each in runs[name]] for name in CANDIDATES}
    rows = [
        row("hop.rate.plain", ratios(rate[OURS], rate[PLAIN]), peer=rate[PLAIN]),
        row("hop.cpu.plain", ratios(cpu[OURS], cpu[PLAIN]), peer=cpu[PLAIN]),
        row("hop.rate.faststream", ratios(rate[OURS], rate[FASTSTREAM]), peer=rate[FASTSTREAM]),
        row("hop.rate.taskiq", ratios(rate[OURS], rate[TASKIQ]), peer=rate[TASKIQ]),
    ]
    seen = [
        Seen(
            what=name,
            wall=spread(rate[name], "hops/s"),
            cpu=spread(cpu[name], "us/hop"),
            remark="server " + spread([each.server_us for each in runs[name]], "us/hop"),
        )
        for name in CANDIDATES
    ]
    return Outcome(rows=rows, seen=seen)


async def measure(name: str, **arguments: object) -> Run:
    """Run one candidate over stored events, and count what it stored."""
    with broker() as server:
        async with connected(server.url, name="bench") as bus:
            await provision.apply(bus, sample.topology(1))
            if name == TASKIQ:
                await fill_tasks(server.url)
            else:
                await fill(bus)
            before = await count(bus)
            used = cpu_s(server.pid)
            async with program(
                name, url=server.url, skip=SKIP, count=COUNT, **arguments
            ) as candidate:
                found = await candidate.says()
                used = cpu_s(server.pid) - used
                await all_stored(bus, name, before + SKIP + COUNT)
    wall, cpu = found["wall_s"], found["cpu_s"]
    return Run(COUNT / wall, cpu / COUNT * 1e6, used / (SKIP + COUNT) * 1e6)


async def fill(bus: Bus) -> None:
    """Store the events."""
    for start in range(0, SKIP + COUNT, FILL):
        await bus.say(sample.sample(number) for number in range(start, start + FILL))


async def fill_tasks(url: str) -> None:
    """Store the events as tasks."""
    tasks = taskiq_hop.broker_at(url)
    await tasks.startup()
    try:
        for start in range(0, SKIP + COUNT, FILL):
            async with anyio.create_task_group() as kicking:
                for number in range(start, start + FILL):
                    body = to_builtins(sample.sample(number))
                    kicker: AsyncKicker[..., Any] = AsyncKicker(taskiq_hop.TASK, tasks, {})
                    kicking.start_soon(kicker.kiq, body)
    finally:
        await tasks.shutdown()


async def count(bus: Bus) -> int:
    """Return how many facts are stored."""
    return int((await bus.api(f"STREAM.INFO.{EVT}"))["state"]["messages"])


async def all_stored(bus: Bus, name: str, wanted: int) -> None:
    """Return when every result is stored.

    Raises:
        WorkloadError: some never came.
    """
    for _ in range(LOOKS):
        if await count(bus) >= wanted:
            return
        await anyio.sleep(LOOK_S)
    raise WorkloadError(name, f"stored {await count(bus)} of {wanted} messages")
