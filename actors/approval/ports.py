"""What the module keeps: the approval queue and the in-app messages."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from schemas.asks import Notification, PendingApproval
from schemas.base import EventId, JobId, TenantId, UserId
from schemas.jobs import Selection

PENDING: Final = "pending"
APPROVED: Final = "approved"
REJECTED: Final = "rejected"
WITHDRAWN: Final = "withdrawn"
"""The job ended by itself, so there is nothing to decide any more."""


class Verdict(Struct, frozen=True, kw_only=True):
    """Where a job stands in the queue after a decision; the first decision counts."""

    state: str
    selection: Selection | None
    """Null for a job that ended before it asked for an approval."""
    decided_by: UserId = UserId("")
    reason: str = ""
    decided_at: datetime | None = None
    cause_id: EventId = EventId("")
    """The command that decided."""


class Queue(Protocol):
    """The approval queue. A row leaves ``pending`` once and never comes back.

    A decision stays on record when its job ends by itself later; that it ended is kept beside it.
    """

    async def add(
        self, job_id: JobId, tenant_id: TenantId, selection: Selection, *, at: datetime
    ) -> None:
        """Put a job into the queue, unless it is or was there."""
        ...

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
        ...

    async def withdraw(self, job_id: JobId, tenant_id: TenantId, *, at: datetime) -> None:
        """Take a pending job out, keep one out that has not asked yet, remember that it ended."""
        ...

    async def has_ended(self, job_id: JobId, tenant_id: TenantId) -> bool:
        """Tell whether a job was withdrawn, whatever had been decided about it before."""
        ...

    async def page(
        self, tenant_id: TenantId, *, state: str, limit: int
    ) -> tuple[PendingApproval, ...]:
        """Return a tenant's jobs in a state, oldest first; an empty state means any."""
        ...

    async def find(self, tenant_id: TenantId, job_id: JobId) -> PendingApproval | None:
        """Return one job's place; another tenant's job is absent."""
        ...


class Notifications(Protocol):
    """The in-app channel."""

    async def store(
        self, event_id: EventId, tenant_id: TenantId, notification: Notification
    ) -> None:
        """Keep a message; the same event again changes nothing."""
        ...

    async def page(
        self, tenant_id: TenantId, user_id: UserId, *, limit: int
    ) -> tuple[Notification, ...]:
        """Return what a user was told, newest first."""
        ...
