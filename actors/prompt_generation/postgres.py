"""The history in Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from actors.prompt_generation.history import Asked, Ended, Outcome, Pruned
from actors.prompt_generation.ranking import Standing
from actors.runtime.queries import named_queries
from schemas.base import EventId, JobId, ProviderId, TaskId, TenantId
from schemas.video import GeneratedPrompts

MAX_OF_JOB: Final = 100
MAX_STANDINGS: Final = 2_000


class PostgresHistory:
    """A ``PromptHistory`` in the schema ``prompt_generation``."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._sql = named_queries(Path(__file__).with_name("queries.sql"))

    async def find(self, tenant_id: TenantId, event_id: EventId) -> Asked | None:
        """Return what was asked because of an event."""
        row = await self._pool.fetchrow(self._sql["find"], tenant_id, event_id)
        return None if row is None else _asked(row)

    async def record(self, asked: Asked) -> Asked:
        """Keep what is asked; return what is kept, the older one if there is one."""
        await self._pool.execute(
            self._sql["record"],
            asked.event_id,
            asked.tenant_id,
            asked.job_id,
            asked.template_id,
            asked.version,
            asked.effect_type,
            asked.rewriter,
            msgspec.json.encode(asked.prompts).decode(),
            asked.at,
        )
        # read again even what was just written, so that the first and every later answer are alike
        return await self.find(asked.tenant_id, asked.event_id) or asked

    async def of_job(self, tenant_id: TenantId, job_id: JobId) -> Sequence[Asked]:
        """Return what was asked for a job, the oldest first."""
        rows = await self._pool.fetch(self._sql["of_job"], tenant_id, job_id, MAX_OF_JOB)
        return [_asked(row) for row in rows]

    async def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Add what is known of renders."""
        # in one order everywhere, so that two who tell at once do not wait for each other
        values = [_values(each) for each in sorted(outcomes, key=lambda each: each.task_id)]
        await self._pool.executemany(self._sql["tell"], values)

    async def end(self, ended: Ended) -> None:
        """Keep how a job ended; the first ending stays."""
        await self._pool.execute(
            self._sql["end"], ended.tenant_id, ended.job_id, ended.state, ended.at
        )

    async def outcomes(self, tenant_id: TenantId, job_id: JobId) -> Sequence[Outcome]:
        """Return what is known of a job's renders, by task id."""
        rows = await self._pool.fetch(self._sql["outcomes"], tenant_id, job_id, MAX_OF_JOB)
        return [_outcome(row) for row in rows]

    async def standings(self, since: datetime) -> Sequence[Standing]:
        """Return what became of the jobs since a time, by template and version."""
        rows = await self._pool.fetch(self._sql["standings"], since, MAX_STANDINGS)
        return [Standing(**dict(row)) for row in rows]

    async def prune(self, *, asked: datetime, outcomes: datetime, limit: int) -> Pruned:
        """Forget what is older, at most ``limit`` of each."""
        return Pruned(
            asked=_count(await self._pool.execute(self._sql["prune_asked"], asked, limit)),
            outcomes=_count(await self._pool.execute(self._sql["prune_outcomes"], outcomes, limit)),
            endings=_count(await self._pool.execute(self._sql["prune_endings"], outcomes, limit)),
        )


def _count(status: str) -> int:
    """Return how many rows a command says that it deleted, such as ``DELETE 3``."""
    return int(status.rpartition(" ")[2])


def _asked(row: asyncpg.Record) -> Asked:
    return Asked(
        event_id=EventId(row["event_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        job_id=JobId(row["job_id"]),
        template_id=row["template_id"],
        version=row["version"],
        effect_type=row["effect_type"],
        rewriter=row["rewriter"],
        prompts=msgspec.json.decode(row["prompts"], type=GeneratedPrompts),
        at=row["at"],
    )


def _values(each: Outcome) -> tuple[object, ...]:
    return (
        each.tenant_id,
        each.task_id,
        each.job_id,
        each.provider_id,
        each.effect_type,
        each.template_id,
        each.version,
        each.variant,
        each.composite,
        each.confidence,
        each.won,
        each.cost_microtokens,
        each.at,
    )


def _outcome(row: asyncpg.Record) -> Outcome:
    return Outcome(
        tenant_id=TenantId(row["tenant_id"]),
        task_id=TaskId(row["task_id"]),
        job_id=JobId(row["job_id"]),
        provider_id=ProviderId(row["provider_id"]),
        effect_type=row["effect_type"],
        template_id=row["template_id"],
        version=row["version"],
        variant=row["variant"],
        composite=row["composite"],
        confidence=row["confidence"],
        won=row["won"],
        cost_microtokens=row["cost_microtokens"],
        at=row["at"],
    )
