"""The catalog in Postgres."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg

from actors.runtime.queries import named_queries
from schemas.asks import GalleryItem
from schemas.base import EventId, JobId, ProviderId, TenantId

_SQL: Final = named_queries(Path(__file__).with_name("queries.sql"))


class PostgresCatalog:
    """``Catalog`` on three tables; a trigger refuses to change a revision."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def published_by(self, cause_id: EventId) -> GalleryItem | None:
        """Return the revision that this approval has led to already, shown or not."""
        row = await self._pool.fetchrow(_SQL["published_by"], cause_id)
        return None if row is None else _item(row)

    async def publish(
        self, draft: GalleryItem, *, job_id: JobId, tenant_id: TenantId, cause_id: EventId
    ) -> GalleryItem | None:
        """Add a revision with the next number and pin it; return it as it is kept."""
        effect_id, at = draft.effect_id, draft.published_at
        async with self._pool.acquire() as connection, connection.transaction():
            # two approvals at once must not both count to the same number, and a withdrawal
            # comes before all of this or after it
            await connection.execute(_SQL["lock_job"], job_id)
            if await connection.fetchval(_SQL["is_withdrawn"], job_id, tenant_id):
                return None
            await connection.execute(
                _SQL["add_effect"], effect_id, job_id, tenant_id, draft.effect_type, at
            )
            await connection.execute(
                _SQL["add_revision"],
                effect_id,
                draft.revision_id,
                cause_id,
                draft.title,
                draft.video_uri,
                draft.content_hash,
                at,
                draft.gallery_url,
                draft.provider_id,
                draft.composite_score,
            )
            await connection.execute(_SQL["pin"], effect_id, draft.revision_id)
            return _item(await connection.fetchrow(_SQL["find"], effect_id))

    async def withdraw(self, job_id: JobId, tenant_id: TenantId, *, at: datetime) -> None:
        """Show nothing of a job any more, for ever, whether or not it is published yet."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["lock_job"], job_id)
            await connection.execute(_SQL["withdraw"], job_id, tenant_id, at)
            await connection.execute(_SQL["unpin"], job_id, tenant_id)

    async def is_withdrawn(self, job_id: JobId, tenant_id: TenantId) -> bool:
        """Tell whether a job was withdrawn."""
        return bool(await self._pool.fetchval(_SQL["is_withdrawn"], job_id, tenant_id))

    async def page(
        self, *, limit: int, before: str = "", effect_type: str = ""
    ) -> tuple[GalleryItem, ...]:
        """Return the pinned revisions, the newest effects first, those after ``before``."""
        rows = await self._pool.fetch(_SQL["page"], before, effect_type, limit)
        return tuple(map(_item, rows))

    async def find(self, effect_id: str) -> GalleryItem | None:
        """Return the pinned revision of an effect."""
        row = await self._pool.fetchrow(_SQL["find"], effect_id)
        return None if row is None else _item(row)


def _item(row: asyncpg.Record) -> GalleryItem:
    return GalleryItem(
        effect_id=row["effect_id"],
        revision_id=row["revision_id"],
        revision=int(row["revision"]),
        effect_type=row["effect_type"],
        title=row["title"],
        video_uri=row["video_uri"],
        content_hash=row["content_hash"],
        published_at=row["published_at"],
        gallery_url=row["gallery_url"],
        provider_id=ProviderId(row["provider_id"]),
        composite_score=float(row["composite_score"]),
    )
