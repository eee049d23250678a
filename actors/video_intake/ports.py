"""What intake needs: a workshop that decodes, and a memory of uploads. See ``media.store`` too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from actors.video_intake.core import Upload, UploadState
from actors.video_intake.policy import RetentionPolicy, TenantPolicy
from media.verdicts import Inspected, IntakeLimits, Normalized, Refusal
from schemas.base import TenantId, VideoId


class Workshop(Protocol):
    """Decodes files nobody vouches for; ``media.sandbox.Sandbox`` is one."""

    @property
    def limits(self) -> IntakeLimits:
        """What a clip may be."""
        ...

    async def inspect(
        self, source: Path, limits: IntakeLimits | None = None
    ) -> Inspected | Refusal:
        """Measure a file; ``limits`` are those of its owner.

        Raises:
            SandboxBrokenError: nothing can be decoded on this machine.
            StoreFullError: the disk is full.
        """
        ...

    async def normalize(
        self, source: Path, out_dir: Path, limits: IntakeLimits | None = None
    ) -> Normalized | Refusal:
        """Write the mezzanine of a file and what goes with it into an empty folder.

        Raises:
            SandboxBrokenError: nothing can be decoded on this machine.
            StoreFullError: the disk is full.
        """
        ...


class Policies(Protocol):
    """What each tenant may upload."""

    async def of(self, tenant_id: TenantId) -> TenantPolicy:
        """Return one tenant's policy."""
        ...


class Uploads(Protocol):
    """Remembers uploads, by tenant and video."""

    async def find(self, video_id: VideoId, tenant_id: TenantId) -> Upload | None:
        """Return what is remembered; ``ANY_TENANT`` finds an upload of whichever tenant."""
        ...

    async def record(self, upload: Upload) -> None:
        """Remember an upload in its newest state; when it was first seen stays as it was.

        Accepting an upload that work on came to an end, from the same address, changes nothing.
        """
        ...

    async def forget(self, video_id: VideoId, tenant_id: TenantId) -> None:
        """Remember nothing of an upload any more."""
        ...

    async def twin(self, tenant_id: TenantId, content_hash: str, *, but: VideoId) -> Upload | None:
        """Return the tenant's oldest other upload of the same bytes that is not rejected.

        One on which work came to an end goes before one that is only accepted.
        """
        ...

    async def recognisable(self, tenant_id: TenantId, *, limit: int) -> Sequence[Upload]:
        """Return the tenant's newest uploads that have a fingerprint."""
        ...

    async def arrived(
        self, tenant_id: TenantId, video_id: VideoId, *, at: datetime, since: datetime
    ) -> int:
        """Note that an upload came, once, and return how many came after ``since``."""
        ...

    async def awaiting(
        self, tenant_id: TenantId, state: UploadState, *, limit: int
    ) -> Sequence[Upload]:
        """Return the uploads in a state, oldest first; ``ANY_TENANT`` means everybody's."""
        ...

    async def due(self, policy: RetentionPolicy, *, at: datetime, limit: int) -> Sequence[Upload]:
        """Return uploads of which the policy leaves less than is kept, oldest first."""
        ...
