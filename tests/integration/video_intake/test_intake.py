"""The actor with a real store on disk, and a workshop that counts or really decodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from actors.runtime.contract import GiveUp, TryLater
from actors.video_intake.memory import MemoryUploads
from media.errors import SandboxBrokenError, StoreFullError
from media.local_store import LocalMediaStore
from media.sandbox import Sandbox
from media.verdicts import Code, refuse
from schemas.asks import FindUpload, InspectUpload, ListProviders, UploadFound, UploadInspected
from schemas.base import TenantId, VideoId
from schemas.commands import IngestOrder, IngestVideo
from schemas.events import VideoIngested, VideoRejected
from tests.builders import JOB, TENANT, USER, VIDEO, effect_request, header, metadata
from tests.integration.video_intake.footage import write_clip
from tests.integration.video_intake.world import (
    MEZZANINE,
    POSTER,
    PREVIEW,
    QUESTION,
    RAW,
    UPLOADED,
    WAVEFORM,
    CountingWorkshop,
    content_of,
    intake,
    order,
    upload,
)


class FullStore(LocalMediaStore):
    """A store that has no room for a mezzanine."""

    async def put_file(self, uri: str, path: Path, *, content_type: str) -> None:
        """Refuse the mezzanine."""
        if uri == MEZZANINE:
            raise StoreFullError(uri)
        await super().put_file(uri, path, content_type=content_type)


@pytest.fixture
def store(tmp_path: Path) -> LocalMediaStore:
    """Return an empty store."""
    return LocalMediaStore(root=tmp_path / "store")


async def test_an_upload_becomes_a_stored_mezzanine(store: LocalMediaStore, tmp_path: Path) -> None:
    """Every later step reads nothing but this event and these objects."""
    await upload(store, tmp_path)
    [said] = await intake(store, CountingWorkshop()).receive(order())

    assert isinstance(said, VideoIngested)
    assert said.cause_id == "evt_order"
    assert said.correlation_id == JOB
    video = said.payload
    assert (video.source_uri, video.normalized_uri, video.poster_uri) == (RAW, MEZZANINE, POSTER)
    assert video.request == effect_request()
    assert (video.preview_uri, video.waveform_uri) == (PREVIEW, WAVEFORM)
    assert video.metadata == metadata(has_audio=True)
    assert await content_of(store, MEZZANINE) == b"mezzanine of upload"
    assert await content_of(store, POSTER) == b"poster"


async def test_a_repeated_order_is_not_transcoded_again(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """A redelivery says the same; a second job on the same clip starts at once."""
    await upload(store, tmp_path)
    workshop, uploads = CountingWorkshop(), MemoryUploads()
    [first] = await intake(store, workshop, uploads).receive(order())
    [again] = await intake(store, workshop, uploads).receive(order())
    [other] = await intake(store, workshop, uploads).receive(order("evt_other"))

    assert workshop.transcodes == 1
    assert first == again
    assert isinstance(other, VideoIngested)
    assert other.payload == again.payload
    assert other.event_id != again.event_id


@pytest.mark.parametrize("lost", [MEZZANINE, POSTER, PREVIEW, WAVEFORM])
async def test_a_lost_object_is_made_again(
    lost: str, store: LocalMediaStore, tmp_path: Path
) -> None:
    """A record is no proof that the object is still there."""
    await upload(store, tmp_path)
    workshop, uploads = CountingWorkshop(), MemoryUploads()
    await intake(store, workshop, uploads).receive(order())
    await store.delete(lost)
    await intake(store, workshop, uploads).receive(order())

    assert workshop.transcodes == 2
    assert await store.exists(lost)


async def test_a_mezzanine_nobody_recorded_is_made_again(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """The process may have died between storing and recording."""
    await upload(store, tmp_path)
    workshop = CountingWorkshop()
    await intake(store, workshop).receive(order())
    [said] = await intake(store, workshop).receive(order())

    assert workshop.transcodes == 2
    assert isinstance(said, VideoIngested)


async def test_a_raw_upload_that_is_gone_is_a_rejection(store: LocalMediaStore) -> None:
    """The job must end and give the tokens back, not wait for ever."""
    [said] = await intake(store, CountingWorkshop()).receive(order())

    assert isinstance(said, VideoRejected)
    assert said.payload.code == "UPLOAD_GONE"
    assert said.payload.hint


@pytest.mark.parametrize(
    ("source_uri", "tenant_id"),
    [(RAW, TenantId("tnt_2")), ("s3://intake/raw/tnt_1/../tnt_2/vid_1", TENANT)],
)
async def test_another_tenants_upload_is_as_gone_as_an_absent_one(
    source_uri: str, tenant_id: TenantId, store: LocalMediaStore, tmp_path: Path
) -> None:
    """An order may only use what lies under its own tenant."""
    await upload(store, tmp_path)
    workshop = CountingWorkshop()
    actor = intake(store, workshop)
    [said] = await actor.receive(order(source_uri=source_uri, tenant_id=tenant_id))

    assert isinstance(said, VideoRejected)
    assert said.payload.code == "UPLOAD_GONE"
    assert workshop.transcodes == 0


async def test_a_refused_clip_is_rejected_and_remembered(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """The user hears code, reason and hint; the operator finds the detail."""
    await upload(store, tmp_path)
    uploads = MemoryUploads()
    workshop = CountingWorkshop(trouble=refuse(Code.TIMED_OUT, detail="after 180 s"))
    [said] = await intake(store, workshop, uploads).receive(order())
    known = await uploads.find(VIDEO, TENANT)

    assert isinstance(said, VideoRejected)
    assert (said.payload.code, said.payload.user_id) == ("TIMED_OUT", USER)
    assert known is not None
    assert (known.state, known.detail) == ("rejected", "after 180 s")
    assert not await store.exists(MEZZANINE)


@pytest.mark.parametrize(
    "trouble", [StoreFullError("the normalised clip"), SandboxBrokenError("no module named av")]
)
async def test_trouble_of_the_machine_is_tried_again_later(
    trouble: Exception, store: LocalMediaStore, tmp_path: Path
) -> None:
    """The clip is not at fault, so neither job nor upload may be refused for it."""
    await upload(store, tmp_path)
    actor = intake(store, CountingWorkshop(trouble=trouble))

    with pytest.raises(TryLater):
        await actor.receive(order())
    with pytest.raises(TryLater):
        await actor.answer(QUESTION)
    assert await store.exists(RAW)


async def test_a_full_store_is_tried_again_later(tmp_path: Path) -> None:
    """Nothing is recorded that is not stored."""
    store, uploads = FullStore(root=tmp_path / "store"), MemoryUploads()
    await upload(store, tmp_path)

    with pytest.raises(TryLater):
        await intake(store, CountingWorkshop(), uploads).receive(order())
    assert await uploads.find(VIDEO, TENANT) is None


async def test_an_impossible_video_id_is_a_dead_letter(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """No redelivery will give it an address."""
    await upload(store, tmp_path)
    bad = IngestVideo(
        **header("evt_bad"),  # type: ignore[arg-type]
        payload=IngestOrder(
            video_id=VideoId("../x"), user_id=USER, source_uri=RAW, request=effect_request()
        ),
    )

    with pytest.raises(GiveUp):
        await intake(store, CountingWorkshop()).receive(bad)


async def test_an_accepted_upload_is_measured_and_remembered(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """The same question again is answered from memory."""
    await upload(store, tmp_path)
    workshop = CountingWorkshop()
    actor = intake(store, workshop)
    first, again = await actor.answer(QUESTION), await actor.answer(QUESTION)

    assert first == again == UploadInspected(video_id=VIDEO, accepted=True, metadata=UPLOADED)
    assert workshop.inspections == 1
    assert await actor.answer(FindUpload(video_id=VIDEO, tenant_id=TENANT)) == UploadFound(
        video_id=VIDEO, source_uri=RAW, metadata=UPLOADED, state="accepted"
    )


async def test_another_file_at_the_same_address_is_looked_at(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """What was measured of the older file says nothing of the newer."""
    await upload(store, tmp_path)
    workshop = CountingWorkshop()
    actor = intake(store, workshop)
    await actor.answer(QUESTION)
    await upload(store, tmp_path, b"another upload")
    await actor.answer(QUESTION)

    assert workshop.inspections == 2


async def test_of_a_refused_upload_nothing_is_kept(store: LocalMediaStore, tmp_path: Path) -> None:
    """A hostile file must not stay, and a person must learn what to do."""
    await upload(store, tmp_path)
    uploads = MemoryUploads()
    actor = intake(store, CountingWorkshop(trouble=refuse(Code.NO_PICTURE)), uploads)
    answer = await actor.answer(QUESTION)

    assert isinstance(answer, UploadInspected)
    assert (answer.accepted, answer.code, answer.metadata) == (False, "NO_PICTURE", None)
    assert answer.reason
    assert answer.hint
    assert not await store.exists(RAW)
    assert await uploads.find(VIDEO, TENANT) is None


async def test_a_file_that_is_too_large_is_refused_unread(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """Its size is known before any byte is fetched."""
    await upload(store, tmp_path, b"x" * 1001)
    workshop = CountingWorkshop()
    answer = await intake(store, workshop).answer(QUESTION)

    assert isinstance(answer, UploadInspected)
    assert answer.code == "TOO_LARGE"
    assert workshop.inspections == 0
    assert not await store.exists(RAW)


@pytest.mark.parametrize(
    "source_uri",
    [
        "s3://gallery/published/clip.mp4",
        "s3://intake/raw/tnt_2/vid_9",
        "s3://intake/raw/tnt_1/../x",
    ],
)
async def test_only_the_tenants_own_upload_can_be_refused(
    source_uri: str, store: LocalMediaStore
) -> None:
    """A refusal deletes, so a question about anything else is answered as about nothing."""
    workshop = CountingWorkshop(trouble=refuse(Code.NOT_A_VIDEO))
    question = InspectUpload(video_id=VIDEO, tenant_id=TENANT, user_id=USER, source_uri=source_uri)
    answer = await intake(store, workshop).answer(question)

    assert isinstance(answer, UploadInspected)
    assert (answer.accepted, answer.code) == (False, "UPLOAD_GONE")
    assert workshop.inspections == 0


async def test_another_tenant_finds_no_upload(store: LocalMediaStore, tmp_path: Path) -> None:
    """The answer is the same as for an upload that never was."""
    await upload(store, tmp_path)
    actor = intake(store, CountingWorkshop())
    await actor.answer(QUESTION)
    theirs = await actor.answer(FindUpload(video_id=VIDEO, tenant_id=TenantId("tnt_2")))

    assert theirs == UploadFound(video_id=VIDEO)


async def test_a_question_for_another_module_is_refused(store: LocalMediaStore) -> None:
    """A wiring mistake must be loud."""
    with pytest.raises(GiveUp):
        await intake(store, CountingWorkshop()).answer(ListProviders())


async def test_a_real_clip_goes_all_the_way(store: LocalMediaStore, tmp_path: Path) -> None:
    """The real sandbox, the real store: looked at, ordered, stored, measured."""
    clip = write_clip(tmp_path / "holiday.mov", size=(161, 91), pixel_format="yuv444p")
    await store.put_file(RAW, clip, content_type="video/quicktime")
    actor = intake(store, Sandbox())
    answer = await actor.answer(QUESTION)
    [said] = await actor.receive(order())

    assert isinstance(answer, UploadInspected)
    assert answer.metadata is not None
    assert answer.metadata.resolution == "161x91"
    assert isinstance(said, VideoIngested)
    assert said.payload.metadata.resolution == "160x90"
    assert said.payload.metadata.content_hash == answer.metadata.content_hash
    async with store.as_file(MEZZANINE) as path:
        assert path.stat().st_size == said.payload.metadata.file_size_bytes


async def test_a_hostile_file_goes_no_further(store: LocalMediaStore, tmp_path: Path) -> None:
    """The real sandbox refuses, and the upload is gone."""
    await upload(store, tmp_path, b"not a film\n" * 100)
    actor = intake(store, Sandbox())
    answer = await actor.answer(QUESTION)
    [said] = await actor.receive(order())

    assert isinstance(answer, UploadInspected)
    assert answer.code == "NOT_A_VIDEO"
    assert isinstance(said, VideoRejected)
    assert said.payload.code == "UPLOAD_GONE"
