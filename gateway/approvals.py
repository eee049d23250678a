"""An admin's answer: publish this effect or not."""

from __future__ import annotations

from typing import Final

from actors.runtime.contract import Clock
from actors.runtime.follow import begin, derived_id
from gateway.errors import Refusal, not_found
from gateway.identity import Caller
from gateway.ids import is_id
from gateway.ports import Bus
from schemas.asks import ApprovalPage, FindApproval, ListApprovals, PendingApproval
from schemas.base import JobId
from schemas.commands import DecideApproval, DecisionOrder

PENDING: Final = "pending"
APPROVED: Final = "approved"
REJECTED: Final = "rejected"


class ApprovalDesk:
    """Shows what waits for an admin, and passes the decision on.

    Whoever decides first wins: the approval module takes one decision and no second.
    """

    def __init__(self, *, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock

    async def page(self, caller: Caller, *, state: str, limit: int) -> ApprovalPage:
        """Return what waits, oldest first."""
        question = ListApprovals(tenant_id=caller.tenant_id, state=state, limit=limit)
        return await self._bus.ask(question, ApprovalPage)

    async def decide(
        self, caller: Caller, job_id: str, *, approve: bool, reason: str = ""
    ) -> tuple[PendingApproval, bool]:
        """Pass a decision on; return the entry as it was, and whether the decision was new.

        Raises:
            Refusal: nothing waits for this job, or it was decided the other way.
        """
        entry = await self._find(caller, job_id)
        wanted = APPROVED if approve else REJECTED
        if entry.state == wanted:
            return entry, False
        if entry.state != PENDING:
            raise Refusal(
                409,
                "ALREADY_DECIDED",
                detail=f"the job was {entry.state} by {entry.decided_by or 'somebody else'}",
                hint="a decision stands; order the effect again to have another one published",
                more={"state": entry.state},
            )
        header = begin(
            job_id=entry.job_id,
            tenant_id=entry.tenant_id,
            at=self._clock.now(),
            event_id=derived_id("evt", entry.job_id, DecideApproval.__name__, wanted),
        )
        payload = DecisionOrder(decided_by=caller.user_id, approve=approve, reason=reason)
        await self._bus.publish(DecideApproval(**header, payload=payload))
        return entry, True

    async def _find(self, caller: Caller, job_id: str) -> PendingApproval:
        if is_id(job_id):
            question = FindApproval(tenant_id=caller.tenant_id, job_id=JobId(job_id))
            page = await self._bus.ask(question, ApprovalPage)
            if page.approvals:
                return page.approvals[0]
        raise not_found("UNKNOWN_APPROVAL", "approval of job", job_id)
