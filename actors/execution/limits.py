"""How many renders of a provider may be under way at once. Pure.

The limit is the broker's to keep: it hands out no more than ``max_ack_pending`` messages of a
consumer before some are answered. A provider has a consumer in each lane, so its limit is shared
between them, a quarter for what nobody waits for, and at least one for each: a lane without any
would starve. (So a limit of one is one in each lane.)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from actors.runtime.contract import Put, Step
from schemas.base import EPOCH
from schemas.commands import SetConcurrency
from schemas.hosts import CONCURRENCY_LIMIT, ConcurrencyLimit
from schemas.lanes import BATCH, INTERACTIVE
from subjects import build
from subjects.topology import CONTROL

BATCH_SHARE: Final = 4
"""One in so many."""
UNLIMITED: Final[Mapping[str, int]] = {INTERACTIVE: CONCURRENCY_LIMIT, BATCH: CONCURRENCY_LIMIT}
"""What a provider nobody limits may have in each lane."""


class Limit(Struct, frozen=True, kw_only=True):
    """The state of the saga: the last order for one provider."""

    order: ConcurrencyLimit


def ordered(state: Limit | None, heard: SetConcurrency) -> Step[Limit] | None:
    """Take an order, unless a later one was taken already.

    Commands may overtake each other, so the time at which it was given decides.
    """
    if state is not None and heard.timestamp < state.order.ordered_at:
        return None
    order = msgspec.structs.replace(heard.payload, ordered_at=heard.timestamp)
    entry = Put(
        bucket=CONTROL,
        key=build.concurrency_key(order.provider_id),
        value=msgspec.json.encode(order),
    )
    return Step(Limit(order=order), (entry,))


def shares(order: ConcurrencyLimit | None, *, at: datetime) -> Mapping[str, int]:
    """Return how many renders each lane may have under way now.

    >>> shares(ConcurrencyLimit(provider_id=ProviderId("fx"), limit=8), at=EPOCH)
    {'interactive': 6, 'batch': 2}
    """
    if order is None or not active(order, at=at) or order.limit >= CONCURRENCY_LIMIT:
        return UNLIMITED
    batch = max(1, order.limit // BATCH_SHARE)
    return {INTERACTIVE: max(1, order.limit - batch), BATCH: batch}


def active(order: ConcurrencyLimit, *, at: datetime) -> bool:
    """Say whether an order holds at this time."""
    return order.until == EPOCH or at < order.until
