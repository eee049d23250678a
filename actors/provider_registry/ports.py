"""What the registry needs: somewhere to keep records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from schemas.routing import ProviderRecord


class Records(Protocol):
    """Provider records by revision. A stored revision never changes."""

    async def current(self) -> Sequence[ProviderRecord]:
        """Return the newest revision of every provider, sorted by provider id."""
        ...

    async def ship(self, record: ProviderRecord, *, digest: str) -> ProviderRecord | None:
        """Store shipped content as a new revision, unless it was shipped before.

        Content that an admin has replaced since stays replaced: what decides is whether this
        ``digest`` was ever shipped, not whether it is the newest revision.

        Returns:
            The record with its revision, or ``None`` when there was nothing to do.
        """
        ...
