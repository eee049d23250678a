"""Uploads in memory, for tests and trials; meets the same suite as the Postgres adapter."""

from __future__ import annotations

from actors.video_intake.core import Upload, UploadState
from schemas.asks import ANY_TENANT
from schemas.base import TenantId, VideoId


class MemoryUploads:
    """Remembers uploads for as long as the process lives."""

    def __init__(self) -> None:
        self._uploads: dict[tuple[TenantId, VideoId], Upload] = {}

    async def find(self, video_id: VideoId, tenant_id: TenantId) -> Upload | None:
        """Return what is remembered; ``ANY_TENANT`` finds an upload of whichever tenant."""
        if tenant_id != ANY_TENANT:
            return self._uploads.get((tenant_id, video_id))
        matching = (known for (_, video), known in self._uploads.items() if video == video_id)
        return next(matching, None)

    async def record(self, upload: Upload) -> None:
        """Remember an upload in its newest state."""
        key = upload.tenant_id, upload.video_id
        known = self._uploads.get(key)
        if (
            known is not None
            and known.state is UploadState.NORMALIZED
            and upload.state is UploadState.ACCEPTED
            and known.source_uri == upload.source_uri
        ):
            return
        self._uploads[key] = upload
