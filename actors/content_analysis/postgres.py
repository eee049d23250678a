"""Answers in Postgres, in the schema ``content_analysis``."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import msgspec

from actors.runtime.queries import named_queries
from schemas.base import TenantId
from schemas.video import Analysis


class PostgresAnalyses:
    """An ``AnalysisCache`` in one table, a row for each answer."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._sql = named_queries(Path(__file__).with_name("queries.sql"))

    async def find(self, tenant_id: TenantId, content_hash: str, version: str) -> Analysis | None:
        """Return the answer of this very version, none of another's."""
        found = await self._pool.fetchval(self._sql["find"], tenant_id, content_hash, version)
        return None if found is None else msgspec.json.decode(found, type=Analysis)

    async def keep(
        self, tenant_id: TenantId, content_hash: str, version: str, analysis: Analysis
    ) -> None:
        """Remember an answer; one that is there already stays."""
        await self._pool.execute(
            self._sql["keep"],
            tenant_id,
            content_hash,
            version,
            msgspec.json.encode(analysis).decode(),
        )

    async def forget(self, tenant_id: TenantId, content_hash: str) -> None:
        """Remember nothing about these bytes any more, in any version."""
        await self._pool.execute(self._sql["forget"], tenant_id, content_hash)
