"""Answers about the approval queue and the messages of a user."""

from __future__ import annotations

from msgspec import Struct

from actors.approval.ports import Notifications, Queue
from actors.runtime.contract import GiveUp
from schemas.asks import (
    PAGE_LIMIT,
    ApprovalPage,
    FindApproval,
    ListApprovals,
    ListNotifications,
    NotificationPage,
)


class ApprovalAnswers:
    """Answers ``ListApprovals``, ``FindApproval`` and ``ListNotifications``."""

    def __init__(self, *, queue: Queue, notifications: Notifications) -> None:
        self._queue = queue
        self._notifications = notifications

    async def answer(self, question: Struct) -> Struct:
        """Look it up.

        Raises:
            GiveUp: this is no question about approvals.
        """
        match question:
            case ListApprovals():
                found = await self._queue.page(
                    question.tenant_id, state=question.state, limit=_bounded(question.limit)
                )
                return ApprovalPage(approvals=found)
            case FindApproval():
                place = await self._queue.find(question.tenant_id, question.job_id)
                return ApprovalPage(approvals=() if place is None else (place,))
            case ListNotifications():
                told = await self._notifications.page(
                    question.tenant_id, question.user_id, limit=_bounded(question.limit)
                )
                return NotificationPage(notifications=told)
        raise GiveUp(f"no answer to {type(question).__name__} is known here")


def _bounded(limit: int) -> int:
    return min(max(limit, 1), PAGE_LIMIT)
