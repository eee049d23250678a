"""Step 1 of a job, and what is asked about uploads: may it be used, what is it, remove it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from anyio import to_thread
from msgspec import Struct

from actors.runtime.contract import Clock, GiveUp, TryLater
from actors.runtime.follow import follow
from actors.video_intake import core, places
from actors.video_intake.core import Upload, UploadState
from actors.video_intake.desk import ReviewDesk
from actors.video_intake.fixed_policies import FixedPolicies
from actors.video_intake.policy import (
    RetentionPolicy,
    TenantPolicy,
    allows,
    dropped,
    leaves,
)
from actors.video_intake.ports import Policies, Uploads, Workshop
from media.errors import (
    InvalidUriError,
    MediaCorruptError,
    MediaNotFoundError,
    SandboxBrokenError,
    StoreAwayError,
    StoreFullError,
)
from media.screening import (
    HashList,
    NoHashList,
    Outcome,
    Screening,
    ScreeningPolicy,
    screened,
)
from media.slices import digest_of
from media.store import MediaStore
from media.verdicts import Inspected, IntakeLimits, Normalized, Refusal, size_refusal
from schemas.asks import (
    DecideReview,
    DeleteUpload,
    FindUpload,
    InspectUpload,
    ListReviews,
    UploadInspected,
)
from schemas.base import Message
from schemas.commands import IngestVideo
from schemas.events import VideoIngested, VideoRejected
from schemas.video import VideoMetadata

COMPARED: Final = 500
"""So many of a tenant's newest clips are compared with a new one."""
RETIRED_AT_ONCE: Final = 100
_HOUR: Final = timedelta(hours=1)
_FULL_RETRY_SECONDS: Final = 30.0
_BROKEN_RETRY_SECONDS: Final = 10.0
_AWAY_RETRY_SECONDS: Final = 5.0


