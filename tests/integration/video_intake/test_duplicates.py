"""The same bytes are measured and normalised once a tenant; what looks the same is linked."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.video_intake.memory import MemoryUploads
from media.local_store import LocalMediaStore
from media.verdicts import Code, refuse
from schemas.asks import FindUpload, UploadFound, UploadInspected
from schemas.base import TenantId, VideoId
from schemas.events import VideoIngested
from tests.builders import TENANT, VIDEO
from tests.integration.video_intake.world import (
    RAW,
    CountingWorkshop,
    content_of,
    intake,
    order,
    question,
    raw,
    stored,
    upload,
)

SECOND = VideoId("vid_2")
THEIRS = TenantId("tnt_2")


@pytest.fixture
def store(tmp_path: Path) -> LocalMediaStore:
    """Return an empty store."""
    return LocalMediaStore(root=tmp_path / "store")


async def test_the_same_bytes_are_not_measured_twice(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """A user who uploads the clip again for another effect waits for a hash only."""
    workshop, uploads = CountingWorkshop(), MemoryUploads()
    actor = intake(store, workshop, uploads)
    await upload(store, tmp_path)
    await upload(store, tmp_path, uri=raw(SECOND))
    first, second = await actor.answer(question(VIDEO)), await actor.answer(question(SECOND))

    assert isinstance(first, UploadInspected)
    assert isinstance(second, UploadInspected)
    assert second.metadata == first.metadata
    assert (first.duplicate_of, second.duplicate_of) == ("", VIDEO)
    assert workshop.inspections == 1


async def test_the_same_bytes_are_not_transcoded_twice(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """The copy has objects of its own, so that either can be removed without the other."""
    workshop, uploads = CountingWorkshop(), MemoryUploads()
    actor = intake(store, workshop, uploads)
    await upload(store, tmp_path)
    await upload(store, tmp_path, uri=raw(SECOND))
    [first] = await actor.receive(order())
    [second] = await actor.receive(order(video_id=SECOND))

    assert workshop.transcodes == 1
    assert isinstance(first, VideoIngested)
    assert isinstance(second, VideoIngested)
    assert second.payload.metadata == first.payload.metadata
    assert second.payload.normalized_uri != first.payload.normalized_uri
    assert await content_of(store, second.payload.normalized_uri) == b"mezzanine of upload"
    assert len(await stored(store)) == 10


async def test_another_tenants_bytes_are_never_used(store: LocalMediaStore, tmp_path: Path) -> None:
    """Else an upload that is quick would tell that somebody else has the same clip."""
    workshop, uploads = CountingWorkshop(), MemoryUploads()
    actor = intake(store, workshop, uploads)
    await upload(store, tmp_path)
    await upload(store, tmp_path, uri=raw(VIDEO, THEIRS))
    await actor.answer(question(VIDEO))
    theirs = await actor.answer(question(VIDEO, THEIRS))
    await actor.receive(order())
    await actor.receive(order(tenant_id=THEIRS))

    assert isinstance(theirs, UploadInspected)
    assert theirs.duplicate_of == ""
    assert (workshop.inspections, workshop.transcodes) == (2, 2)


async def test_a_copy_of_something_that_was_lost_is_made_anew(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """A record is no proof that the object is still there."""
    workshop, uploads = CountingWorkshop(), MemoryUploads()
    actor = intake(store, workshop, uploads)
    await upload(store, tmp_path)
    await upload(store, tmp_path, uri=raw(SECOND))
    [first] = await actor.receive(order())
    assert isinstance(first, VideoIngested)
    await store.delete(first.payload.normalized_uri)
    [second] = await actor.receive(order(video_id=SECOND))

    assert workshop.transcodes == 2
    assert isinstance(second, VideoIngested)
    assert await store.exists(second.payload.normalized_uri)


async def test_a_refused_clip_is_no_twin(store: LocalMediaStore, tmp_path: Path) -> None:
    """The refusal may have been the machine's mood."""
    workshop = CountingWorkshop(trouble=refuse(Code.TIMED_OUT))
    uploads = MemoryUploads()
    actor = intake(store, workshop, uploads)
    await upload(store, tmp_path)
    await upload(store, tmp_path, uri=raw(SECOND))
    await actor.receive(order())
    workshop.trouble = None
    [second] = await actor.receive(order(video_id=SECOND))

    assert isinstance(second, VideoIngested)


async def test_what_looks_the_same_is_linked_and_still_made(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """Its owner may have changed a word in a corner, and wants that word in the result."""
    workshop, uploads = CountingWorkshop(), MemoryUploads()
    actor = intake(store, workshop, uploads)
    await upload(store, tmp_path, b"one")
    await upload(store, tmp_path, b"other", uri=raw(SECOND))
    await actor.receive(order())
    workshop.fingerprint = "5" * 120 + "0" * 8
    await actor.receive(order(video_id=SECOND))
    found = await actor.answer(FindUpload(video_id=SECOND, tenant_id=TENANT))

    assert isinstance(found, UploadFound)
    assert (found.duplicate_of, found.similar_to) == ("", VIDEO)
    assert workshop.transcodes == 2


@pytest.mark.parametrize("fingerprint", ["a" * 128, "", "nonsense"])
async def test_what_looks_different_or_like_nothing_is_not_linked(
    fingerprint: str, store: LocalMediaStore, tmp_path: Path
) -> None:
    """Two black clips are not copies of each other."""
    workshop, uploads = CountingWorkshop(), MemoryUploads()
    actor = intake(store, workshop, uploads)
    await upload(store, tmp_path, b"one")
    await upload(store, tmp_path, b"other", uri=raw(SECOND))
    await actor.receive(order())
    workshop.fingerprint = fingerprint
    await actor.receive(order(video_id=SECOND))
    found = await actor.answer(FindUpload(video_id=SECOND, tenant_id=TENANT))

    assert isinstance(found, UploadFound)
    assert found.similar_to == ""


async def test_a_file_that_was_exchanged_after_its_measurement_is_not_taken_for_its_twin(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """What counts is the hash of the bytes that are worked on."""
    workshop, uploads = CountingWorkshop(), MemoryUploads()
    actor = intake(store, workshop, uploads)
    await upload(store, tmp_path)
    await upload(store, tmp_path, uri=raw(SECOND))
    await actor.receive(order())
    await actor.answer(question(SECOND))
    await upload(store, tmp_path, b"another", uri=raw(SECOND))
    [second] = await actor.receive(order(video_id=SECOND))

    assert isinstance(second, VideoIngested)
    assert await content_of(store, second.payload.normalized_uri) == b"mezzanine of another"
    assert await content_of(store, RAW) == b"upload"
