"""What the integration tests of several modules start from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from effectmesh.database import migrate


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Return a pool on a database with every module's tables, made twice."""
    async with asyncpg.create_pool(database, min_size=1, max_size=6) as pool:
        for _ in range(2):
            await migrate(pool)
        yield pool
