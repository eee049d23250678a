"""A process ends as it should: drained when told to, loudly when it cannot go on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from actors.runtime.bus import Bus
from actors.runtime.errors import AskError
from actors.runtime.micro import Stats
from actors.runtime.worker import DRAIN_S
from schemas.base import Module
from subjects.topology import EVT, SLOW
from tests.integration.runtime.child import HEARD
from tests.integration.runtime.world import SOON_S, apply, fact, info, settled, stored

SLOTS = SLOW[Module.CONTENT_ANALYSIS]
ROOT = Path(__file__).parents[3]
ALLOWED_S = 30.0
"""What whoever stops processes grants them before it kills."""


class Child:
    """A running process, and what it said up to now."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._output = BufferedByteReceiveStream(process.stdout)
        self.lines: list[str] = []

    async def until(self, count: int, beginning: str) -> list[str]:
        """Return what follows this beginning on each line, once there are so many."""
        with anyio.fail_after(SOON_S):
            while len(found := self._of(beginning)) < count:
                line = await self._output.receive_until(b"\n", 65_536)
                self.lines.append(line.decode())
        return found

    async def stop(self, *, within_s: float = SOON_S) -> int:
        """Tell it to stop; return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return await self.ended(within_s=within_s)

    async def ended(self, *, within_s: float = SOON_S) -> int:
        """Return its exit status, once it has ended by itself."""
        with anyio.fail_after(within_s):
            while True:
                try:
                    line = await self._output.receive_until(b"\n", 65_536)
                except anyio.IncompleteRead:
                    return await self._process.wait()
                self.lines.append(line.decode())

    def _of(self, beginning: str) -> list[str]:
        return [each.removeprefix(beginning) for each in self.lines if each.startswith(beginning)]


@asynccontextmanager
async def child(url: str, how: str) -> AsyncIterator[Child]:
    """Run a process for the length of the block."""
    command = [sys.executable, "-m", "tests.integration.runtime.child", url, how]
    async with await anyio.open_process(command, cwd=ROOT, stderr=None) as process:
        try:
            yield Child(process)
        finally:
            if process.returncode is None:
                process.kill()


async def test_a_stop_finishes_what_is_under_way_and_loses_nothing(
    bus: Bus, broker_url: str
) -> None:
    """On a deploy every message is answered once: not lost, not doubled, not delivered again."""
    await apply(bus, HEARD)
    await bus.say([fact(n) for n in range(SLOTS)])
    async with child(broker_url, "drains") as process:
        begun = await process.until(SLOTS, "begun ")
        assert len(await stored(bus, EVT, "evt.approval.>")) == 0
        assert await process.stop() == 0

    assert sorted(begun) == sorted(f"evt_{n}" for n in range(SLOTS))
    assert len(await stored(bus, EVT, "evt.approval.>")) == SLOTS
    found = await info(bus, HEARD)
    assert (found["num_ack_pending"], found["num_redelivered"], found["num_pending"]) == (0, 0, 0)


async def test_a_stop_under_load_leaves_the_rest_for_the_next(bus: Bus, broker_url: str) -> None:
    """What it had not begun is with the broker, and is begun once, by whoever comes."""
    await apply(bus, HEARD)
    async with child(broker_url, "works") as first, anyio.create_task_group() as saying:

        async def say() -> None:
            for n in range(0, 600, 10):
                await bus.say([fact(m) for m in range(n, n + 10)])

        saying.start_soon(say)
        await first.until(100, "begun ")
        assert await first.stop() == 0
    async with child(broker_url, "works") as second:
        await settled(bus, HEARD)
        assert await second.stop() == 0

    begun = [each for each in (*first.lines, *second.lines) if each.startswith("begun ")]
    assert len(set(begun)) == len(begun) == 600
    assert len(await stored(bus, EVT, "evt.approval.>")) == 600


async def test_a_stop_has_a_bound(bus: Bus, broker_url: str) -> None:
    """What does not end is left to the broker, which gives it to somebody else."""
    await apply(bus, HEARD)
    await bus.say([fact(1)])
    async with child(broker_url, "stuck") as process:
        await process.until(1, "begun ")
        assert await process.stop() == 0

    assert (await info(bus, HEARD))["num_ack_pending"] == 1


async def test_the_command_line_lists_what_runs(bus: Bus, broker_url: str, tmp_path: Path) -> None:
    """It is where an operator looks when a job does not move."""
    await apply(bus, HEARD)
    await bus.say([fact(1)])
    command = [sys.executable, "-m", "effectmesh", "actors", "--json"]
    environment = {
        "PATH": os.environ["PATH"],
        "EFFECTMESH_HOME": str(tmp_path),
        "EFFECTMESH_NATS_URL": broker_url,
    }
    async with child(broker_url, "works") as process:
        await process.until(1, "begun ")
        await _answers(bus, f"$SRV.PING.{Module.CONTENT_ANALYSIS}")
        listed = await anyio.run_process(command, cwd=ROOT, env=environment)

    [found] = msgspec.json.decode(listed.stdout, type=list[Stats])
    [endpoint] = found.endpoints
    assert (found.name, endpoint.name, endpoint.num_requests) == ("content_analysis", "EVT", 1)


async def test_the_command_line_says_when_nothing_runs(tmp_path: Path) -> None:
    """And does not start anything to find out."""
    command = [sys.executable, "-m", "effectmesh", "actors"]
    environment = {"PATH": os.environ["PATH"], "EFFECTMESH_HOME": str(tmp_path)}

    said = await anyio.run_process(command, cwd=ROOT, env=environment, check=False)

    assert said.returncode == 1
    assert b"no stack is running" in said.stderr
    assert b"effectmesh up" in said.stderr


async def _answers(bus: Bus, subject: str) -> None:
    """Return once somebody answers there."""
    with anyio.fail_after(SOON_S):
        while True:
            try:
                await bus._request(subject, b"", timeout=1)
            except AskError:
                await bus.barrier()
            else:
                return


def test_the_bound_is_below_what_is_granted() -> None:
    """Killed, it would leave its messages under way until their time is up."""
    assert DRAIN_S < ALLOWED_S


@pytest.mark.parametrize(
    ("how", "made", "said"),
    [
        ("breaks", True, "the part failed 8 times in a row"),
        ("works", False, "consumer EVT/content_analysis"),
    ],
    ids=["a part keeps failing", "a consumer is missing"],
)
async def test_what_cannot_go_on_ends_with_one_line(
    bus: Bus, broker_url: str, how: str, made: bool, said: str
) -> None:
    """Running on without a part would look like work; and the line is what people search for."""
    await apply(bus, *([HEARD] if made else []))
    async with child(broker_url, how) as process:
        assert await process.ended() == 1

    last = process.lines[-1]
    assert "CRITICAL" in last
    assert "child cannot go on: " in last
    assert said in last
