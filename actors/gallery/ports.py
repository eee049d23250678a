"""What the module keeps: effects, their revisions, and which one each shows."""

from __future__ import annotations

from typing import Protocol

from schemas.asks import GalleryItem
from schemas.base import EventId, JobId, TenantId


class Catalog(Protocol):
    """Published effects. A revision is added and never changed."""

    async def published_by(self, cause_id: EventId) -> GalleryItem | None:
        """Return the revision that this approval has led to already."""
        ...

    async def publish(
        self, draft: GalleryItem, *, job_id: JobId, tenant_id: TenantId, cause_id: EventId
    ) -> GalleryItem:
        """Add a revision with the next number and pin it; return it as it is kept.

        A revision that is there already is pinned and returned as it was first added.
        """
        ...

    async def page(
        self, *, limit: int, before: str = "", effect_type: str = ""
    ) -> tuple[GalleryItem, ...]:
        """Return the pinned revisions, the newest effects first, those after ``before``."""
        ...

    async def find(self, effect_id: str) -> GalleryItem | None:
        """Return the pinned revision of an effect."""
        ...
