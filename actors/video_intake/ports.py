"""What intake needs: a workshop that decodes, and a memory of uploads. See ``media.store`` too."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from actors.video_intake.core import Upload
from media.verdicts import Inspected, IntakeLimits, Normalized, Refusal
from schemas.base import TenantId, VideoId


class Workshop(Protocol):
    """Decodes files nobody vouches for; ``media.sandbox.Sandbox`` is one."""

    @property
    def limits(self) -> IntakeLimits:
        """What a clip may be."""
        ...

    async def inspect(self, source: Path) -> Inspected | Refusal:
        """Measure a file.

        Raises:
            SandboxBrokenError: nothing can be decoded on this machine.
            StoreFullError: the disk is full.
        """
        ...

    async def normalize(self, source: Path, out_dir: Path) -> Normalized | Refusal:
        """Write the mezzanine and the poster of a file into an empty folder.

        Raises:
            SandboxBrokenError: nothing can be decoded on this machine.
            StoreFullError: the disk is full.
        """
        ...


class Uploads(Protocol):
    """Remembers uploads, by tenant and video."""

    async def find(self, video_id: VideoId, tenant_id: TenantId) -> Upload | None:
        """Return what is remembered; ``ANY_TENANT`` finds an upload of whichever tenant."""
        ...

    async def record(self, upload: Upload) -> None:
        """Remember an upload in its newest state.

        Accepting an upload that is already normalised, from the same address, changes nothing.
        """
        ...
