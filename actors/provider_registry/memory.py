"""Provider records in memory; passes the same suite as the database and serves the tests."""

from __future__ import annotations

import msgspec

from schemas.base import ProviderId
from schemas.routing import ProviderRecord


class MemoryRecords:
    """``Records`` that are gone with the process."""

    def __init__(self) -> None:
        self.revisions: dict[ProviderId, list[ProviderRecord]] = {}
        self._shipped: set[tuple[ProviderId, str]] = set()

    async def current(self) -> tuple[ProviderRecord, ...]:
        """Return the newest revision of every provider, sorted by provider id."""
        return tuple(self.revisions[name][-1] for name in sorted(self.revisions))

    async def ship(self, record: ProviderRecord, *, digest: str) -> ProviderRecord | None:
        """Store shipped content as a new revision, unless it was shipped before."""
        if (record.provider_id, digest) in self._shipped:
            return None
        self._shipped.add((record.provider_id, digest))
        known = self.revisions.setdefault(record.provider_id, [])
        stored = msgspec.structs.replace(record, revision=len(known) + 1)
        known.append(stored)
        return stored
