"""Answers in a real Postgres."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from actors.content_analysis.ports import AnalysisCache
from actors.content_analysis.postgres import PostgresAnalyses
from tests.builders import TENANT
from tests.unit.content_analysis.caches import CHECKS, HASH, whole


@pytest.mark.parametrize("check", CHECKS)
async def test_postgres_keeps_the_contract(
    check: Callable[[AnalysisCache], Awaitable[None]], pool: asyncpg.Pool
) -> None:
    """The same checks the memory passes."""
    await check(PostgresAnalyses(pool=pool))


async def test_an_answer_survives_a_restart(pool: asyncpg.Pool) -> None:
    """Another process finds what this one kept."""
    await PostgresAnalyses(pool=pool).keep(TENANT, HASH, "v1", whole())

    assert await PostgresAnalyses(pool=pool).find(TENANT, HASH, "v1") == whole()
