"""What every workload needs: its arguments, a stopwatch, a way to say what it found."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import uvloop
from msgspec import Struct


class Job(Struct, frozen=True, kw_only=True):
    """What a hop workload is to do."""

    url: str
    stages: int = 1
    skip: int = 0
    """Messages before the stopwatch starts."""
    count: int = 0
    """Messages it runs for; 0 to serve until it is ended."""
    traced: bool = False


class Meter:
    """A stopwatch of wall and CPU over ``count`` messages, after the first ``skip``."""

    def __init__(self, job: Job) -> None:
        self._skip = job.skip
        self._last = job.skip + job.count if job.count else -1
        self._hits = 0
        self._wall = 0.0
        self._cpu = 0.0
        self.done = asyncio.Event()

    def hit(self) -> None:
        """Count one message, at the start of its handler."""
        self._hits += 1
        if self._hits == self._skip:
            self._wall, self._cpu = time.perf_counter(), time.process_time()
        elif self._hits == self._last:
            self._wall = time.perf_counter() - self._wall
            self._cpu = time.process_time() - self._cpu
            self.done.set()

    def result(self) -> dict[str, float]:
        """Return what it took."""
        return {"wall_s": self._wall, "cpu_s": self._cpu}


class Serve(Protocol):
    """A candidate: serves every stage until it is cancelled, and calls ``ready`` once it does."""

    async def __call__(self, job: Job, meter: Meter, ready: Callable[[], None], /) -> None:
        """Run."""
        ...


def run(body: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    """Run a workload on uvloop with its arguments."""
    uvloop.run(_main(body))


async def _main(body: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
    await body(json.loads(sys.argv[1]))


def run_hops(serve: Serve) -> None:
    """Run a candidate of the hop."""
    uvloop.run(_hops(serve))


async def _hops(serve: Serve) -> None:
    # What the imports left is looked through at moments of the collector's choice, for longer than
    # the measurement itself takes, and says nothing about anybody.
    gc.collect()
    gc.freeze()
    job = Job(**json.loads(sys.argv[1]))
    meter = Meter(job)
    serving = asyncio.create_task(serve(job, meter, _nothing if job.count else _ready))
    measured = asyncio.create_task(meter.done.wait() if job.count else _report())
    await asyncio.wait((serving, measured), return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        serving.result()
        return
    say(meter.result())
    await told()
    serving.cancel()


async def _report() -> None:
    """Say how large we are whenever we are asked, until we are ended."""
    while True:
        await told()
        say({"rss_kib": rss_kib()})


def _ready() -> None:
    say({"ready": True})


def _nothing() -> None:
    """Say one thing only: what was measured."""


def say(what: object) -> None:
    """Say a line."""
    print(json.dumps(what), flush=True)


async def told() -> None:
    """Return when the benchmark says to go on."""
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def rss_kib() -> int:
    """Return the memory this process holds now; where only the peak is known, the peak."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if sys.platform == "darwin" else peak
    return next(int(each.split()[1]) for each in lines if each.startswith("VmRSS"))