class VideoIntake:
    """Step 1: makes of an upload the one form that every later step sees.

    Hears:    IngestVideo
    Answers:  InspectUpload, FindUpload, DeleteUpload, ListReviews, DecideReview
    Says:     VideoIngested or VideoRejected
    Owns:     what is remembered of uploads; the upload and all that is made of it in the store
    Repeats:  harmless; what was made of the same bytes and is stored is not made again
    """

    def __init__(
        self,
        *,
        store: MediaStore,
        uploads: Uploads,
        workshop: Workshop,
        clock: Clock,
        policies: Policies | None = None,
        hash_list: HashList | None = None,
        screening: ScreeningPolicy | None = None,
        retention: RetentionPolicy | None = None,
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._workshop = workshop
        self._clock = clock
        self._policies = policies or FixedPolicies(TenantPolicy(limits=workshop.limits))
        self._hash_list = hash_list or NoHashList()
        self._screening = screening or ScreeningPolicy()
        self._retention = retention or RetentionPolicy()
        self._desk = ReviewDesk(store=store, uploads=uploads, clock=clock)

    async def receive(self, heard: IngestVideo) -> Sequence[Message]:
        """Normalise a stored upload and screen it, unless that is done already.

        Raises:
            TryLater: the store is full or away, or nothing can be decoded on this machine now.
            GiveUp: the order names an impossible address.
        """
        try:
            with _put_off():
                outcome = await self._ready(heard) or await self._made(heard)
        except InvalidUriError as error:
            raise GiveUp(str(error)) from error
        if isinstance(outcome, Refusal):
            header = follow(heard, VideoRejected, at=self._clock.now())
            return [VideoRejected(**header, payload=core.rejection(heard, outcome))]
        header = follow(heard, VideoIngested, at=self._clock.now())
        return [VideoIngested(**header, payload=core.video(heard, outcome))]

    async def answer(self, question: Struct) -> Struct:
        """Say whether an upload is taken, what is known of it, or that it is gone.

        Raises:
            TryLater: the answer cannot be had now.
            GiveUp: not a question for this module.
        """
        with _put_off():
            if isinstance(question, InspectUpload):
                return await self._inspected(question)
            if isinstance(question, FindUpload):
                upload = await self._uploads.find(question.video_id, question.tenant_id)
                return core.found(question.video_id, upload)
            if isinstance(question, DeleteUpload):
                return await self._desk.delete(question)
            if isinstance(question, ListReviews):
                return await self._desk.list(question)
            if isinstance(question, DecideReview):
                return await self._desk.decide(question)
        raise GiveUp(f"video intake does not answer {type(question).__name__}")

    async def retire(self) -> int:
        """Remove what the retention policy does not keep; return of how many uploads.

        Call it again while it returns ``RETIRED_AT_ONCE``.

        Raises:
            StoreAwayError: the store cannot be reached.
        """
        now = self._clock.now()
        over = await self._uploads.due(self._retention, at=now, limit=RETIRED_AT_ONCE)
        for upload in over:
            kept = leaves(upload, self._retention, at=now)
            for uri in dropped(upload, kept):
                await self._store.delete(uri)
            await self._uploads.record(msgspec.structs.replace(upload, kept=kept))
        return len(over)

    async def _ready(self, heard: IngestVideo) -> VideoMetadata | Refusal | None:
        """Return the mezzanine's measures if all was made from this very upload and is stored."""
        order, tenant_id = heard.payload, heard.tenant_id
        known = await self._uploads.find(order.video_id, tenant_id)
        if known is None or known.source_uri != order.source_uri:
            return None
        if refusal := core.standing(known):
            return refusal
        if known.normalized is None:
            return None
        for uri in _expected(known):
            if not await self._store.exists(uri):
                return None
        return known.normalized

    async def _made(self, heard: IngestVideo) -> VideoMetadata | Refusal:
        """Normalise, store, and only then remember, so that what is remembered is there."""
        order, tenant_id = heard.payload, heard.tenant_id
        if not places.owns(tenant_id, order.source_uri):
            return core.GONE
        try:
            async with self._store.as_file(order.source_uri) as source:
                content_hash = (await to_thread.run_sync(digest_of, source)).hex()
                upload = await self._copied(heard, content_hash)
                if upload is None:
                    upload = await self._worked(heard, source)
        except MediaNotFoundError:
            return core.GONE
        await self._uploads.record(upload)
        if not await self._store.exists(order.source_uri):
            # its owner removed it while it was worked on; what was made must not outlive it
            await self._desk.remove(upload)
            return core.GONE
        return core.outcome_of(upload)

    async def _copied(self, heard: IngestVideo, content_hash: str) -> Upload | None:
        """Return the upload with what was made of an earlier one with the same bytes, if any."""
        video_id, tenant_id = heard.payload.video_id, heard.tenant_id
        twin = await self._uploads.twin(tenant_id, content_hash, but=video_id)
        if twin is None or twin.state not in core.DONE:
            return None
        upload = core.copied(heard, twin, at=self._clock.now())
        if twin.state is UploadState.BLOCKED:
            return upload
        try:
            for theirs, ours in zip(_expected(twin), _expected(upload), strict=True):
                async with self._store.as_file(theirs) as path:
                    await self._store.put_file(ours, path, content_type=places.type_of(ours))
        except MediaNotFoundError:
            return None
        return upload

    async def _worked(self, heard: IngestVideo, source: Path) -> Upload:
        now, tenant_id = self._clock.now(), heard.tenant_id
        known = await self._uploads.find(heard.payload.video_id, tenant_id)
        limits = (await self._policies.of(tenant_id)).limits
        with TemporaryDirectory(prefix="normalize-") as folder:
            made = await self._workshop.normalize(source, Path(folder), limits)
            if isinstance(made, Refusal):
                return core.rejected(heard, made, at=now)
            screening = await self._screened(known, made)
            if screening.outcome is not Outcome.BLOCKED:
                await self._keep(heard, made, Path(folder))
        looking_alike = await self._uploads.recognisable(tenant_id, limit=COMPARED)
        similar = core.lookalike(made.fingerprint, looking_alike, but=heard.payload.video_id)
        upload = core.normalized(heard, made, screening, at=now, similar=similar)
        return msgspec.structs.replace(upload, review=known.review if known else None)

    async def _screened(self, known: Upload | None, made: Normalized) -> Screening:
        if core.approved(known, made.source.content_hash):
            return Screening(outcome=Outcome.PASSED, why="an admin approved it", nudity=made.nudity)
        listed = await self._hash_list.match(made.source.content_hash, made.fingerprint)
        return screened(self._screening, made.nudity, listed=listed)

    async def _keep(self, heard: IngestVideo, made: Normalized, folder: Path) -> None:
        to = places.Derived.of(heard.tenant_id, heard.payload.video_id)
        for uri, name in (
            (to.waveform, made.waveform),
            (to.preview, made.preview),
            (to.poster, made.poster),
            (to.video, made.video),
        ):
            if name:
                await self._store.put_file(uri, folder / name, content_type=places.type_of(uri))

    async def _inspected(self, question: InspectUpload) -> UploadInspected:
        if not places.owns(question.tenant_id, question.source_uri):
            return core.declined(question.video_id, core.GONE)
        known = await self._uploads.find(question.video_id, question.tenant_id)
        try:
            size = await self._store.size(question.source_uri)
            if upload := core.still_known(known, question, size):
                return core.inspected(upload)
            verdict = await self._judged(question, size)
        except MediaNotFoundError:
            return core.declined(question.video_id, core.GONE)
        if isinstance(verdict, Refusal):
            await self._store.delete(question.source_uri)
            return core.declined(question.video_id, verdict)
        await self._uploads.record(verdict)
        return core.inspected(verdict)

    async def _judged(self, question: InspectUpload, size: int) -> Upload | Refusal:
        policy, now = await self._policies.of(question.tenant_id), self._clock.now()
        came = await self._uploads.arrived(
            question.tenant_id, question.video_id, at=now, since=now - _HOUR
        )
        if came > policy.uploads_per_hour:
            return core.too_many_uploads(policy.uploads_per_hour)
        # a store far away is not asked for the bytes of a file that is refused anyway
        if refusal := size_refusal(size, policy.limits):
            return refusal
        async with self._store.as_file(question.source_uri) as source:
            content_hash = (await to_thread.run_sync(digest_of, source)).hex()
            if await self._hash_list.match(content_hash, ""):
                return core.BLOCKED
            twin = await self._uploads.twin(question.tenant_id, content_hash, but=question.video_id)
            verdict = await self._measured(source, twin, policy.limits)
        if isinstance(verdict, Refusal):
            return verdict
        return core.accepted(question, verdict.metadata, at=now, twin=twin)

    async def _measured(
        self, source: Path, twin: Upload | None, limits: IntakeLimits
    ) -> Inspected | Refusal:
        """Measure a file, unless the same bytes were measured before."""
        if twin is None or twin.metadata is None:
            return await self._workshop.inspect(source, limits)
        if twin.state is UploadState.BLOCKED:
            return core.BLOCKED
        if allows(limits, twin.metadata):
            return Inspected(metadata=twin.metadata)
        return await self._workshop.inspect(source, limits)


def _expected(upload: Upload) -> Sequence[str]:
    """Return where something must be stored of an upload that was worked on."""
    made = places.Derived.of(upload.tenant_id, upload.video_id)
    loud = upload.normalized is not None and upload.normalized.has_audio
    return made.all() if loud else made.all()[1:]


@contextmanager
def _put_off() -> Iterator[None]:
    """Turn trouble of the machine into a later try: the clip is not at fault."""
    try:
        yield
    except StoreFullError as error:
        raise TryLater(str(error), retry_after=_FULL_RETRY_SECONDS) from error
    except SandboxBrokenError as error:
        raise TryLater(str(error), retry_after=_BROKEN_RETRY_SECONDS) from error
    except (StoreAwayError, MediaCorruptError) as error:
        raise TryLater(str(error), retry_after=_AWAY_RETRY_SECONDS) from error
