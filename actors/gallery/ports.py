"""What the module keeps: effects, their revisions, which one each shows, and what was withdrawn."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from schemas.asks import GalleryItem
from schemas.base import EventId, JobId, TenantId


class Catalog(Protocol):
    """Published effects. A revision is added and never changed."""

    async def published_by(self, cause_id: EventId) -> GalleryItem | None:
        """Return the revision that this approval has led to already, shown or not."""
        ...

    async def publish(
        self, draft: GalleryItem, *, job_id: JobId, tenant_id: TenantId, cause_id: EventId
    ) -> GalleryItem | None:
        """Add a revision with the next number and pin it; return it as it is kept.

        A revision that is there already is pinned and returned as it was first added. Of a job that
        was withdrawn nothing is added, and ``None`` returned.
        """
        ...

    async def withdraw(self, job_id: JobId, tenant_id: TenantId, *, at: datetime) -> None:
        """Show nothing of a job any more, for ever, whether or not it is published yet.

        Its revisions stay as they are; no effect shows them.
        """
        ...

    async def is_withdrawn(self, job_id: JobId, tenant_id: TenantId) -> bool:
        """Tell whether a job was withdrawn."""
        ...

    async def page(
        self, *, limit: int, before: str = "", effect_type: str = ""
    ) -> tuple[GalleryItem, ...]:
        """Return the pinned revisions, the newest effects first, those after ``before``."""
        ...

    async def find(self, effect_id: str) -> GalleryItem | None:
        """Return the pinned revision of an effect."""
        ...
