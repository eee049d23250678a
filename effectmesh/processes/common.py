"""What every process does: log, trace, run on uvloop, and drain on SIGTERM."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
import asyncpg

from actors.runtime.contract import SystemClock
from actors.runtime.errors import BusError
from actors.runtime.health import HealthPortError
from actors.runtime.host import GaveUpError, cause_of
from actors.runtime.tracing import UNTRACED, Tracer
from effectmesh.database import AWAY
from effectmesh.settings import Settings

Main = Callable[[Settings, anyio.Event], Awaitable[None]]

QUIET: Final = ("httpx", "httpcore", "botocore", "nats", "websockets", "uvicorn.access")
"""Libraries that log every request."""
MUTE: Final = "opentelemetry"
"""It logs every try of every export; the runtime says once that a collector is away."""
DATABASE_REMEDY: Final = "check EFFECTMESH_POSTGRES_URL and that the server runs"
FAILED: Final = 1


def run_process(name: str, main: Main, settings: Settings) -> int:
    """Run one process until it is told to stop; return its exit status."""
    logging.basicConfig(
        level=settings.log_level,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stdout,
    )
    for library in QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger(MUTE).setLevel(logging.CRITICAL)
    log = logging.getLogger(f"effectmesh.{name}")
    try:
        anyio.run(_until_signalled, main, settings, backend_options={"use_uvloop": True})
    except BusError as problem:
        log.critical("%s cannot go on: %s", name, problem)
        return FAILED
    except BaseExceptionGroup as group:
        cause = cause_of(group)
        if isinstance(cause, BusError | GaveUpError | HealthPortError):
            log.critical("%s cannot go on: %s", name, cause)
        elif isinstance(cause, (*AWAY, asyncpg.PostgresError)):
            log.critical("%s cannot go on: the database: %s; %s", name, cause, DATABASE_REMEDY)
        else:
            log.critical("%s cannot go on", name, exc_info=group)
        return FAILED
    return 0


@asynccontextmanager
async def traced(settings: Settings) -> AsyncIterator[Tracer]:
    """Yield what opens spans; they are exported when there is a collector to take them."""
    if not settings.otlp_endpoint:
        yield UNTRACED
        return
    from actors.runtime.otlp import exporting  # the SDK is large, and most have no collector

    async with exporting(settings.otlp_endpoint, clock=SystemClock()) as tracer:
        yield tracer


async def _until_signalled(main: Main, settings: Settings) -> None:
    stopping = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_listen, stopping)
        await main(settings, stopping)
        tasks.cancel_scope.cancel()


async def _listen(stopping: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            stopping.set()
