"""The shipped catalog goes into the store, and what is stored to the agents."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from actors.provider_registry import core
from actors.provider_registry.ports import Records
from actors.provider_registry.words import PLATFORM, entry, status_changed
from actors.runtime.contract import Clock, Put
from actors.runtime.follow import begin, derived_id
from schemas.base import JobId
from schemas.events import ProviderStatusChanged
from schemas.routing import ProviderRecord


class Seeding(msgspec.Struct, frozen=True, kw_only=True):
    """What a start stored, and what is to be said of it."""

    stored: tuple[ProviderRecord, ...]
    said: tuple[ProviderStatusChanged, ...]


async def seed(records: Records, catalog: Sequence[ProviderRecord], *, clock: Clock) -> Seeding:
    """Store what is missing or changed in the shipped catalog.

    Raises:
        InvalidRecordError: a record cannot work; nothing of the catalog was stored.
    """
    for record in catalog:
        core.check(record)
    before = {each.provider_id: each.status for each in await records.current()}
    stored: list[ProviderRecord] = []
    said: list[ProviderStatusChanged] = []
    for record in catalog:
        fresh = await records.ship(record, digest=core.digest(record))
        if fresh is None:
            continue
        stored.append(fresh)
        previous = before.get(fresh.provider_id, "")
        if fresh.status != previous:
            said.append(_told(fresh, previous, clock))
    return Seeding(stored=tuple(stored), said=tuple(said))


async def entries(records: Records) -> tuple[Put, ...]:
    """Return the REGISTRY bucket: one entry for each provider, its current record."""
    return tuple(entry(record) for record in await records.current())


def _told(record: ProviderRecord, previous: str, clock: Clock) -> ProviderStatusChanged:
    event_id = derived_id("evt", "shipped", record.provider_id, str(record.revision))
    header = begin(
        job_id=JobId(record.provider_id),
        tenant_id=PLATFORM,
        at=clock.now(),
        event_id=event_id,
    )
    return status_changed(header, record, previous=previous, reason="the shipped catalog")
