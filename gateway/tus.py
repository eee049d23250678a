"""Resumable uploads after tus 1.0: core, creation, expiration, termination.

All state is on disk, a record and a part file for each upload, so a gateway may be killed at any
byte and the next one goes on. The file's own length is the offset. The last byte counts only once
Video Intake has accepted the clip: until then the offset stops one short of the end, so a client
that lost the answer sends that byte again and gets it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Final

import anyio.to_thread
import msgspec
from msgspec import Struct

from actors.runtime.contract import Clock
from actors.runtime.follow import derived_id, new_id
from gateway.bodies import UploadView
from gateway.errors import Refusal, UploadTooLargeError, not_found
from gateway.identity import Caller, own_tenant
from gateway.ids import is_id
from gateway.settings import GatewaySettings
from gateway.uploads import Handover, empty_upload, pour
from schemas.base import TenantId, UserId, VideoId

METADATA_LIMIT: Final = 4096
"""Characters of an Upload-Metadata header."""

SWEEP_LIMIT: Final = 64
"""Records of a tenant looked at for each new upload."""


class TusRecord(Struct, frozen=True, kw_only=True):
    """What is known of one upload besides its bytes."""

    upload_id: str
    tenant_id: TenantId
    user_id: UserId
    length: int
    touched_at: datetime
    metadata: str = ""
    view: UploadView | None = None
    """What Video Intake measured, once it has accepted the clip."""

    @property
    def video_id(self) -> VideoId:
        """The id the clip has from the first byte on; the same after a restart."""
        return VideoId(derived_id("vid", self.upload_id))


class TusState(Struct, frozen=True, kw_only=True):
    """Where an upload is, as its client sees it."""

    record: TusRecord
    offset: int
    expires_at: datetime


class TusUploads:
    """Creates, continues, finishes and drops resumable uploads."""

    def __init__(
        self, *, handover: Handover, folder: Path, clock: Clock, settings: GatewaySettings
    ) -> None:
        self._handover = handover
        self._folder = folder / "tus"
        self._clock = clock
        self._limit = settings.max_upload_bytes
        self._open_limit = settings.open_uploads
        self._expiry = timedelta(seconds=settings.upload_expiry_s)

    async def create(self, caller: Caller, *, length: int, metadata: str) -> TusState:
        """Make room for an upload of ``length`` bytes.

        Raises:
            UploadTooLargeError: longer than allowed.
            Refusal: no bytes at all, or too many unfinished uploads.
        """
        tenant_id = own_tenant(caller)
        if length > self._limit:
            raise UploadTooLargeError(self._limit)
        if length == 0:
            raise empty_upload()
        now = self._clock.now()
        record = TusRecord(
            upload_id=new_id("up", now),
            tenant_id=tenant_id,
            user_id=caller.user_id,
            length=length,
            touched_at=now,
            metadata=metadata,
        )
        await anyio.to_thread.run_sync(self._create, record, now)
        return self._state(record, size=0)

    async def find(self, caller: Caller, upload_id: str) -> TusState:
        """Return where an upload is.

        Raises:
            Refusal: no such upload, another tenant's, or one that has expired.
        """
        shelf = self._shelf(caller)
        return await anyio.to_thread.run_sync(self._find, shelf, upload_id)

    async def append(
        self,
        caller: Caller,
        upload_id: str,
        body: AsyncIterator[bytes],
        *,
        offset: int,
        announced: int | None,
    ) -> TusState:
        """Add bytes at ``offset``; with the last one the clip is judged.

        Raises:
            Refusal: a wrong offset, more bytes than declared, somebody else is writing, or Video
                Intake does not accept the clip, of which then nothing is kept.
        """
        shelf = self._shelf(caller)
        async with _held(shelf, upload_id):
            state = await anyio.to_thread.run_sync(self._find, shelf, upload_id)
            _check_offset(state, offset)
            if state.record.view is not None:
                return state
            room = state.record.length - offset
            if announced is not None and announced > room:
                raise _over_length(state.record)
            record = msgspec.structs.replace(state.record, touched_at=self._clock.now())
            await anyio.to_thread.run_sync(_write, _record(shelf, upload_id), record)
            part = _part(shelf, upload_id)
            try:
                came = await pour(body, part, at=offset, room=room)
            except UploadTooLargeError as error:
                raise _over_length(record) from error
            if came < room:
                return self._state(record, size=offset + came)
            return await self._finish(shelf, record, caller)

    async def drop(self, caller: Caller, upload_id: str) -> None:
        """Forget an upload and its bytes.

        Raises:
            Refusal: no such upload, or somebody is writing to it.
        """
        shelf = self._shelf(caller)
        async with _held(shelf, upload_id):
            await anyio.to_thread.run_sync(self._find, shelf, upload_id)
            await anyio.to_thread.run_sync(_drop, shelf, upload_id)

    async def _finish(self, shelf: Path, record: TusRecord, caller: Caller) -> TusState:
        part = _part(shelf, record.upload_id)
        try:
            view = await self._handover.give(part, video_id=record.video_id, caller=caller)
        except Refusal:
            await anyio.to_thread.run_sync(_drop, shelf, record.upload_id)
            raise
        done = msgspec.structs.replace(record, view=view, touched_at=self._clock.now())
        await anyio.to_thread.run_sync(_keep_done, shelf, done)
        return self._state(done, size=record.length)

    def _shelf(self, caller: Caller) -> Path:
        return self._folder / own_tenant(caller)

    def _create(self, record: TusRecord, now: datetime) -> None:
        shelf = self._folder / record.tenant_id
        (shelf / "done").mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sweep(shelf, now)
        if sum(1 for _ in shelf.glob("*.json")) >= self._open_limit:
            raise Refusal(
                429,
                "TOO_MANY_UPLOADS",
                detail=f"{self._open_limit} uploads are unfinished already",
                hint="finish one, or end it with DELETE",
                headers={"Retry-After": "60"},
            )
        _part(shelf, record.upload_id).touch(mode=0o600)
        _write(_record(shelf, record.upload_id), record)

    def _find(self, shelf: Path, upload_id: str) -> TusState:
        record = _read(shelf, upload_id) if is_id(upload_id) else None
        if record is None or record.touched_at + self._expiry < self._clock.now():
            raise not_found("UNKNOWN_UPLOAD", "upload", upload_id)
        if record.view is not None:
            return self._state(record, size=record.length)
        try:
            size = _part(shelf, upload_id).stat().st_size
        except FileNotFoundError:
            raise not_found("UNKNOWN_UPLOAD", "upload", upload_id) from None
        return self._state(record, size=size)

    def _state(self, record: TusRecord, *, size: int) -> TusState:
        whole = record.length if record.view is not None else record.length - 1
        return TusState(
            record=record,
            offset=min(size, whole),
            expires_at=record.touched_at + self._expiry,
        )

    def _sweep(self, shelf: Path, now: datetime) -> None:
        for path in _oldest(shelf):
            record = _read(shelf, path.stem)
            if record is not None and record.touched_at + self._expiry < now:
                _drop(shelf, path.stem)


@asynccontextmanager
async def _held(shelf: Path, upload_id: str) -> AsyncIterator[None]:
    """Keep everybody else from writing; the operating system lets go when the process dies."""
    lock = await anyio.to_thread.run_sync(_lock, shelf, upload_id)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock(shelf: Path, upload_id: str) -> int | None:
    """Lock the bytes of an upload; ``None`` when it has none any more, or never had."""
    if not is_id(upload_id):
        raise not_found("UNKNOWN_UPLOAD", "upload", upload_id)
    try:
        lock = os.open(_part(shelf, upload_id), os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise Refusal(
            423,
            "UPLOAD_BUSY",
            detail="another request is writing to this upload",
            hint="ask for the offset with HEAD in a moment, then go on from there",
        ) from None
    return lock


def _check_offset(state: TusState, offset: int) -> None:
    if offset == state.offset:
        return
    raise Refusal(
        409,
        "WRONG_OFFSET",
        detail=f"the upload goes on at byte {state.offset}, not at {offset}",
        hint="ask for the offset with HEAD, then go on from there",
        headers={"Upload-Offset": str(state.offset)},
        more={"offset": state.offset},
    )


def _over_length(record: TusRecord) -> Refusal:
    return Refusal(
        413,
        "LONGER_THAN_DECLARED",
        detail=f"the upload was declared to be {record.length} bytes long",
        hint="create a new upload with the right Upload-Length",
    )


def _record(shelf: Path, upload_id: str) -> Path:
    return shelf / f"{upload_id}.json"


def _part(shelf: Path, upload_id: str) -> Path:
    return shelf / f"{upload_id}.part"


def _done(shelf: Path, upload_id: str) -> Path:
    return shelf / "done" / f"{upload_id}.json"


def _read(shelf: Path, upload_id: str) -> TusRecord | None:
    for path in (_done(shelf, upload_id), _record(shelf, upload_id)):
        try:
            return msgspec.json.decode(path.read_bytes(), type=TusRecord)
        except FileNotFoundError:
            continue
    return None


def _write(path: Path, record: TusRecord) -> None:
    """Replace a record; a reader sees the old one or the new one, never half of one."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(record))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _keep_done(shelf: Path, record: TusRecord) -> None:
    _write(_done(shelf, record.upload_id), record)
    _record(shelf, record.upload_id).unlink(missing_ok=True)
    _part(shelf, record.upload_id).unlink(missing_ok=True)


def _drop(shelf: Path, upload_id: str) -> None:
    for path in (
        _record(shelf, upload_id),
        _done(shelf, upload_id),
        _part(shelf, upload_id),
    ):
        path.unlink(missing_ok=True)


def _oldest(shelf: Path) -> Iterator[Path]:
    """Yield the oldest records, open ones first; their names sort by time."""
    yield from islice(sorted(shelf.glob("*.json")), SWEEP_LIMIT)
    yield from islice(sorted((shelf / "done").glob("*.json")), SWEEP_LIMIT)
