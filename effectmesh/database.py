"""The database: one pool, and every module's own tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg

import actors

POOL_SIZE: Final = 8
COMMAND_TIMEOUT_S: Final = 30.0
AWAY: Final[tuple[type[Exception], ...]] = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    ConnectionError,
)
"""The database is away or starting: nothing that was asked of it is at fault."""
MIGRATION_LOCK: Final = 0x0EFFEC7
"""Only one process changes tables at a time."""


@asynccontextmanager
async def pooled(url: str, *, size: int = POOL_SIZE) -> AsyncIterator[asyncpg.Pool]:
    """Yield a pool of connections."""
    pool = await asyncpg.create_pool(
        url, min_size=1, max_size=size, command_timeout=COMMAND_TIMEOUT_S
    )
    try:
        yield pool
    finally:
        await pool.close()


async def migrate(pool: asyncpg.Pool) -> None:
    """Make every module's tables what its ``schema.sql`` says. Running it again changes nothing."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local client_min_messages = warning")
        await connection.execute("select pg_advisory_xact_lock($1)", MIGRATION_LOCK)
        for path in schema_files():
            await connection.execute(path.read_text(encoding="utf-8"))


def schema_files() -> list[Path]:
    """Return every module's ``schema.sql``."""
    [folder] = actors.__path__
    return sorted(Path(folder).glob("*/schema.sql"))
