"""Uploads in Postgres, in the schema ``video_intake``."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import msgspec

from actors.runtime.queries import named_queries
from actors.video_intake.core import Upload, UploadState
from schemas.base import TenantId, UserId, VideoId
from schemas.video import VideoMetadata


class PostgresUploads:
    """Remembers uploads in one table, a row for each."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._queries = named_queries(Path(__file__).with_name("queries.sql"))

    async def find(self, video_id: VideoId, tenant_id: TenantId) -> Upload | None:
        """Return what is remembered; ``ANY_TENANT`` finds an upload of whichever tenant."""
        row = await self._pool.fetchrow(self._queries["find"], video_id, tenant_id)
        if row is None:
            return None
        return Upload(
            video_id=VideoId(row["video_id"]),
            tenant_id=TenantId(row["tenant_id"]),
            user_id=UserId(row["user_id"]),
            source_uri=row["source_uri"],
            state=UploadState(row["state"]),
            metadata=_decoded(row["metadata"]),
            normalized=_decoded(row["normalized"]),
            code=row["code"],
            reason=row["reason"],
            hint=row["hint"],
            detail=row["detail"],
        )

    async def record(self, upload: Upload) -> None:
        """Remember an upload in its newest state."""
        await self._pool.execute(
            self._queries["record"],
            upload.tenant_id,
            upload.video_id,
            upload.user_id,
            upload.source_uri,
            upload.state.value,
            _encoded(upload.metadata),
            _encoded(upload.normalized),
            upload.metadata.content_hash if upload.metadata else "",
            upload.code,
            upload.reason,
            upload.hint,
            # a text column takes no zero byte, and a child's last words may hold one
            upload.detail.replace("\x00", ""),
        )


def _encoded(metadata: VideoMetadata | None) -> str | None:
    return None if metadata is None else msgspec.json.encode(metadata).decode()


def _decoded(text: str | None) -> VideoMetadata | None:
    return None if text is None else msgspec.json.decode(text, type=VideoMetadata)
