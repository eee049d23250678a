"""How a provider is, from its agents and from what its renders came to. Pure.

A check is made of every window of ``WINDOW_S`` seconds. What one check finds is not believed at
once: it takes several that agree, more of them to call a provider ill than to call it well, and the
rates at which it falls ill and gets well again differ. So a provider at the edge does not flap.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from schemas.routing import ProviderHealth

HEALTHY: Final = "healthy"
DEGRADED: Final = "degraded"
UNHEALTHY: Final = "unhealthy"
OFFLINE: Final = "offline"
UNKNOWN: Final = "unknown"

WINDOW_S: Final = 30
DAY: Final = timedelta(hours=24)
RECENT: Final = 20
"""The last renders that tell how it is now; the day tells how it was."""
ENOUGH: Final = 5
"""Fewer renders than that tell nothing of a rate."""
TO_WORSE: Final = 3
"""Checks in a row that must agree before a provider is called worse, and before it is called
better."""
TO_BETTER: Final = 2

_BADNESS: Final = {HEALTHY: 0, UNKNOWN: 0, DEGRADED: 1, UNHEALTHY: 2, OFFLINE: 3}
_ILL_BELOW: Final = {DEGRADED: 0.9, UNHEALTHY: 0.5}
_WELL_FROM: Final = {DEGRADED: 0.95, UNHEALTHY: 0.6}
"""The rate below which a provider is this ill, and the one from which it no longer is."""
_PRIOR: Final = 2.0
_SLOW_SHARE: Final = 0.2
"""How much of the score is speed, the rest is success."""


class Record24h(Struct, frozen=True, kw_only=True):
    """What came of a provider's renders in a day, and of the last ``RECENT`` of them."""

    succeeded: int = 0
    failed: int = 0
    latency_ms: int | None = None
    recent_succeeded: int = 0
    recent_failed: int = 0
    recent_latency_ms: int | None = None


class Pulse(Struct, frozen=True, kw_only=True):
    """What the checks up to now made of a provider."""

    status: str = UNKNOWN
    found: str = UNKNOWN
    """What the last check found, believed or not."""
    times: int = 0
    """How many checks in a row found that."""


def window_of(at: datetime) -> int:
    """Return the number of the window that a time is in; the same in every process."""
    return int(at.timestamp()) // WINDOW_S


def starts(window: int, like: datetime) -> datetime:
    """Return when a window starts."""
    return datetime.fromtimestamp(window * WINDOW_S, tz=like.tzinfo)


def judge(before: Pulse, record: Record24h, *, agents: int) -> Pulse:
    """Return the pulse after one more check."""
    found = _find(before.status, record, agents=agents)
    times = before.times + 1 if found == before.found else 1
    after = replace(before, found=found, times=times)
    if found == before.status:
        return after
    worse = _BADNESS[found] > _BADNESS[before.status]
    needed = TO_WORSE if worse else TO_BETTER
    if before.status == UNKNOWN and found == HEALTHY:
        needed = 1
    return replace(after, status=found) if times >= needed else after


def health(pulse: Pulse, record: Record24h, *, agents: int, at: datetime) -> ProviderHealth:
    """Return what is shown of a provider."""
    done = record.succeeded + record.failed
    return ProviderHealth(
        status=pulse.status,
        last_check=at,
        success_rate_24h=round(record.succeeded / done, 4) if done else None,
        avg_latency_ms_24h=record.latency_ms,
        health_score=_score(record, agents=agents),
    )


def _find(status: str, record: Record24h, *, agents: int) -> str:
    if agents == 0:
        return OFFLINE
    done = record.recent_succeeded + record.recent_failed
    if done < ENOUGH:
        return HEALTHY
    rate = record.recent_succeeded / done
    for name in (UNHEALTHY, DEGRADED):
        is_ill = _BADNESS[status] >= _BADNESS[name] and status != OFFLINE
        if rate < (_WELL_FROM if is_ill else _ILL_BELOW)[name]:
            return name
    return HEALTHY


def _score(record: Record24h, *, agents: int) -> float:
    """Return 0 without agents, else success (with a prior of two good renders) and speed."""
    if agents == 0:
        return 0.0
    done = record.recent_succeeded + record.recent_failed
    success = (record.recent_succeeded + _PRIOR) / (done + _PRIOR)
    speed = 1.0
    if record.latency_ms and record.recent_latency_ms:
        speed = min(1.0, record.latency_ms / record.recent_latency_ms)
    return round((1.0 - _SLOW_SHARE) * success + _SLOW_SHARE * speed, 4)
