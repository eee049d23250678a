"""Module 3: the provider catalog."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from actors.provider_registry import core
from actors.provider_registry.ports import Records
from actors.runtime.contract import Clock, GiveUp, Put
from schemas.asks import ListProviders, ProviderPage
from schemas.routing import ProviderRecord
from subjects import topology


class ProviderRegistry:
    """Module 3: knows every provider.

    Hears:    nothing yet
    Answers:  ListProviders
    Owns:     provider_registry.provider, immutable revisions
    Repeats:  harmless; seeding the same catalog again stores nothing
    """

    def __init__(self, *, records: Records, clock: Clock) -> None:
        self._records = records
        self._clock = clock

    async def seed(self, catalog: Sequence[ProviderRecord]) -> tuple[ProviderRecord, ...]:
        """Store what is missing or changed in the shipped catalog; return what was stored.

        Raises:
            InvalidRecordError: a record cannot work; nothing of the catalog was stored.
        """
        for record in catalog:
            core.check(record)
        stored = [
            await self._records.ship(record, digest=core.digest(record)) for record in catalog
        ]
        return tuple(record for record in stored if record is not None)

    async def entries(self) -> tuple[Put, ...]:
        """Return the REGISTRY bucket: one entry for each provider, its current record."""
        return tuple(
            Put(
                bucket=topology.REGISTRY,
                key=record.provider_id,
                value=msgspec.json.encode(record),
            )
            for record in await self._records.current()
        )

    async def answer(self, question: Struct) -> Struct:
        """Answer ``ListProviders``."""
        if not isinstance(question, ListProviders):
            raise GiveUp(f"the registry does not answer {type(question).__name__}")
        return ProviderPage(providers=tuple(await self._records.current()))
