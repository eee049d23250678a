"""Answers in memory, for the tests and for a look around without a database."""

from __future__ import annotations

from schemas.base import TenantId
from schemas.video import Analysis


class MemoryAnalyses:
    """An ``AnalysisCache`` that ends with the process."""

    def __init__(self) -> None:
        self._known: dict[tuple[TenantId, str, str], Analysis] = {}

    async def find(self, tenant_id: TenantId, content_hash: str, version: str) -> Analysis | None:
        """Return the answer of this very version, none of another's."""
        return self._known.get((tenant_id, content_hash, version))

    async def keep(
        self, tenant_id: TenantId, content_hash: str, version: str, analysis: Analysis
    ) -> None:
        """Remember an answer; one that is there already stays."""
        self._known.setdefault((tenant_id, content_hash, version), analysis)

    async def forget(self, tenant_id: TenantId, content_hash: str) -> None:
        """Remember nothing about these bytes any more, in any version."""
        for key in [each for each in self._known if each[:2] == (tenant_id, content_hash)]:
            del self._known[key]
