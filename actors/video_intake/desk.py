"""What people do with uploads after they came: owners remove them, admins decide on them."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.runtime.contract import Clock
from actors.video_intake import core, places
from actors.video_intake.core import Kept, Review, Upload, UploadState
from actors.video_intake.ports import Uploads
from media.store import MediaStore
from schemas.asks import (
    PAGE_LIMIT,
    DecideReview,
    DeleteUpload,
    ListReviews,
    ReviewDecided,
    ReviewPage,
    UploadDeleted,
)
from schemas.base import UserId

QUEUES: Final = {state.value: state for state in (UploadState.HELD, UploadState.BLOCKED)}


class ReviewDesk:
    """Removes uploads, lists what screening held, and carries out what an admin decided."""

    def __init__(self, *, store: MediaStore, uploads: Uploads, clock: Clock) -> None:
        self._store = store
        self._uploads = uploads
        self._clock = clock

    async def delete(self, question: DeleteUpload) -> UploadDeleted:
        """Remove an upload, all that was made of it, and what is remembered of it."""
        upload = await self._uploads.find(question.video_id, question.tenant_id)
        if upload is None:
            return UploadDeleted(video_id=question.video_id, found=False)
        removed = await self.remove(upload)
        return UploadDeleted(video_id=question.video_id, found=True, removed=removed)

    async def remove(self, upload: Upload) -> tuple[str, ...]:
        """Remove an upload; return where something was stored.

        The objects go first: should this stop half way, what is remembered leads to the rest. Of
        what is blocked the hash stays, and nothing that says whose it was.
        """
        removed = []
        for uri in places.everything_of(upload.tenant_id, upload.video_id, upload.source_uri):
            if await self._store.exists(uri):
                await self._store.delete(uri)
                removed.append(uri)
        if upload.state is UploadState.BLOCKED:
            await self._uploads.record(
                msgspec.structs.replace(
                    upload, user_id=UserId(""), source_uri="", kept=Kept.NOTHING
                )
            )
        else:
            await self._uploads.forget(upload.video_id, upload.tenant_id)
        return tuple(removed)

    async def list(self, question: ListReviews) -> ReviewPage:
        """Return what waits in a queue, oldest first; an unknown queue is empty."""
        state = QUEUES.get(question.state)
        if state is None:
            return ReviewPage(reviews=())
        limit = max(0, min(question.limit, PAGE_LIMIT))
        waiting = await self._uploads.awaiting(question.tenant_id, state, limit=limit)
        return ReviewPage(reviews=tuple(map(core.pending, waiting)))

    async def decide(self, question: DecideReview) -> ReviewDecided:
        """Let an upload go on, or block it. The decision is kept before anything is removed."""
        upload = await self._uploads.find(question.video_id, question.tenant_id)
        if upload is None:
            return ReviewDecided(video_id=question.video_id)
        review = Review(
            decided_by=question.decided_by, decided_at=self._clock.now(), note=question.note
        )
        decided = core.decided(upload, review, approve=question.approve)
        if decided is not upload:
            await self._uploads.record(decided)
        if decided.state is UploadState.BLOCKED:
            for uri in places.Derived.of(upload.tenant_id, upload.video_id).all():
                await self._store.delete(uri)
        return ReviewDecided(video_id=question.video_id, state=decided.state.value)
