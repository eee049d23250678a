"""Seeding, the bucket's entries, and the one question."""

from __future__ import annotations

import msgspec
import pytest

from actors.provider_registry.actor import ProviderRegistry
from actors.provider_registry.errors import InvalidRecordError
from actors.provider_registry.memory import MemoryRecords
from actors.provider_registry.shipped import shipped
from actors.runtime.contract import FrozenClock, GiveUp
from schemas.asks import ListJobs, ListProviders, ProviderPage
from schemas.base import TenantId
from schemas.routing import ProviderRecord


def registry() -> ProviderRegistry:
    """Return an empty registry."""
    return ProviderRegistry(records=MemoryRecords(), clock=FrozenClock())


async def test_the_bucket_holds_every_provider_as_its_agents_read_it() -> None:
    """Agents know a provider only from there."""
    actor = registry()
    await actor.seed(shipped())
    entries = await actor.entries()

    assert [entry.key for entry in entries] == [record.provider_id for record in shipped()]
    assert {entry.bucket for entry in entries} == {"REGISTRY"}
    read = [msgspec.json.decode(entry.value, type=ProviderRecord) for entry in entries]
    assert read == list(shipped())


async def test_providers_are_listed_by_id() -> None:
    """The question of the admin panel and of routing."""
    actor = registry()
    await actor.seed(shipped())
    page = await actor.answer(ListProviders())

    assert isinstance(page, ProviderPage)
    assert [record.provider_id for record in page.providers] == sorted(
        record.provider_id for record in shipped()
    )


async def test_one_broken_record_stops_the_whole_seeding() -> None:
    """Half a catalog is worse than the one before."""
    actor = registry()
    good = shipped()[0]
    broken = msgspec.structs.replace(good, provider_id="no token")

    with pytest.raises(InvalidRecordError):
        await actor.seed((good, broken))
    assert await actor.entries() == ()


async def test_another_modules_question_is_refused() -> None:
    """It was sent to the wrong place and will not be answered by waiting."""
    with pytest.raises(GiveUp):
        await registry().answer(ListJobs(tenant_id=TenantId("tnt_1")))
