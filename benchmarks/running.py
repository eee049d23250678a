"""Servers of one measurement, and programs that are measured in a process of their own."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

from effectmesh.embedded.nats import EmbeddedNats
from effectmesh.embedded.postgres import EmbeddedPostgres

ROUNDS: Final = 5
SLOW_ROUNDS: Final = 3
"""For what takes so long that more rounds would take all day."""
WITHIN_S: Final = 60.0
"""How long a program may take before it is taken for hung."""
LINE_BYTES: Final = 1024 * 1024

_ROOT: Final = Path(__file__).resolve().parents[1]
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class WorkloadError(Exception):
    """A measured program failed."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


@contextmanager
def broker() -> Iterator[EmbeddedNats]:
    """Yield a nats-server with a new folder, that syncs as the default says."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        server = EmbeddedNats(home=Path(home), sync_always=False)
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def database() -> Iterator[str]:
    """Yield the URL of a Postgres with a new folder, that syncs every commit."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        Path(home).chmod(0o711)
        server = EmbeddedPostgres(home=Path(home))
        url = server.start()
        try:
            yield url
        finally:
            server.stop()


class Program:
    """A workload that runs and says lines of JSON."""

    def __init__(self, what: str, process: Process) -> None:
        self._what = what
        self._process = process

    async def says(self, *, within_s: float = WITHIN_S) -> dict[str, Any]:
        """Return the next line it says.

        Raises:
            WorkloadError: it ended or says nothing.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(within_s):
                while line := await self._process.stdout.readline():
                    if line.startswith(b"{"):
                        said: dict[str, Any] = json.loads(line)
                        return said
        except TimeoutError:
            raise WorkloadError(self._what, f"said nothing for {within_s:g} s") from None
        raise WorkloadError(self._what, "ended without an answer")

    async def tell(self, line: str = "") -> None:
        """Let it go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        await self._process.stdin.drain()


@asynccontextmanager
async def program(workload: str, **arguments: object) -> AsyncIterator[Program]:
    """Run ``benchmarks.workloads.<workload>``, and end it afterwards."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"benchmarks.workloads.{workload}",
        json.dumps(arguments),
        stdin=PIPE,
        stdout=PIPE,
        cwd=_ROOT,
        limit=LINE_BYTES,
    )
    try:
        yield Program(workload, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answer_of(workload: str, **arguments: object) -> dict[str, Any]:
    """Run a workload and return the one thing it says."""
    async with program(workload, **arguments) as running:
        return await running.says()


def cpu_s(pid: int) -> float:
    """Return the CPU time a process has used, 0 where that cannot be read."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def spread(values: Sequence[float], unit: str, *, digits: int = 0) -> str:
    """Return a median with its range."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:,.{digits}f} {unit} ({low:,.{digits}f} .. {high:,.{digits}f})"
