"""Bytes to disk, the file to the store, the stored object to Video Intake.

The gateway keeps nothing that Video Intake refuses, and nothing that it could not ask about.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

import anyio.to_thread

from actors.runtime.contract import Clock
from actors.runtime.follow import new_id
from gateway.bodies import UploadView
from gateway.errors import (
    AskTimedOutError,
    BusUnavailableError,
    Refusal,
    UploadTooLargeError,
    not_found,
)
from gateway.identity import Caller, own_tenant
from gateway.ids import is_id
from gateway.ports import Bus
from gateway.settings import GatewaySettings
from media.store import MediaStore
from schemas.asks import (
    AnalysisForgotten,
    DeleteUpload,
    FindUpload,
    ForgetAnalysis,
    InspectUpload,
    ListRenders,
    RendersListed,
    UploadDeleted,
    UploadFound,
    UploadInspected,
)
from schemas.base import JobId, TenantId, VideoId
from schemas.video import VideoMetadata

PIECE_BYTES: Final = 1024 * 1024
"""So much is gathered in memory before it goes to disk."""

ABANDONED_S: Final = 24 * 3600
"""A plain upload that got no byte for so long is not under way any more."""

DELETE_TIMEOUT_S: Final = 15.0
"""Several objects are removed, from a store that may be far away."""

RAW_TYPE: Final = "application/octet-stream"
"""The content type of an upload: what it claims to be is not believed."""


class Handover:
    """Gives a whole file to the store and asks Video Intake whether it can be used."""

    def __init__(self, *, bus: Bus, store: MediaStore, settings: GatewaySettings) -> None:
        self._bus = bus
        self._store = store
        self._timeout = settings.inspect_timeout_s

    async def give(self, path: Path, *, video_id: VideoId, caller: Caller) -> UploadView:
        """Store a file and have it judged.

        Raises:
            Refusal: Video Intake does not accept it; nothing was kept.
            BusUnavailableError, AskTimedOutError: nobody judged it; nothing was kept.
            StoreFullError: there is no room; nothing was kept.
        """
        uri = raw_uri(caller.tenant_id, video_id)
        await self._store.put_file(uri, path, content_type=RAW_TYPE)
        return await self.judge(video_id, caller)

    async def judge(self, video_id: VideoId, caller: Caller) -> UploadView:
        """Have a stored upload judged, however it came to the store.

        Raises:
            Refusal: Video Intake does not accept it; nothing was kept.
            BusUnavailableError, AskTimedOutError: nobody judged it; nothing was kept.
        """
        uri = raw_uri(caller.tenant_id, video_id)
        question = InspectUpload(
            video_id=video_id,
            tenant_id=caller.tenant_id,
            user_id=caller.user_id,
            source_uri=uri,
        )
        try:
            seen = await self._bus.ask(question, UploadInspected, timeout=self._timeout)
        except (BusUnavailableError, AskTimedOutError):
            await self._store.delete(uri)
            raise
        if seen.accepted and seen.metadata is not None:
            return UploadView(video_id=video_id, metadata=seen.metadata)
        await self._store.delete(uri)
        raise Refusal(
            422,
            seen.code or "VIDEO_REFUSED",
            detail=seen.reason or "this video cannot be used",
            hint=seen.hint or "try another clip",
        )


class Uploads:
    """Plain uploads: one request, one video; and the end of every video."""

    def __init__(
        self,
        *,
        bus: Bus,
        store: MediaStore,
        handover: Handover,
        folder: Path,
        clock: Clock,
        settings: GatewaySettings,
    ) -> None:
        self._bus = bus
        self._store = store
        self._handover = handover
        self._folder = folder
        self._clock = clock
        self._limit = settings.max_upload_bytes

    async def sweep(self) -> None:
        """Remove what a killed gateway left behind. Nothing that may still be written to."""
        before = self._clock.now().timestamp() - ABANDONED_S
        await anyio.to_thread.run_sync(_sweep, self._folder, before)

    async def receive(
        self, caller: Caller, body: AsyncIterator[bytes], *, announced: int | None
    ) -> UploadView:
        """Take a body and have it judged.

        Raises:
            UploadTooLargeError: it is longer than allowed, or says so before it comes.
            Refusal: it is empty, or no usable video.
        """
        own_tenant(caller)
        if announced is not None and announced > self._limit:
            raise UploadTooLargeError(self._limit)
        path = self._folder / f"plain-{secrets.token_hex(12)}.part"
        try:
            await anyio.to_thread.run_sync(_create, path)
            if not await pour(body, path, at=0, room=self._limit):
                raise empty_upload()
            video_id = VideoId(new_id("vid", self._clock.now()))
            return await self._handover.give(path, video_id=video_id, caller=caller)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_remove, path)

    async def find(self, caller: Caller, video_id: str) -> tuple[VideoId, VideoMetadata | None]:
        """Return what is known of an upload.

        Raises:
            Refusal: no such upload, or another tenant's.
        """
        if is_id(video_id):
            question = FindUpload(video_id=VideoId(video_id), tenant_id=caller.tenant_id)
            found = await self._bus.ask(question, UploadFound)
            if found.source_uri:
                return found.video_id, found.metadata
        raise not_found("UNKNOWN_VIDEO", "video", video_id)

    async def delete(self, caller: Caller, video_id: str) -> None:
        """Remove an upload and everything that was made of it, but what is published.

        The upload goes last: should this stop half way, asking again finds and removes the rest.

        Raises:
            Refusal: no such upload, or another tenant's; or a job of it is under way.
        """
        own_tenant(caller)
        if is_id(video_id):
            found = VideoId(video_id)
            removed = await self._remove_renders(caller.tenant_id, found)
            await self._forget_analysis(caller.tenant_id, found)
            question = DeleteUpload(video_id=found, tenant_id=caller.tenant_id)
            answer = await self._bus.ask(question, UploadDeleted, timeout=DELETE_TIMEOUT_S)
            if answer.found or removed:
                return
        raise not_found("UNKNOWN_VIDEO", "video", video_id)

    async def _remove_renders(self, tenant_id: TenantId, video_id: VideoId) -> bool:
        """Remove what the video's jobs rendered; return whether there was anything.

        Raises:
            Refusal: a job is under way; nothing was removed.
        """
        removed = False
        for uri in await self._renders(tenant_id, video_id):
            if await self._store.exists(uri):
                await self._store.delete(uri)
                removed = True
        return removed

    async def _renders(self, tenant_id: TenantId, video_id: VideoId) -> Sequence[str]:
        uris: list[str] = []
        after = JobId("")
        while True:  # each answer goes on behind the last one, so this ends with the video's jobs
            question = ListRenders(tenant_id=tenant_id, video_id=video_id, after=after)
            listed = await self._bus.ask(question, RendersListed)
            if listed.unfinished:
                raise _job_running(listed.unfinished[0])
            uris += listed.uris
            if not listed.next:
                return uris
            after = listed.next

    async def _forget_analysis(self, tenant_id: TenantId, video_id: VideoId) -> None:
        find = FindUpload(video_id=video_id, tenant_id=tenant_id)
        metadata = (await self._bus.ask(find, UploadFound)).metadata
        if metadata is not None and metadata.content_hash:
            question = ForgetAnalysis(tenant_id=tenant_id, content_hash=metadata.content_hash)
            await self._bus.ask(question, AnalysisForgotten)


async def pour(body: AsyncIterator[bytes], path: Path, *, at: int, room: int) -> int:
    """Write a body into an existing file from ``at`` on; return how many bytes came.

    What came before the sender went away is written too, so that it need not be sent again, and
    all of it is on the disk, not in a cache, when this returns.

    Raises:
        UploadTooLargeError: more than ``room`` bytes came.
    """
    came = 0
    gathered = bytearray()
    file = await anyio.to_thread.run_sync(_open_at, path, at)
    try:
        async for piece in body:
            came += len(piece)
            if came > room:
                raise UploadTooLargeError(at + room)
            gathered += piece
            if len(gathered) >= PIECE_BYTES:
                await anyio.to_thread.run_sync(file.write, bytes(gathered))
                gathered.clear()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(_finish, file, bytes(gathered))
    return came


def raw_uri(tenant_id: TenantId, video_id: VideoId) -> str:
    """Return where the bytes of an upload are stored."""
    return f"s3://intake/raw/{tenant_id}/{video_id}"


def empty_upload() -> Refusal:
    """Return the refusal of an upload without a byte."""
    return Refusal(
        400,
        "EMPTY_UPLOAD",
        detail="the upload holds no bytes",
        hint="send the video as the request body, with its length",
    )


def _job_running(job_id: JobId) -> Refusal:
    return Refusal(
        409,
        "JOB_RUNNING",
        detail=f"the job {job_id!r} of this video is still under way",
        hint="cancel it first, or wait for its end",
        more={"job_id": job_id},
    )


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)


def _sweep(folder: Path, before: float) -> None:
    for path in folder.glob("plain-*.part"):
        if path.stat().st_mtime < before:
            path.unlink(missing_ok=True)


def _open_at(path: Path, at: int) -> BinaryIO:
    file = path.open("r+b")
    file.seek(at)
    file.truncate()
    return file


def _finish(file: BinaryIO, rest: bytes) -> None:
    with file:
        file.write(rest)
        file.flush()
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
