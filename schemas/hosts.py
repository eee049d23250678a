"""What the CONTROL bucket says about hosts and providers: who stands aside, and who is held back.

Execution writes these entries; an agent reads the first, Execution itself the second.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from schemas.base import EPOCH, ProviderId

CONCURRENCY_LIMIT: Final = 64
"""Renders of one provider under way at once, unless fewer are allowed."""


class Quarantine(Struct, frozen=True, kw_only=True):
    """A host that lost several renders is given none until ``until``."""

    host: str
    since: datetime
    until: datetime
    times: int = 1
    """How often in a row; each time is twice as long as the one before."""
    reason: str = ""


class ConcurrencyLimit(Struct, frozen=True, kw_only=True):
    """How many renders of a provider may be under way at once, on all hosts together."""

    provider_id: ProviderId
    limit: Annotated[int, Meta(ge=1, le=CONCURRENCY_LIMIT)]
    reason: str = ""
    until: datetime = EPOCH
    """When it ends by itself; ``EPOCH`` is never."""
    ordered_at: datetime = EPOCH
