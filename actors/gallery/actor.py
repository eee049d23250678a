"""The shell around publishing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from anyio import to_thread
from msgspec import structs

from actors.gallery import core
from actors.gallery.ports import Catalog
from actors.runtime.contract import Clock, GiveUp, Said, TryLater
from actors.runtime.follow import follow
from media.errors import InvalidUriError, MediaNotFoundError, StoreFullError
from media.store import MediaStore
from schemas.asks import GalleryItem
from schemas.events import AdminApproved, EffectPublished, JobEnded
from schemas.jobs import JobState

FULL_RETRY_S: Final = 60.0
"""Somebody has to make room first; the job stays in ``PUBLISHING`` meanwhile."""


class Gallery:
    """Module 10, step 12: publishes what an admin approved.

    Hears:    AdminApproved; JobEnded, which takes back what an unpaid job has published
    Says:     EffectPublished
    Owns:     the catalog, and the bytes below ``s3://gallery/``
    Repeats:  harmless; the same approval is the same revision, and what is withdrawn stays so
    """

    def __init__(
        self, *, store: MediaStore, catalog: Catalog, public_url: str, clock: Clock
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._public_url = public_url
        self._clock = clock

    async def receive(self, heard: AdminApproved | JobEnded) -> Sequence[Said]:
        """Publish or say again what was published; withdraw it when its job ended otherwise.

        Raises:
            TryLater: the store is full.
            GiveUp: the approved result is gone.
        """
        job_id, tenant_id = heard.correlation_id, heard.tenant_id
        if isinstance(heard, JobEnded):
            if heard.payload.state is not JobState.COMPLETE:
                await self._catalog.withdraw(job_id, tenant_id, at=self._clock.now())
            return []
        # a cancellation is heard by itself, before or after the approval it made worthless
        if await self._catalog.is_withdrawn(job_id, tenant_id):
            return []
        item = await self._catalog.published_by(heard.event_id) or await self._publish(heard)
        if item is None:
            return []
        header = follow(heard, EffectPublished, at=item.published_at)
        said = core.published(heard, item, public_url=self._public_url)
        return [EffectPublished(**header, payload=said)]

    async def _publish(self, heard: AdminApproved) -> GalleryItem | None:
        source = heard.payload.selection.output_video_uri
        try:
            draft = await self._copy(heard, source)
        except (MediaNotFoundError, InvalidUriError) as gone:
            raise GiveUp(f"the approved result is gone: {gone}") from gone
        except StoreFullError as full:
            raise TryLater(str(full), retry_after=FULL_RETRY_S) from full
        # the bytes are there before anybody can find them
        return await self._catalog.publish(
            structs.replace(draft, published_at=self._clock.now()),
            job_id=heard.correlation_id,
            tenant_id=heard.tenant_id,
            cause_id=heard.event_id,
        )

    async def _copy(self, heard: AdminApproved, source: str) -> GalleryItem:
        async with self._store.as_file(source) as path:
            content_hash = await to_thread.run_sync(_sha256, path)
            draft = core.draft(heard, content_hash=content_hash, public_url=self._public_url)
            await self._store.put_file(draft.video_uri, path, content_type=core.CONTENT_TYPE)
        return draft


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
