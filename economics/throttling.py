"""How many renders at once a provider can stand, learnt from what its hosts refuse.

Three refusals within five minutes halve the limit, from eight down to one. Ten minutes after the
last time it is lifted: whoever is asked too often today need not be tomorrow, and the only way to
know is to ask.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from schemas.base import ProviderId

REFUSALS: Final = 3
WINDOW: Final = timedelta(minutes=5)
LASTS: Final = timedelta(minutes=10)
FIRST: Final = 8
"""The limit after the first time; most fleets have fewer hosts for one provider."""
PROVIDERS_LIMIT: Final = 1024


class Throttle(Struct, frozen=True, kw_only=True):
    """What a provider is to be held to."""

    limit: int
    until: datetime


class _Provider:
    def __init__(self) -> None:
        self.refusals: deque[datetime] = deque(maxlen=REFUSALS)
        self.throttle: Throttle | None = None


class Throttling:
    """What is remembered of each provider; rebuilt by replaying the telemetry.

    >>> from datetime import UTC
    >>> throttling = Throttling()
    >>> throttling.update(ProviderId("fx"), 3, datetime(2026, 3, 1, 12, tzinfo=UTC)).limit
    8
    """

    def __init__(self) -> None:
        self._providers: OrderedDict[ProviderId, _Provider] = OrderedDict()

    def update(self, provider_id: ProviderId, refusals: int, at: datetime) -> Throttle | None:
        """Take the refusals that one task met; return a new limit when there is to be one."""
        if refusals <= 0:
            return None
        known = self._providers.setdefault(provider_id, _Provider())
        self._providers.move_to_end(provider_id)
        while len(self._providers) > PROVIDERS_LIMIT:
            self._providers.popitem(last=False)
        known.refusals.extend([at] * min(refusals, REFUSALS))
        if len(known.refusals) < REFUSALS or at - known.refusals[0] > WINDOW:
            return None
        known.refusals.clear()
        before = known.throttle
        limit = max(1, before.limit // 2) if before and at < before.until else FIRST
        known.throttle = Throttle(limit=limit, until=at + LASTS)
        return known.throttle
