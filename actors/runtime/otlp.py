"""Exports spans over OTLP/HTTP, beside the work and never in its way.

The queue is bounded and drops what does not fit; a collector that is slow, broken or away costs a
counter. The SDK is loaded by whoever imports this module, so a process without a collector does not
carry it.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from threading import Lock
from typing import Final

import anyio
from anyio.to_thread import run_sync
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from actors.runtime.contract import Clock
from actors.runtime.spans import Context, Finished, Kind, Recorder
from actors.runtime.tracing import Tracer
from schemas.base import Module

log = logging.getLogger("effectmesh.tracing")

QUEUED: Final = 4096
"""Spans that wait for the collector; about 4 MB."""
BATCH: Final = 512
LINGER_S: Final = 1.0
"""How long a span waits for others to travel with."""
EXPORT_TIMEOUT_S: Final = 3.0
"""One export with all its tries."""
FLUSH_S: Final = 2.0
"""What the spans of the last moment may take when the process ends."""
PATH: Final = "/v1/traces"

_SCOPE: Final = InstrumentationScope("effectmesh.runtime")
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_UNSET: Final = Status(StatusCode.UNSET)
_KINDS: Final[Mapping[Kind, SpanKind]] = {
    "consumer": SpanKind.CONSUMER,
    "producer": SpanKind.PRODUCER,
    "server": SpanKind.SERVER,
}


class Exporting:
    """Keeps finished spans until ``run`` has exported them."""

    def __init__(self, *, exporter: SpanExporter, where: str) -> None:
        self._exporter = exporter
        self._where = where
        self._spans: deque[Finished] = deque()
        self._some = anyio.Event()
        self._many = anyio.Event()
        self._one_at_a_time = Lock()
        self._failing = False
        self.dropped = 0
        """Spans that found the queue full."""
        self.failed = 0
        """Spans that the collector did not take."""
        self.exported = 0

    def take(self, span: Finished) -> None:
        """Queue one span; drop it when the queue is full."""
        if len(self._spans) >= QUEUED:
            self.dropped += 1
            return
        self._spans.append(span)
        self._some.set()
        if len(self._spans) >= BATCH:
            self._many.set()

    async def run(self) -> None:
        """Export until cancelled, and then what is left, at most for ``FLUSH_S``."""
        try:
            while True:
                await self._some.wait()
                with anyio.move_on_after(LINGER_S):
                    await self._many.wait()
                await self._empty()
        finally:
            with anyio.move_on_after(FLUSH_S, shield=True):
                await self._empty()
                # An export that was under way ends first, or the shutdown would cut it off.
                await run_sync(self._export, abandon_on_cancel=True)
            # Ends the tries that are under way, so that no thread outlives the process's patience.
            self._exporter.shutdown()

    async def _empty(self) -> None:
        self._some, self._many = anyio.Event(), anyio.Event()
        while self._spans:
            await run_sync(self._export, abandon_on_cancel=True)

    def _export(self) -> None:
        """Export a batch, in a thread, when the one before is through. What goes wrong stays here.

        The batch is taken here and not before: a thread that a cancellation keeps from starting
        would take it to the grave.
        """
        with self._one_at_a_time:
            batch = [self._spans.popleft() for _ in range(min(BATCH, len(self._spans)))]
            if not batch:
                return
            try:
                result = self._exporter.export([readable(each) for each in batch])
            except Exception:
                log.debug("exporting failed", exc_info=True)
                result = SpanExportResult.FAILURE
            self._count(len(batch), taken=result is SpanExportResult.SUCCESS)

    def _count(self, spans: int, *, taken: bool) -> None:
        if taken:
            self.exported += spans
            if self._failing:
                log.info("spans are exported again; %d were lost", self.failed + self.dropped)
        else:
            self.failed += spans
            if not self._failing:
                log.warning("%s does not take spans; work goes on without", self._where)
        self._failing = not taken


@asynccontextmanager
async def exporting(endpoint: str, *, clock: Clock) -> AsyncIterator[Tracer]:
    """Yield a tracer whose spans go to a collector, such as ``http://127.0.0.1:4318``."""
    where = endpoint.rstrip("/") + PATH
    exporter = OTLPSpanExporter(endpoint=where, timeout=EXPORT_TIMEOUT_S)
    spans = Exporting(exporter=exporter, where=where)
    dice = random.Random()  # noqa: S311  ids of spans are no secrets
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spans.run)
        yield Recorder(clock=clock, dice=dice, take=spans.take)
        tasks.cancel_scope.cancel()


def readable(span: Finished) -> ReadableSpan:
    """Return a span as the SDK's exporters take it."""
    parent = _context(span.parent, remote=True) if span.parent else None
    return ReadableSpan(
        name=span.name,
        context=_context(span.context, remote=False),
        parent=parent,
        resource=_resource(span.module),
        attributes=span.attributes,
        links=(Link(parent),) if parent and span.linked else (),
        kind=_KINDS[span.kind],
        status=_UNSET if span.error is None else Status(StatusCode.ERROR, span.error),
        start_time=span.started_ns,
        end_time=span.ended_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(of: Context, *, remote: bool) -> SpanContext:
    return SpanContext(
        int(of.trace_id, 16),
        int(of.span_id, 16),
        is_remote=remote,
        trace_flags=_SAMPLED,
        trace_state=TraceState.from_header([of.state]) if of.state else None,
    )


@lru_cache(maxsize=len(Module))
def _resource(module: Module) -> Resource:
    """Return who a module is: a service of its own, though ten of them may share a process."""
    return Resource.create({"service.namespace": "effectmesh", "service.name": str(module)})
