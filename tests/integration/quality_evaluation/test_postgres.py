"""Scores in a real Postgres."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import asyncpg
import pytest

from actors.quality_evaluation.core import Score
from actors.quality_evaluation.ports import ScoreHistory
from actors.quality_evaluation.postgres import PostgresScores
from schemas.base import TaskId
from tests.builders import TENANT
from tests.unit.quality_evaluation.histories import CHECKS, score


@pytest.mark.parametrize("check", CHECKS)
async def test_postgres_keeps_the_contract(
    check: Callable[[ScoreHistory], Awaitable[None]], pool: asyncpg.Pool
) -> None:
    """The same checks the memory passes."""
    await check(PostgresScores(pool=pool))


async def test_a_score_survives_a_restart_whole(pool: asyncpg.Pool) -> None:
    """Every field comes back as it was, the vector and the reason too."""
    added = await PostgresScores(pool=pool).add(score("task_1", 0.123456, reason="lasts 1 ms"))

    assert await PostgresScores(pool=pool).find(TENANT, TaskId("task_1")) == added


async def test_scores_added_at_once_are_ranked_one_after_the_other(pool: asyncpg.Pool) -> None:
    """Three candidates finish together; without an order all three would be first."""
    history = PostgresScores(pool=pool)

    async with anyio.create_task_group() as group:
        for number in range(1, 6):
            group.start_soon(history.add, score(f"task_{number}", number / 10))

    rows = await pool.fetch(
        "select composite, comparative_rank from quality_evaluation.score order by ctid"
    )
    composites = [row["composite"] for row in rows]
    expected = [
        1 + sum(earlier > composite for earlier in composites[:place])
        for place, composite in enumerate(composites)
    ]
    assert [row["comparative_rank"] for row in rows] == expected


async def test_the_same_task_added_at_once_is_stored_once(pool: asyncpg.Pool) -> None:
    """Two workers may get the same message; both must say the same."""
    history = PostgresScores(pool=pool)
    added: list[Score] = []

    async def add(composite: float) -> None:
        added.append(await history.add(score("task_1", composite)))

    async with anyio.create_task_group() as group:
        for composite in (0.1, 0.5, 0.9):
            group.start_soon(add, composite)

    assert len({found.composite for found in added}) == 1
    assert await pool.fetchval("select count(*) from quality_evaluation.score") == 1
