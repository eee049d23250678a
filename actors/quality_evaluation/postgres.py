"""Scores in Postgres, one row for each task."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from actors.quality_evaluation import core
from actors.quality_evaluation.core import Score
from actors.runtime.queries import named_queries
from schemas.base import JobId, ProviderId, TaskId, TenantId
from schemas.quality import QualityVector

MAX_CANDIDATES: Final = 1_000
"""Most scores of one job that a new one is ranked among."""


class PostgresScores:
    """A ``ScoreHistory`` in the schema ``quality_evaluation``."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._sql = named_queries(Path(__file__).with_name("queries.sql"))

    async def find(self, tenant_id: TenantId, task_id: TaskId) -> Score | None:
        """Return the task's score, ranked as it was first said."""
        row = await self._pool.fetchrow(self._sql["find"], tenant_id, task_id)
        return None if row is None else _score(row)

    async def add(self, new: Score) -> Score:
        """Rank and store a score; return what is stored, the older one if the task has one."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(self._sql["one_at_a_time"], f"{new.tenant_id} {new.job_id}")
            rows = await connection.fetch(
                self._sql["of_job"], new.tenant_id, new.job_id, MAX_CANDIDATES
            )
            earlier = [_score(row) for row in rows]
            for known in earlier:
                if known.task_id == new.task_id:
                    return known
            placed = core.ranked(new, earlier)
            await connection.execute(self._sql["insert"], *_values(placed))
            return placed


def _values(placed: Score) -> tuple[object, ...]:
    return (
        placed.task_id,
        placed.job_id,
        placed.tenant_id,
        placed.provider_id,
        placed.effect_type,
        placed.composite,
        msgspec.json.encode(placed.vector).decode(),
        placed.confidence,
        placed.evaluator_version,
        placed.reason,
        placed.rank,
        placed.at,
        placed.low,
        placed.high,
        placed.details.decode(),
    )


def _score(row: asyncpg.Record) -> Score:
    return Score(
        task_id=TaskId(row["task_id"]),
        job_id=JobId(row["job_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        provider_id=ProviderId(row["provider_id"]),
        effect_type=row["effect_type"],
        composite=row["composite"],
        vector=msgspec.json.decode(row["vector"], type=QualityVector),
        confidence=row["confidence"],
        evaluator_version=row["evaluator_version"],
        reason=row["reason"],
        rank=row["comparative_rank"],
        at=row["at"],
        low=row["low"],
        high=row["high"],
        details=row["details"].encode(),
    )
