"""The approval queue and the in-app messages, in Postgres."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from actors.approval.ports import Verdict
from actors.runtime.queries import named_queries
from schemas.asks import Notification, PendingApproval
from schemas.base import EventId, JobId, TenantId, UserId
from schemas.jobs import Selection

_SQL: Final = named_queries(Path(__file__).with_name("queries.sql"))
_ESCAPED_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


class PostgresQueue:
    """``Queue`` on one table."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(
        self, job_id: JobId, tenant_id: TenantId, selection: Selection, *, at: datetime
    ) -> None:
        """Put a job into the queue, unless it is or was there."""
        body = _ESCAPED_NUL.sub(r"\1\\ufffd", msgspec.json.encode(selection).decode())
        await self._pool.execute(_SQL["add"], job_id, tenant_id, at, body)

    async def decide(
        self,
        job_id: JobId,
        tenant_id: TenantId,
        *,
        state: str,
        decided_by: UserId,
        reason: str,
        at: datetime,
        cause_id: EventId,
    ) -> Verdict | None:
        """Decide about a pending job; return where it stands then, ``None`` for an unknown job."""
        async with self._pool.acquire() as connection, connection.transaction():
            # of two decisions at once, one updates the row and the other finds it decided
            await connection.execute(
                _SQL["decide"],
                job_id,
                tenant_id,
                state,
                decided_by,
                _storable(reason),
                at,
                cause_id,
            )
            row = await connection.fetchrow(_SQL["verdict"], job_id, tenant_id)
        return None if row is None else _verdict(row)

    async def withdraw(self, job_id: JobId, tenant_id: TenantId, *, at: datetime) -> None:
        """Take a pending job out, keep one out that has not asked yet, remember that it ended."""
        await self._pool.execute(_SQL["withdraw"], job_id, tenant_id, at)

    async def has_ended(self, job_id: JobId, tenant_id: TenantId) -> bool:
        """Tell whether a job was withdrawn, whatever had been decided about it before."""
        return bool(await self._pool.fetchval(_SQL["has_ended"], job_id, tenant_id))

    async def page(
        self, tenant_id: TenantId, *, state: str, limit: int
    ) -> tuple[PendingApproval, ...]:
        """Return a tenant's jobs in a state, oldest first; an empty state means any."""
        rows = await self._pool.fetch(_SQL["page"], tenant_id, state, limit)
        return tuple(map(_approval, rows))

    async def find(self, tenant_id: TenantId, job_id: JobId) -> PendingApproval | None:
        """Return one job's place; another tenant's job is absent."""
        row = await self._pool.fetchrow(_SQL["find"], tenant_id, job_id)
        return None if row is None else _approval(row)


class PostgresNotifications:
    """``Notifications`` on one table, unique by event."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def store(
        self, event_id: EventId, tenant_id: TenantId, notification: Notification
    ) -> None:
        """Keep a message; the same event again changes nothing."""
        await self._pool.execute(
            _SQL["notify"],
            event_id,
            tenant_id,
            notification.user_id,
            notification.job_id,
            notification.kind,
            notification.channel,
            _storable(notification.subject),
            _storable(notification.body),
            notification.link,
            notification.at,
        )

    async def page(
        self, tenant_id: TenantId, user_id: UserId, *, limit: int
    ) -> tuple[Notification, ...]:
        """Return what a user was told, newest first."""
        rows = await self._pool.fetch(_SQL["notifications"], tenant_id, user_id, limit)
        return tuple(
            Notification(
                user_id=UserId(row["user_id"]),
                job_id=JobId(row["job_id"]),
                kind=row["kind"],
                channel=row["channel"],
                subject=row["subject"],
                body=row["body"],
                link=row["link"],
                at=row["at"],
            )
            for row in rows
        )


def _verdict(row: asyncpg.Record) -> Verdict:
    selection = row["selection"]
    return Verdict(
        state=row["state"],
        selection=None if selection is None else _selection(selection),
        decided_by=UserId(row["decided_by"]),
        reason=row["reason"],
        decided_at=row["decided_at"],
        cause_id=EventId(row["cause_id"]),
    )


def _approval(row: asyncpg.Record) -> PendingApproval:
    return PendingApproval(
        job_id=JobId(row["job_id"]),
        tenant_id=TenantId(row["tenant_id"]),
        state=row["state"],
        requested_at=row["requested_at"],
        selection=_selection(row["selection"]),
        decided_by=UserId(row["decided_by"]),
        reason=row["reason"],
    )


def _selection(body: str) -> Selection:
    return msgspec.json.decode(body, type=Selection)


def _storable(text: str) -> str:
    """Return text without NUL, which Postgres refuses."""
    return text.replace("\x00", "\ufffd")
