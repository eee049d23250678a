"""How many hosts the work that waits is worth. Pure: time is an argument.

Every host drains so many milliseconds of work in a millisecond as it has slots. Enough hosts are
those that drain what waits, and half of what runs, within ``TARGET``. More are asked for as soon
as that is so, at most twice as many at once; fewer only after the queue was empty for a while, one
at a time, because a host that was started has been paid for and takes a while to come again.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from schemas.base import EPOCH
from schemas.events import ScaleAdvice

TARGET: Final = timedelta(minutes=2)
"""How long a render may wait for its turn before there are too few hosts."""
UP_AGAIN: Final = timedelta(minutes=3)
"""About what a host takes to start: sooner, and the same work would be counted twice."""
DOWN_AFTER: Final = timedelta(minutes=10)
"""So long nothing waits, and so long after each change, before a host is given back."""
DOWN_AGAIN: Final = timedelta(hours=1)
"""Before the same host is given back again: nobody may be there who takes it."""
UNKNOWN_MS: Final = 30_000
"""What a render is taken for when nobody predicts it."""


class Demand(Struct, frozen=True, kw_only=True):
    """The work there is, and who is there to do it."""

    waiting: int
    running: int
    predicted_ms: int
    """What waits, one after the other."""
    hosts: int
    slots: int
    """Of all hosts together."""


class Bounds(Struct, frozen=True, kw_only=True):
    """How many hosts there may be."""

    least: int = 0
    most: int = 16


class Scaling(Struct, frozen=True, kw_only=True):
    """What is remembered between two looks."""

    changed_at: datetime = EPOCH
    idle_since: datetime | None = None
    """Since when nothing waits."""
    desired: int = 0
    """What was asked for last."""


def look(
    known: Scaling, demand: Demand, bounds: Bounds, *, at: datetime
) -> tuple[Scaling, ScaleAdvice | None]:
    """Return what to remember, and what to ask for when something is to be changed."""
    idle_since = None if demand.waiting else known.idle_since or at
    known = replace(known, idle_since=idle_since)
    enough = needed(demand, bounds)
    # A host that was asked for and is not there yet is counted, or it would be asked for twice.
    starting = at - known.changed_at < UP_AGAIN
    have = max(demand.hosts, known.desired) if starting else demand.hosts
    if enough > have and not starting:
        wanted = min(enough, max(2 * demand.hosts, demand.hosts + 1), bounds.most)
        wait = demand.predicted_ms / max(1, demand.slots) / 1000
        why = f"{demand.waiting} renders would wait up to {wait:.0f} s"
        if demand.hosts < bounds.least:
            why = f"there are to be {bounds.least} hosts at least"
        return _asked(known, demand, wanted, why, at=at)
    idle = idle_since is not None and at - idle_since >= DOWN_AFTER
    fewer = demand.hosts - 1
    pause = DOWN_AGAIN if fewer == known.desired else DOWN_AFTER
    if enough <= fewer and idle and at - known.changed_at >= pause:
        why = f"nothing waited for {DOWN_AFTER.total_seconds() / 60:.0f} minutes"
        return _asked(known, demand, fewer, why, at=at)
    return known, None


def needed(demand: Demand, bounds: Bounds) -> int:
    """Return how many hosts are enough.

    >>> busy = Demand(waiting=12, running=2, predicted_ms=720_000, hosts=2, slots=2)
    >>> needed(busy, Bounds(most=16))
    7
    """
    slots = max(1, demand.slots // max(1, demand.hosts))
    busy = math.ceil(demand.running / slots)
    each = demand.predicted_ms / demand.waiting if demand.waiting else 0.0
    work = demand.predicted_ms + each * demand.running / 2
    draining = math.ceil(work / (TARGET.total_seconds() * 1000) / slots)
    return min(bounds.most, max(bounds.least, busy, draining))


def _asked(
    known: Scaling, demand: Demand, desired: int, why: str, *, at: datetime
) -> tuple[Scaling, ScaleAdvice]:
    advice = ScaleAdvice(
        desired_hosts=desired,
        hosts=demand.hosts,
        waiting=demand.waiting,
        running=demand.running,
        predicted_ms=demand.predicted_ms,
        reason=why,
    )
    return replace(known, changed_at=at, desired=desired), advice
