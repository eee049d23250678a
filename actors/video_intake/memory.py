"""Uploads in memory, for tests and trials; meets the same suite as the Postgres adapter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from actors.video_intake.core import DONE, Upload, UploadState
from actors.video_intake.policy import RetentionPolicy, leaves
from schemas.asks import ANY_TENANT
from schemas.base import TenantId, VideoId


class MemoryUploads:
    """Remembers uploads for as long as the process lives."""

    def __init__(self) -> None:
        self._uploads: dict[tuple[TenantId, VideoId], Upload] = {}
        self._arrivals: dict[tuple[TenantId, VideoId], datetime] = {}

    async def find(self, video_id: VideoId, tenant_id: TenantId) -> Upload | None:
        """Return what is remembered; ``ANY_TENANT`` finds an upload of whichever tenant."""
        if tenant_id != ANY_TENANT:
            return self._uploads.get((tenant_id, video_id))
        matching = (known for (_, video), known in self._uploads.items() if video == video_id)
        return next(matching, None)

    async def record(self, upload: Upload) -> None:
        """Remember an upload in its newest state; when it was first seen stays as it was."""
        key = upload.tenant_id, upload.video_id
        known = self._uploads.get(key)
        if known is not None:
            if (
                known.state in DONE
                and upload.state is UploadState.ACCEPTED
                and known.source_uri == upload.source_uri
            ):
                return
            upload = msgspec.structs.replace(upload, uploaded_at=known.uploaded_at)
        self._uploads[key] = upload

    async def forget(self, video_id: VideoId, tenant_id: TenantId) -> None:
        """Remember nothing of an upload any more."""
        self._uploads.pop((tenant_id, video_id), None)

    async def twin(self, tenant_id: TenantId, content_hash: str, *, but: VideoId) -> Upload | None:
        """Return the tenant's oldest other upload of the same bytes that is not rejected."""
        same = [
            upload
            for upload in self._uploads.values()
            if (upload.tenant_id, upload.content_hash) == (tenant_id, content_hash)
            and upload.content_hash
            and upload.video_id != but
            and upload.state is not UploadState.REJECTED
        ]
        return min(same, key=lambda each: (each.state not in DONE, _age(each)), default=None)

    async def recognisable(self, tenant_id: TenantId, *, limit: int) -> Sequence[Upload]:
        """Return the tenant's newest uploads that have a fingerprint."""
        mine = [
            each
            for each in self._uploads.values()
            if each.tenant_id == tenant_id and each.fingerprint
        ]
        return sorted(mine, key=_age, reverse=True)[:limit]

    async def arrived(
        self, tenant_id: TenantId, video_id: VideoId, *, at: datetime, since: datetime
    ) -> int:
        """Note that an upload came, once, and return how many came after ``since``."""
        self._arrivals.setdefault((tenant_id, video_id), at)
        return sum(
            tenant == tenant_id and came > since for (tenant, _), came in self._arrivals.items()
        )

    async def awaiting(
        self, tenant_id: TenantId, state: UploadState, *, limit: int
    ) -> Sequence[Upload]:
        """Return the uploads in a state, oldest first; ``ANY_TENANT`` means everybody's."""
        found = [
            each
            for each in self._uploads.values()
            if each.state is state and tenant_id in (ANY_TENANT, each.tenant_id)
        ]
        return sorted(found, key=_age)[:limit]

    async def due(self, policy: RetentionPolicy, *, at: datetime, limit: int) -> Sequence[Upload]:
        """Return uploads of which the policy leaves less than is kept, oldest first."""
        found = [
            each for each in self._uploads.values() if leaves(each, policy, at=at) is not each.kept
        ]
        return sorted(found, key=_age)[:limit]


def _age(upload: Upload) -> tuple[datetime, VideoId]:
    return upload.uploaded_at, upload.video_id
