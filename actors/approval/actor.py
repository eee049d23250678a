"""The shell around notices and decisions."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from actors.approval import core
from actors.approval.ports import APPROVED, REJECTED, Notifications, Queue, Verdict
from actors.runtime.contract import Clock, GiveUp, Said
from actors.runtime.follow import follow
from schemas.asks import Notification
from schemas.base import Message
from schemas.commands import DecideApproval
from schemas.events import (
    AdminApproved,
    AdminRejected,
    ApprovalRequested,
    BestResultSelected,
    Decision,
    EffectPublished,
    JobEnded,
    Notice,
    UserNotified,
)
from schemas.jobs import JobState


class Approval:
    """Module 9: tells the user, asks the admin.

    Hears:    BestResultSelected, ApprovalRequested, AdminRejected, EffectPublished, JobEnded,
              DecideApproval
    Says:     UserNotified, AdminApproved or AdminRejected
    Owns:     the approval queue, the in-app messages
    Repeats:  harmless; a message is stored under its event, and the first decision stands
    """

    def __init__(self, *, queue: Queue, notifications: Notifications, clock: Clock) -> None:
        self._queue = queue
        self._notifications = notifications
        self._clock = clock

    async def receive(self, heard: Message) -> Sequence[Said]:
        """Tell, ask, or decide.

        Raises:
            GiveUp: a decision about a job that never asked for one.
        """
        job_id, tenant_id = heard.correlation_id, heard.tenant_id
        match heard:
            case BestResultSelected(payload=selection):
                return await self._tell(heard, core.result_ready(job_id, selection))
            case ApprovalRequested(payload=selection):
                await self._queue.add(job_id, tenant_id, selection, at=self._clock.now())
            case AdminRejected(payload=decision):
                return await self._tell(heard, core.rejected(job_id, decision))
            case EffectPublished(payload=where):
                # a job that was cancelled meanwhile is in the gallery no more
                if await self._queue.has_ended(job_id, tenant_id):
                    return []
                return await self._tell(heard, core.published(where))
            case JobEnded(payload=ending):
                if ending.state is not JobState.COMPLETE:
                    await self._queue.withdraw(job_id, tenant_id, at=self._clock.now())
                return await self._tell(heard, core.ended(job_id, ending))
            case DecideApproval():
                return await self._decide(heard)
        return []

    async def _tell(self, heard: Message, notice: Notice | None) -> Sequence[Said]:
        """Store the message first: what is said to be told has been told."""
        if notice is None or not notice.user_id:
            return []
        at = self._clock.now()
        header = follow(heard, UserNotified, at=at, part=notice.channel)
        notification = Notification(
            user_id=notice.user_id,
            job_id=heard.correlation_id,
            kind=notice.kind,
            channel=notice.channel,
            subject=notice.subject,
            body=notice.body,
            link=notice.link,
            at=at,
        )
        await self._notifications.store(header["event_id"], heard.tenant_id, notification)
        return [UserNotified(**header, payload=notice)]

    async def _decide(self, heard: DecideApproval) -> Sequence[Said]:
        order = heard.payload
        wanted = APPROVED if order.approve else REJECTED
        verdict = await self._queue.decide(
            heard.correlation_id,
            heard.tenant_id,
            state=wanted,
            decided_by=order.decided_by,
            reason=order.reason,
            at=self._clock.now(),
            cause_id=heard.event_id,
        )
        if verdict is None:
            raise GiveUp(f"{heard.correlation_id} never asked for an approval")
        if verdict.state != wanted:
            return []
        return [_decision(heard, verdict)]


def _decision(heard: DecideApproval, verdict: Verdict) -> AdminApproved | AdminRejected:
    """Return the decision that stands, in the words and under the id it was first said with."""
    assert verdict.selection is not None
    assert verdict.decided_at is not None
    first = structs.replace(heard, event_id=verdict.cause_id)
    decision = Decision(
        decided_by=verdict.decided_by, selection=verdict.selection, reason=verdict.reason
    )
    if verdict.state == APPROVED:
        header = follow(first, AdminApproved, at=verdict.decided_at)
        return AdminApproved(**header, payload=decision)
    header = follow(first, AdminRejected, at=verdict.decided_at)
    return AdminRejected(**header, payload=decision)
