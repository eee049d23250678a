"""The approval queue and the messages in memory; they pass the suite of the real ones."""

from __future__ import annotations

from datetime import datetime

from msgspec import structs

from actors.approval.ports import PENDING, WITHDRAWN, Verdict
from schemas.asks import ANY_TENANT, Notification, PendingApproval
from schemas.base import EPOCH, EventId, JobId, TenantId, UserId
from schemas.jobs import Selection


class MemoryQueue:
    """``Queue`` in a dictionary."""

    def __init__(self) -> None:
        self._rows: dict[JobId, tuple[TenantId, datetime, Verdict]] = {}
        self._ended: set[JobId] = set()

    async def add(
        self, job_id: JobId, tenant_id: TenantId, selection: Selection, *, at: datetime
    ) -> None:
        """Put a job into the queue, unless it is or was there."""
        known = self._rows.get(job_id)
        if known is None:
            self._rows[job_id] = (tenant_id, at, Verdict(state=PENDING, selection=selection))
        elif known[2].selection is None and known[0] == tenant_id:
            self._rows[job_id] = (
                tenant_id,
                known[1],
                structs.replace(known[2], selection=selection),
            )

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
        """Decide about a pending job."""
        known = self._rows.get(job_id)
        if known is None or known[0] != tenant_id:
            return None
        verdict = known[2]
        if verdict.state == PENDING:
            verdict = structs.replace(
                verdict,
                state=state,
                decided_by=decided_by,
                reason=reason,
                decided_at=at,
                cause_id=cause_id,
            )
            self._rows[job_id] = (known[0], known[1], verdict)
        return verdict

    async def withdraw(self, job_id: JobId, tenant_id: TenantId, *, at: datetime) -> None:
        """Take a pending job out, keep one out that has not asked yet, remember that it ended."""
        known = self._rows.get(job_id)
        if known is None or known[0] == tenant_id:
            self._ended.add(job_id)
        if known is None:
            self._rows[job_id] = (tenant_id, at, Verdict(state=WITHDRAWN, selection=None))
        elif known[2].state == PENDING and known[0] == tenant_id:
            self._rows[job_id] = (known[0], known[1], structs.replace(known[2], state=WITHDRAWN))

    async def has_ended(self, job_id: JobId, tenant_id: TenantId) -> bool:
        """Tell whether a job was withdrawn."""
        return job_id in self._ended and self._rows[job_id][0] == tenant_id

    async def page(
        self, tenant_id: TenantId, *, state: str, limit: int
    ) -> tuple[PendingApproval, ...]:
        """Return a tenant's jobs in a state, oldest first."""
        rows = sorted(self._rows, key=lambda job_id: (self._rows[job_id][1], job_id))
        found = [await self.find(tenant_id, job_id) for job_id in rows]
        return tuple(one for one in found if one and state in ("", one.state))[:limit]

    async def find(self, tenant_id: TenantId, job_id: JobId) -> PendingApproval | None:
        """Return one job's place."""
        owner, at, verdict = self._rows.get(
            job_id, (TenantId(""), EPOCH, Verdict(state="", selection=None))
        )
        if tenant_id not in (ANY_TENANT, owner) or verdict.selection is None:
            return None
        return PendingApproval(
            job_id=job_id,
            tenant_id=owner,
            state=verdict.state,
            requested_at=at,
            selection=verdict.selection,
            decided_by=verdict.decided_by,
            reason=verdict.reason,
        )


class MemoryNotifications:
    """``Notifications`` in a dictionary."""

    def __init__(self) -> None:
        self._rows: dict[EventId, tuple[TenantId, Notification]] = {}

    async def store(
        self, event_id: EventId, tenant_id: TenantId, notification: Notification
    ) -> None:
        """Keep a message; the same event again changes nothing."""
        self._rows.setdefault(event_id, (tenant_id, notification))

    async def page(
        self, tenant_id: TenantId, user_id: UserId, *, limit: int
    ) -> tuple[Notification, ...]:
        """Return what a user was told, newest first."""
        mine = [
            told
            for owner, told in self._rows.values()
            if tenant_id in (ANY_TENANT, owner) and told.user_id == user_id
        ]
        return tuple(sorted(mine, key=lambda told: told.at, reverse=True))[:limit]
