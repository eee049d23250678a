"""What tracing costs: CPU per message of one hop, every span recorded and exported, against off.

A hop hears an event, says another one and is acknowledged: one span. The collector is a process of
its own, so that the figure is what the worker pays: recording, headers both ways, and the thread
that encodes and sends. ``python -m benchmarks.tracing`` prints it.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import anyio
import uvloop
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import SystemClock
from actors.runtime.otlp import EXPORT_TIMEOUT_S, PATH, QUEUED, Exporting
from actors.runtime.spans import Recorder
from actors.runtime.tracing import TRACEPARENT, UNTRACED, PassedOn, Tracer
from actors.runtime.worker import Worker
from benchmarks import sample
from benchmarks.results import Outcome, Seen, row
from benchmarks.running import ROUNDS, WorkloadError, broker, spread
from schemas.base import Message
from schemas.events import VideoIngested

COUNT: Final = 3000
SKIP: Final = 300
"""Messages before the stopwatch starts. Together they fit the queue: no span is dropped unpaid."""
FILL: Final = 100
WITHIN_S: Final = 60.0
OFF: Final = "off_us"
ON: Final = "on_us"
SPAN: Final = "span_us"

assert COUNT + SKIP <= QUEUED


async def run() -> Outcome:
    """Measure against a broker of its own."""
    with broker() as server:
        found = await measure(server.url)
    seen = [
        Seen(what="tracing off", wall="", cpu=spread(found[OFF], "us/hop")),
        Seen(what="tracing on, 100 %", wall="", cpu=spread(found[ON], "us/hop")),
    ]
    return Outcome(rows=[row("tracing.span", found[SPAN], peer=found[OFF])], seen=seen)


async def measure(url: str) -> dict[str, list[float]]:
    """Return for each run the CPU per message without and with tracing, and the difference."""
    found: dict[str, list[float]] = {OFF: [], ON: [], SPAN: []}
    with collector() as endpoint:
        for _ in range(ROUNDS):
            off = await _hops(url, _untraced(), {})
            produced = {TRACEPARENT: f"00-{random.getrandbits(128):032x}-00f067aa0ba902b7-01"}
            on = await _hops(url, _traced(endpoint), produced)
            found[OFF].append(off)
            found[ON].append(on)
            found[SPAN].append(on - off)
    return found


async def _hops(
    url: str, opened: AbstractAsyncContextManager[Tracer], produced: Mapping[str, str]
) -> float:
    """Return the CPU microseconds of one hop, over ``COUNT`` of them."""
    async with connected(url, name="bench") as bus:
        await _fill(bus, produced)
        actor = _Actor()
        async with opened as tracer:
            worker = Worker(
                bus=bus,
                module=sample.MODULE,
                consumer=sample.topology(1).consumers[0],
                decoder=sample.DECODER,
                receive=actor.receive,
                concurrency=sample.IN_FLIGHT,
                dice=random.Random(1),
                tracer=tracer,
            )
            with anyio.fail_after(WITHIN_S):
                async with anyio.create_task_group() as working:
                    working.start_soon(worker.run)
                    await actor.done.wait()
                    worker.stop()
        # What was still queued has been exported by now, and is paid for.
        return 1e6 * (time.process_time() - actor.began) / COUNT


class _Actor:
    """Answers every message with another one, and notes when the measured part begins."""

    def __init__(self) -> None:
        self.heard = 0
        self.began = 0.0
        self.done = asyncio.Event()

    async def receive(self, heard: VideoIngested) -> Sequence[Message]:
        """Answer one message."""
        self.heard += 1
        if self.heard == SKIP:
            self.began = time.process_time()
        elif self.heard == SKIP + COUNT:
            self.done.set()
        return (sample.answer(heard, 1),)


async def _fill(bus: Bus, produced: Mapping[str, str]) -> None:
    """Make the streams anew and store what will be heard, as a producer that traces says it."""
    for name in (await bus.api("STREAM.NAMES")).get("streams") or ():
        await bus.api(f"STREAM.DELETE.{name}")
    await provision.apply(bus, sample.topology(1))
    with PassedOn(produced):
        for first in range(0, SKIP + COUNT, FILL):
            await bus.say([sample.sample(number) for number in range(first, first + FILL)])


@asynccontextmanager
async def _traced(endpoint: str) -> AsyncIterator[Tracer]:
    """Yield what ``exporting`` would, and check that no span went unpaid."""
    where = endpoint + PATH
    exporter = OTLPSpanExporter(endpoint=where, timeout=EXPORT_TIMEOUT_S)
    spans = Exporting(exporter=exporter, where=where)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spans.run)
        yield Recorder(clock=SystemClock(), dice=random.Random(), take=spans.take)
        tasks.cancel_scope.cancel()
    if spans.exported != SKIP + COUNT:
        raise WorkloadError("tracing", f"exported {spans.exported} of {SKIP + COUNT} spans")


@asynccontextmanager
async def _untraced() -> AsyncIterator[Tracer]:
    yield UNTRACED


@contextmanager
def collector() -> Iterator[str]:
    """Run something that takes spans and keeps none; yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.tracing", "collect"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class _Takes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read a request and answer that it was taken."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Measure and print, or be the collector."""
    if sys.argv[1:] == ["collect"]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Takes)
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()
        return
    with broker() as server_:
        found = uvloop.run(measure(server_.url))
    for what, values in found.items():
        shown = " ".join(f"{each:6.1f}" for each in values)
        print(f"{what:8} {statistics.median(values):6.1f} us/message  ({shown})")


if __name__ == "__main__":
    main()
