"""The index of jobs and the slots of each effect type, in Postgres."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from actors.runtime.queries import named_queries
from schemas.asks import JobFound, JobSummary
from schemas.base import JobId, TenantId, UserId, VideoId
from schemas.jobs import Job, JobState

_SQL: Final = named_queries(Path(__file__).with_name("queries.sql"))
_ESCAPED_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class PostgresJobIndex:
    """``JobIndex`` on one table, written from the saga's records."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def store(self, job: Job, revision: int) -> None:
        """Keep a job unless a newer revision is known."""
        order = job.order
        await self._pool.execute(
            _SQL["store"],
            order.job_id,
            order.tenant_id,
            order.user_id,
            order.video_id,
            order.effect_type,
            job.state.value,
            job.created_at,
            job.updated_at,
            job.charged_microtokens,
            _storable(job.code),
            _storable(job.reason),
            revision,
            _body(job),
        )

    async def page(
        self, tenant_id: TenantId, *, limit: int, before: str = ""
    ) -> tuple[JobSummary, ...]:
        """Return the newest jobs of a tenant that are older than the job ``before``."""
        rows = await self._pool.fetch(_SQL["page"], tenant_id, before, limit)
        return tuple(map(_summary, rows))

    async def find(self, tenant_id: TenantId, job_id: JobId) -> JobFound:
        """Return one job; another tenant's job is absent."""
        row = await self._pool.fetchrow(_SQL["find"], tenant_id, job_id)
        if row is None:
            return JobFound()
        return JobFound(
            job=msgspec.json.decode(row["body"], type=Job), revision=int(row["revision"])
        )

    async def of_video(
        self, tenant_id: TenantId, video_id: VideoId, *, limit: int, after: JobId
    ) -> tuple[Job, ...]:
        """Return the jobs of a tenant's video that come after the job ``after``, by id."""
        rows = await self._pool.fetch(_SQL["of_video"], tenant_id, video_id, after, limit)
        return tuple(msgspec.json.decode(row["body"], type=Job) for row in rows)


class PostgresSlots:
    """``Slots`` on one table: numbers without a gap, each taken once."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def number(self, effect_type: str, job_id: JobId) -> int:
        """Return the job's number, counted from 0, the same one for ever."""
        known = await self._pool.fetchval(_SQL["number"], effect_type, job_id)
        if known is not None:
            return int(known)
        async with self._pool.acquire() as connection, connection.transaction():
            # the highest number is read after the lock, so nobody takes it twice
            await connection.execute(_SQL["lock_slots"], effect_type)
            await connection.execute(_SQL["take_slot"], effect_type, job_id)
            return int(await connection.fetchval(_SQL["number"], effect_type, job_id))


def _summary(row: asyncpg.Record) -> JobSummary:
    return JobSummary(
        job_id=JobId(row["job_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        user_id=UserId(row["user_id"]),
        video_id=VideoId(row["video_id"]),
        effect_type=row["effect_type"],
        state=JobState(row["state"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        charged_microtokens=int(row["charged"]),
        code=row["code"],
        reason=row["reason"],
    )


def _body(job: Job) -> str:
    """Return a job as JSON. A NUL in a user's words would make Postgres refuse the whole row."""
    return _ESCAPED_NUL.sub(r"\1\\ufffd", msgspec.json.encode(job).decode())


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd")
