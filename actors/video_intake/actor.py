"""Step 1 of a job, and the two questions the gateway asks about uploads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from actors.runtime.contract import Clock, GiveUp, TryLater
from actors.runtime.follow import follow
from actors.video_intake import core
from actors.video_intake.ports import Uploads, Workshop
from media.errors import InvalidUriError, MediaNotFoundError, SandboxBrokenError, StoreFullError
from media.store import MediaStore
from media.verdicts import Inspected, Normalized, Refusal, size_refusal
from schemas.asks import FindUpload, InspectUpload, UploadFound, UploadInspected
from schemas.base import Message
from schemas.commands import IngestVideo
from schemas.events import VideoIngested, VideoRejected
from schemas.video import VideoMetadata

_FULL_RETRY_SECONDS: Final = 30.0
_BROKEN_RETRY_SECONDS: Final = 10.0


class VideoIntake:
    """Step 1: makes of an upload the one form that every later step sees.

    Hears:    IngestVideo
    Answers:  InspectUpload, FindUpload
    Says:     VideoIngested or VideoRejected
    Owns:     what is remembered of uploads; raw, normalised and poster objects in the store
    Repeats:  harmless; a mezzanine that is stored and recorded is not made again
    """

    def __init__(
        self, *, store: MediaStore, uploads: Uploads, workshop: Workshop, clock: Clock
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._workshop = workshop
        self._clock = clock

    async def receive(self, heard: IngestVideo) -> Sequence[Message]:
        """Normalise a stored upload, unless that is done already.

        Raises:
            TryLater: the store is full, or nothing can be decoded on this machine now.
            GiveUp: the order names an impossible address.
        """
        try:
            metadata = await self._already(heard) or await self._made(heard)
        except StoreFullError as error:
            raise TryLater(str(error), retry_after=_FULL_RETRY_SECONDS) from error
        except SandboxBrokenError as error:
            raise TryLater(str(error), retry_after=_BROKEN_RETRY_SECONDS) from error
        except InvalidUriError as error:
            raise GiveUp(str(error)) from error
        if isinstance(metadata, Refusal):
            header = follow(heard, VideoRejected, at=self._clock.now())
            return [VideoRejected(**header, payload=core.rejection(heard, metadata))]
        header = follow(heard, VideoIngested, at=self._clock.now())
        return [VideoIngested(**header, payload=core.video(heard, metadata))]

    async def answer(self, question: Struct) -> UploadInspected | UploadFound:
        """Say whether an upload is taken, or what is known of it.

        Raises:
            TryLater: the answer cannot be had now.
            GiveUp: not a question for this module.
        """
        if isinstance(question, FindUpload):
            upload = await self._uploads.find(question.video_id, question.tenant_id)
            return core.found(question.video_id, upload)
        if not isinstance(question, InspectUpload):
            raise GiveUp(f"video intake does not answer {type(question).__name__}")
        try:
            return await self._inspected(question)
        except StoreFullError as error:
            raise TryLater(str(error), retry_after=_FULL_RETRY_SECONDS) from error
        except SandboxBrokenError as error:
            raise TryLater(str(error), retry_after=_BROKEN_RETRY_SECONDS) from error

    async def _already(self, heard: IngestVideo) -> VideoMetadata | None:
        """Return the mezzanine's measures if it was made from this very upload and is stored."""
        order, tenant_id = heard.payload, heard.tenant_id
        known = await self._uploads.find(order.video_id, tenant_id)
        if known is None or known.source_uri != order.source_uri:
            return None
        for uri in (
            core.normalized_uri(tenant_id, order.video_id),
            core.poster_uri(tenant_id, order.video_id),
        ):
            if not await self._store.exists(uri):
                return None
        return known.normalized

    async def _made(self, heard: IngestVideo) -> VideoMetadata | Refusal:
        """Normalise, store, and only then remember, so that what is remembered is there."""
        order, tenant_id = heard.payload, heard.tenant_id
        if not core.owns(tenant_id, order.source_uri):
            return core.GONE
        try:
            async with self._store.as_file(order.source_uri) as source:
                with TemporaryDirectory(prefix="normalize-") as folder:
                    made = await self._workshop.normalize(source, Path(folder))
                    if isinstance(made, Normalized):
                        await self._keep(heard, made, Path(folder))
        except MediaNotFoundError:
            return core.GONE
        if isinstance(made, Refusal):
            await self._uploads.record(core.rejected(heard, made))
            return made
        await self._uploads.record(core.normalized(heard, made))
        return made.metadata

    async def _keep(self, heard: IngestVideo, made: Normalized, folder: Path) -> None:
        tenant_id, video_id = heard.tenant_id, heard.payload.video_id
        await self._store.put_file(
            core.poster_uri(tenant_id, video_id),
            folder / made.poster,
            content_type=core.POSTER_TYPE,
        )
        await self._store.put_file(
            core.normalized_uri(tenant_id, video_id),
            folder / made.video,
            content_type=core.VIDEO_TYPE,
        )

    async def _inspected(self, question: InspectUpload) -> UploadInspected:
        if not core.owns(question.tenant_id, question.source_uri):
            return core.declined(question.video_id, core.GONE)
        known = await self._uploads.find(question.video_id, question.tenant_id)
        try:
            size = await self._store.size(question.source_uri)
            if metadata := core.still_known(known, question, size):
                return core.inspected(question.video_id, metadata)
            verdict = await self._judged(question, size)
        except MediaNotFoundError:
            return core.declined(question.video_id, core.GONE)
        if isinstance(verdict, Refusal):
            await self._store.delete(question.source_uri)
            return core.declined(question.video_id, verdict)
        await self._uploads.record(core.accepted(question, verdict.metadata))
        return core.inspected(question.video_id, verdict.metadata)

    async def _judged(self, question: InspectUpload, size: int) -> Inspected | Refusal:
        # a store far away is not asked for the bytes of a file that is refused anyway
        if refusal := size_refusal(size, self._workshop.limits):
            return refusal
        async with self._store.as_file(question.source_uri) as source:
            return await self._workshop.inspect(source)
