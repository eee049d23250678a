"""Orders accepted a moment ago, which the orchestrator may not have taken yet.

Without it a client that orders and looks at once would be told that its job does not exist.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from msgspec import Struct

from schemas.base import JobId
from schemas.jobs import JobOrder

REMEMBERED: Final = 4096
"""Orders kept; the oldest goes first."""


class RecentOrder(Struct, frozen=True):
    """An order, and when it was accepted."""

    order: JobOrder
    at: datetime


class RecentOrders:
    """The last orders of this process."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._orders: OrderedDict[JobId, RecentOrder] = OrderedDict()

    def remember(self, order: JobOrder, at: datetime) -> RecentOrder:
        """Keep an order, unless its job is known already; return the one that is kept."""
        kept = self._orders.setdefault(order.job_id, RecentOrder(order, at))
        while len(self._orders) > self._limit:
            self._orders.popitem(last=False)
        return kept

    def find(self, job_id: JobId) -> RecentOrder | None:
        """Return the order of a job, if it was accepted here not long ago."""
        return self._orders.get(job_id)

    def forget(self, job_id: JobId) -> None:
        """Drop an order: the orchestrator knows it now, or it was never stored."""
        self._orders.pop(job_id, None)
