"""Uploads in Postgres, in the schema ``video_intake``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import asyncpg
import msgspec
from msgspec import Struct

from actors.runtime.queries import named_queries
from actors.video_intake.core import Upload, UploadState
from actors.video_intake.policy import RetentionPolicy, ends
from schemas.base import TenantId, VideoId


class PostgresUploads:
    """Remembers uploads in one table, a row for each."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._queries = named_queries(Path(__file__).with_name("queries.sql"))

    async def find(self, video_id: VideoId, tenant_id: TenantId) -> Upload | None:
        """Return what is remembered; ``ANY_TENANT`` finds an upload of whichever tenant."""
        return await self._one("find", video_id, tenant_id)

    async def record(self, upload: Upload) -> None:
        """Remember an upload in its newest state; when it was first seen stays as it was."""
        await self._pool.execute(
            self._queries["record"],
            upload.tenant_id,
            upload.video_id,
            upload.user_id,
            upload.source_uri,
            upload.state.value,
            _encoded(upload.metadata),
            _encoded(upload.normalized),
            upload.content_hash,
            upload.code,
            upload.reason,
            upload.hint,
            # a text column takes no zero byte, and a child's last words may hold one
            upload.detail.replace("\x00", ""),
            upload.uploaded_at,
            upload.fingerprint,
            upload.duplicate_of,
            upload.similar_to,
            _encoded(upload.screening),
            _encoded(upload.review),
            upload.kept.value,
        )

    async def forget(self, video_id: VideoId, tenant_id: TenantId) -> None:
        """Remember nothing of an upload any more."""
        await self._pool.execute(self._queries["forget"], video_id, tenant_id)

    async def twin(self, tenant_id: TenantId, content_hash: str, *, but: VideoId) -> Upload | None:
        """Return the tenant's oldest other upload of the same bytes that is not rejected."""
        return await self._one("twin", tenant_id, content_hash, but)

    async def recognisable(self, tenant_id: TenantId, *, limit: int) -> Sequence[Upload]:
        """Return the tenant's newest uploads that have a fingerprint."""
        return await self._many("recognisable", tenant_id, limit)

    async def arrived(
        self, tenant_id: TenantId, video_id: VideoId, *, at: datetime, since: datetime
    ) -> int:
        """Note that an upload came, once, and return how many came after ``since``."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(self._queries["departed"], tenant_id, since)
            await connection.execute(self._queries["arrive"], tenant_id, video_id, at)
            return int(await connection.fetchval(self._queries["arrivals"], tenant_id, since))

    async def awaiting(
        self, tenant_id: TenantId, state: UploadState, *, limit: int
    ) -> Sequence[Upload]:
        """Return the uploads in a state, oldest first; ``ANY_TENANT`` means everybody's."""
        return await self._many("awaiting", tenant_id, state.value, limit)

    async def due(self, policy: RetentionPolicy, *, at: datetime, limit: int) -> Sequence[Upload]:
        """Return uploads of which the policy leaves less than is kept, oldest first."""
        over = [
            ends(days, at=at)
            for days in (policy.raw_days, policy.derived_days, policy.refused_days)
        ]
        return await self._many("due", *over, limit)

    async def _one(self, query: str, *values: object) -> Upload | None:
        row = await self._pool.fetchrow(self._queries[query], *values)
        return None if row is None else _decoded(row["found"])

    async def _many(self, query: str, *values: object) -> Sequence[Upload]:
        rows = await self._pool.fetch(self._queries[query], *values)
        return [_decoded(row["found"]) for row in rows]


def _encoded(part: Struct | None) -> str | None:
    return None if part is None else msgspec.json.encode(part).decode()


def _decoded(row: str) -> Upload:
    """Read a row; its columns are named as the fields are, and what only the table has is left."""
    return msgspec.json.decode(row, type=Upload)
