"""What every process does: log, run on uvloop, and drain on SIGTERM."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from actors.runtime.errors import BusError
from effectmesh.settings import Settings

Main = Callable[[Settings, anyio.Event], Awaitable[None]]

QUIET: Final = ("httpx", "httpcore", "botocore", "nats", "websockets", "uvicorn.access")
"""Libraries that log every request."""
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
    log = logging.getLogger(f"effectmesh.{name}")
    try:
        anyio.run(_until_signalled, main, settings, backend_options={"use_uvloop": True})
    except BusError as problem:
        log.critical("%s cannot go on: %s", name, problem)
        return FAILED
    except BaseExceptionGroup as group:
        log.critical("%s cannot go on", name, exc_info=group)
        return FAILED
    return 0


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
