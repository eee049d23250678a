"""Policies that are decided when the process starts."""

from __future__ import annotations

from collections.abc import Mapping

from actors.video_intake.policy import TenantPolicy
from schemas.base import TenantId


class FixedPolicies:
    """One policy for all, and another for those who are named."""

    def __init__(
        self, default: TenantPolicy, by_tenant: Mapping[TenantId, TenantPolicy] | None = None
    ) -> None:
        self._default = default
        self._by_tenant = dict(by_tenant or {})

    async def of(self, tenant_id: TenantId) -> TenantPolicy:
        """Return what a tenant may upload."""
        return self._by_tenant.get(tenant_id, self._default)
