"""Intake with a real store on disk, and a workshop that does as it is told."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import anyio

from actors.runtime.contract import FrozenClock
from actors.video_intake.actor import VideoIntake
from actors.video_intake.memory import MemoryUploads
from actors.video_intake.ports import Uploads, Workshop
from media.local_store import LocalMediaStore
from media.store import MediaStore
from media.verdicts import Inspected, IntakeLimits, Normalized, Refusal
from schemas.asks import InspectUpload
from schemas.base import TenantId, VideoId
from schemas.commands import IngestOrder, IngestVideo
from schemas.video import VideoMetadata
from tests.builders import JOB, TENANT, USER, VIDEO, effect_request, header, metadata

RAW = "s3://intake/raw/tnt_1/vid_1"
MEZZANINE = "s3://intake/normalized/tnt_1/vid_1.mp4"
POSTER = "s3://intake/posters/tnt_1/vid_1.webp"
PREVIEW = "s3://intake/previews/tnt_1/vid_1.webp"
WAVEFORM = "s3://intake/waveforms/tnt_1/vid_1.json"
UPLOADED = metadata(
    resolution="720x405", file_size_bytes=6, content_hash=hashlib.sha256(b"upload").hexdigest()
)
QUESTION = InspectUpload(video_id=VIDEO, tenant_id=TENANT, user_id=USER, source_uri=RAW)


class CountingWorkshop:
    """Says what it is told to, and counts how often it was asked."""

    def __init__(self, *, trouble: Refusal | Exception | None = None) -> None:
        self.limits = IntakeLimits(max_bytes=1000)
        self.trouble = trouble
        self.nudity: tuple[float, ...] | None = (0.0,) * 8
        self.fingerprint = "5" * 128
        self.given: IntakeLimits | None = None
        self.inspections = 0
        self.transcodes = 0

    async def inspect(
        self, source: Path, limits: IntakeLimits | None = None
    ) -> Inspected | Refusal:
        """Count, and accept unless there is trouble."""
        self.inspections += 1
        self.given = limits
        return self._refused() or Inspected(metadata=await self._measured(source))

    async def normalize(
        self, source: Path, out_dir: Path, limits: IntakeLimits | None = None
    ) -> Normalized | Refusal:
        """Count, and write the files unless there is trouble."""
        self.transcodes += 1
        self.given = limits
        if refusal := self._refused():
            return refusal
        _write(out_dir, b"mezzanine of " + await anyio.Path(source).read_bytes())
        return Normalized(
            source=await self._measured(source),
            metadata=metadata(has_audio=True),
            video="clip",
            poster="still",
            preview="moving",
            waveform="wave",
            fingerprint=self.fingerprint,
            nudity=self.nudity,
        )

    async def _measured(self, source: Path) -> VideoMetadata:
        content = await anyio.Path(source).read_bytes()
        return metadata(
            resolution="720x405",
            file_size_bytes=len(content),
            content_hash=hashlib.sha256(content).hexdigest(),
        )

    def _refused(self) -> Refusal | None:
        if isinstance(self.trouble, Exception):
            raise self.trouble
        return self.trouble


def _write(folder: Path, clip: bytes) -> None:
    (folder / "clip").write_bytes(clip)
    (folder / "still").write_bytes(b"poster")
    (folder / "moving").write_bytes(b"preview")
    (folder / "wave").write_bytes(b"{}")


def intake(
    store: MediaStore, workshop: Workshop, uploads: Uploads | None = None, **more: Any
) -> VideoIntake:
    """Return the actor; what is not said is as by default."""
    parts = {"clock": FrozenClock(), "uploads": uploads or MemoryUploads()} | more
    return VideoIntake(store=store, workshop=workshop, **parts)


def order(
    event_id: str = "evt_order",
    *,
    video_id: VideoId = VIDEO,
    source_uri: str = "",
    tenant_id: TenantId = TENANT,
) -> IngestVideo:
    """Return the command for an upload, the first one unless told otherwise."""
    return IngestVideo(
        **header(event_id, JOB, tenant_id),  # type: ignore[arg-type]
        payload=IngestOrder(
            video_id=video_id,
            user_id=USER,
            source_uri=source_uri or raw(video_id, tenant_id),
            request=effect_request(),
        ),
    )


def raw(video_id: VideoId, tenant_id: TenantId = TENANT) -> str:
    """Return where an upload is."""
    return f"s3://intake/raw/{tenant_id}/{video_id}"


def question(video_id: VideoId, tenant_id: TenantId = TENANT) -> InspectUpload:
    """Return the question about an upload."""
    return InspectUpload(
        video_id=video_id,
        tenant_id=tenant_id,
        user_id=USER,
        source_uri=raw(video_id, tenant_id),
    )


async def upload(
    store: MediaStore, tmp_path: Path, content: bytes = b"upload", *, uri: str = RAW
) -> None:
    """Store a raw upload."""
    path = tmp_path / "raw"
    await anyio.Path(path).write_bytes(content)
    await store.put_file(uri, path, content_type="video/mp4")


async def stored(store: LocalMediaStore) -> list[str]:
    """Return every address at which something is stored."""
    areas = ("raw", "normalized", "posters", "previews", "waveforms")
    return [uri for area in areas async for uri in store.addresses(f"s3://intake/{area}/")]


async def content_of(store: MediaStore, uri: str) -> bytes:
    """Return an object's bytes."""
    return b"".join([piece async for piece in store.read(uri)])
