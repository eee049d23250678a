"""What the registry says, spelt in one place."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.runtime.contract import Put
from actors.runtime.follow import Header
from schemas.base import TenantId
from schemas.events import ProviderStatus, ProviderStatusChanged
from schemas.routing import ProviderRecord
from subjects import topology

PLATFORM: Final = TenantId("platform")
"""Providers are nobody's; the id of the provider stands where a job's would."""


def entry(record: ProviderRecord) -> Put:
    """Return a provider's entry in the REGISTRY bucket."""
    return Put(bucket=topology.REGISTRY, key=record.provider_id, value=msgspec.json.encode(record))


def status_changed(
    header: Header, record: ProviderRecord, *, previous: str, reason: str
) -> ProviderStatusChanged:
    """Return the fact that a provider is given jobs, or no more."""
    return ProviderStatusChanged(
        **header,
        payload=ProviderStatus(
            provider_id=record.provider_id,
            status=record.status,
            previous=previous,
            health_score=record.health.health_score if record.health else 0.0,
            reason=reason,
        ),
    )
