"""Who a process is, and how it is, for those who look from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import anyio
import asyncpg

from actors.runtime.contract import SystemClock
from actors.runtime.follow import new_id
from actors.runtime.health import WELL, Check, HealthServer
from actors.runtime.micro import About
from actors.runtime.transport import Transport
from effectmesh import __version__
from effectmesh.settings import Settings


def about() -> About:
    """Return who this process is; another id at each call."""
    now = SystemClock().now()
    return About(version=__version__, started=now, instance=new_id("proc", now))


@asynccontextmanager
async def answering_health(
    settings: Settings, checks: Mapping[str, Check], failing: Mapping[str, str]
) -> AsyncIterator[None]:
    """Answer ``/livez`` and ``/readyz`` for the length of the block, when a port is set for it.

    Raises:
        HealthPortError: the port cannot be had.
    """
    if not settings.health_port:
        yield
        return
    server = HealthServer(port=settings.health_port, checks=checks, failing=failing)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        yield
        tasks.cancel_scope.cancel()


def buses_check(buses: Iterable[Transport]) -> Check:
    """Return a check of every connection to the broker."""
    return partial(_connected, tuple({id(bus): bus for bus in buses}.values()))


def database_check(pool: asyncpg.Pool) -> Check:
    """Return a check that the database answers."""
    return partial(_reached, pool)


def working_check(stopping: anyio.Event) -> Check:
    """Return a check that the process was not told to stop: while it drains it takes no work."""
    return partial(_working, stopping)


async def _connected(buses: Iterable[Transport]) -> str:
    return WELL if all(bus.alive for bus in buses) else "the broker is away"


async def _reached(pool: asyncpg.Pool) -> str:
    await pool.fetchval("select 1")
    return WELL


async def _working(stopping: anyio.Event) -> str:
    return "draining" if stopping.is_set() else WELL
