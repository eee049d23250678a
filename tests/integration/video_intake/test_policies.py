"""What a tenant may upload, and for how long it is kept."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from actors.runtime.contract import FrozenClock
from actors.video_intake.fixed_policies import FixedPolicies
from actors.video_intake.memory import MemoryUploads
from actors.video_intake.policy import RetentionPolicy, TenantPolicy
from media.local_store import LocalMediaStore
from media.verdicts import Code, IntakeLimits, refuse
from schemas.asks import DeleteUpload, FindUpload, UploadDeleted, UploadFound, UploadInspected
from schemas.base import TenantId, VideoId
from schemas.events import VideoIngested, VideoRejected
from tests.builders import TENANT, VIDEO
from tests.integration.video_intake.world import (
    MEZZANINE,
    POSTER,
    PREVIEW,
    RAW,
    WAVEFORM,
    CountingWorkshop,
    intake,
    order,
    question,
    raw,
    stored,
    upload,
)

SECOND = VideoId("vid_2")
THEIRS = TenantId("tnt_2")
GENEROUS = TenantPolicy(limits=IntakeLimits(max_bytes=10_000))
STRICT = TenantPolicy(limits=IntakeLimits(max_bytes=10), uploads_per_hour=2)
DELETE = DeleteUpload(video_id=VIDEO, tenant_id=TENANT)


@pytest.fixture
def store(tmp_path: Path) -> LocalMediaStore:
    """Return an empty store."""
    return LocalMediaStore(root=tmp_path / "store")


async def test_each_tenant_has_limits_of_its_own(store: LocalMediaStore, tmp_path: Path) -> None:
    """They reach the child that decodes, and are looked at before a byte is fetched."""
    workshop = CountingWorkshop()
    policies = FixedPolicies(GENEROUS, {THEIRS: STRICT})
    actor = intake(store, workshop, policies=policies)
    content = b"eleven byte"
    await upload(store, tmp_path, content)
    await upload(store, tmp_path, content, uri=raw(VIDEO, THEIRS))
    ours = await actor.answer(question(VIDEO))
    given = workshop.given
    theirs = await actor.answer(question(VIDEO, THEIRS))

    assert isinstance(ours, UploadInspected)
    assert isinstance(theirs, UploadInspected)
    assert (ours.accepted, given) == (True, GENEROUS.limits)
    assert (theirs.accepted, theirs.code) == (False, "TOO_LARGE")
    assert workshop.inspections == 1


async def test_a_duplicate_must_be_within_the_limits_of_today(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """What was measured under older limits is measured again, and the child refuses it."""
    workshop, uploads = CountingWorkshop(), MemoryUploads()
    await upload(store, tmp_path)
    await upload(store, tmp_path, uri=raw(SECOND))
    await intake(store, workshop, uploads).answer(question(VIDEO))
    smaller = FixedPolicies(TenantPolicy(limits=IntakeLimits(max_duration_ms=300)))
    workshop.trouble = refuse(Code.TOO_LONG, limit=300)
    answer = await intake(store, workshop, uploads, policies=smaller).answer(question(SECOND))

    assert isinstance(answer, UploadInspected)
    assert answer.code == "TOO_LONG"
    assert workshop.inspections == 2


async def test_more_uploads_an_hour_than_allowed_are_refused(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """Refused clips count too, for they cost as much; another tenant does not notice."""
    clock, uploads = FrozenClock(), MemoryUploads()
    policies = FixedPolicies(TenantPolicy(uploads_per_hour=2))
    workshop = CountingWorkshop(trouble=refuse(Code.NOT_A_VIDEO))
    actor = intake(store, workshop, uploads, policies=policies, clock=clock)
    codes = []
    for number in range(3):
        video_id = VideoId(f"vid_{number}")
        await upload(store, tmp_path, b"%d" % number, uri=raw(video_id))
        answer = await actor.answer(question(video_id))
        assert isinstance(answer, UploadInspected)
        codes.append(answer.code)
    await upload(store, tmp_path, uri=raw(VIDEO, THEIRS))
    theirs = await actor.answer(question(VIDEO, THEIRS))
    clock.at += timedelta(hours=1, seconds=1)
    await upload(store, tmp_path, b"later", uri=raw(VideoId("vid_9")))
    later = await actor.answer(question(VideoId("vid_9")))

    assert codes == ["NOT_A_VIDEO", "NOT_A_VIDEO", "TOO_MANY_UPLOADS"]
    assert isinstance(theirs, UploadInspected)
    assert isinstance(later, UploadInspected)
    assert (theirs.code, later.code) == ("NOT_A_VIDEO", "NOT_A_VIDEO")
    assert await stored(store) == []


async def test_asking_again_is_no_further_upload(store: LocalMediaStore, tmp_path: Path) -> None:
    """A client that lost the answer must not lose its allowance."""
    policies = FixedPolicies(TenantPolicy(uploads_per_hour=1))
    actor = intake(store, CountingWorkshop(trouble=None), policies=policies)
    await upload(store, tmp_path)
    first = await actor.answer(question(VIDEO))
    await upload(store, tmp_path, b"exchanged")
    again = await actor.answer(question(VIDEO))

    assert isinstance(first, UploadInspected)
    assert isinstance(again, UploadInspected)
    assert first.accepted
    assert again.accepted


async def test_a_deleted_upload_leaves_nothing(store: LocalMediaStore, tmp_path: Path) -> None:
    """Delete my video: the upload, all that was made of it, and what is remembered of it."""
    uploads = MemoryUploads()
    actor = intake(store, CountingWorkshop(), uploads)
    await upload(store, tmp_path)
    await upload(store, tmp_path, b"kept", uri=raw(SECOND))
    await actor.receive(order())
    await actor.receive(order(video_id=SECOND))
    answer = await actor.answer(DELETE)

    assert isinstance(answer, UploadDeleted)
    assert set(answer.removed) == {RAW, MEZZANINE, POSTER, PREVIEW, WAVEFORM}
    assert [uri for uri in await stored(store) if str(VIDEO) in uri] == []
    assert len(await stored(store)) == 5
    assert await actor.answer(FindUpload(video_id=VIDEO, tenant_id=TENANT)) == UploadFound(
        video_id=VIDEO
    )


async def test_a_duplicate_survives_the_deletion_of_its_twin(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """And the other way round."""
    actor = intake(store, CountingWorkshop())
    await upload(store, tmp_path)
    await upload(store, tmp_path, uri=raw(SECOND))
    await actor.receive(order())
    await actor.receive(order(video_id=SECOND))
    await actor.answer(DELETE)
    [said] = await actor.receive(order("evt_again", video_id=SECOND))

    assert isinstance(said, VideoIngested)
    assert await store.exists(said.payload.normalized_uri)


async def test_deleting_twice_or_what_is_anothers_finds_nothing(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """Another tenant's video is as absent as one that never was."""
    actor = intake(store, CountingWorkshop())
    await upload(store, tmp_path)
    await actor.receive(order())
    theirs = await actor.answer(DeleteUpload(video_id=VIDEO, tenant_id=THEIRS))
    await actor.answer(DELETE)

    assert theirs == UploadDeleted(video_id=VIDEO, found=False)
    assert await actor.answer(DELETE) == theirs


async def test_a_job_on_a_deleted_upload_is_rejected(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """The tokens go back."""
    actor = intake(store, CountingWorkshop())
    await upload(store, tmp_path)
    await actor.answer(question(VIDEO))
    await actor.answer(DELETE)
    [said] = await actor.receive(order())

    assert isinstance(said, VideoRejected)
    assert said.payload.code == "UPLOAD_GONE"


class Withdrawing(CountingWorkshop):
    """A workshop during whose work the owner removes the clip."""

    def __init__(self, store: LocalMediaStore) -> None:
        super().__init__()
        self._store = store

    async def normalize(self, source, out_dir, limits=None):  # type: ignore[no-untyped-def]
        """Remove the upload, then go on."""
        made = await super().normalize(source, out_dir, limits)
        await self._store.delete(RAW)
        return made


async def test_what_is_made_while_the_clip_is_deleted_does_not_outlive_it(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """Deletion and normalising may meet; nothing may be left either way."""
    uploads = MemoryUploads()
    await upload(store, tmp_path)
    [said] = await intake(store, Withdrawing(store), uploads).receive(order())

    assert isinstance(said, VideoRejected)
    assert said.payload.code == "UPLOAD_GONE"
    assert await stored(store) == []
    assert await uploads.find(VIDEO, TENANT) is None


@pytest.mark.parametrize(
    ("policy", "days", "left"),
    [
        (RetentionPolicy(raw_days=30), 29, 5),
        (RetentionPolicy(raw_days=30), 31, 4),
        (RetentionPolicy(raw_days=0, derived_days=0), 3000, 5),
        (RetentionPolicy(raw_days=30, derived_days=90), 91, 0),
        (RetentionPolicy(raw_days=0, derived_days=90), 91, 0),
    ],
)
async def test_what_is_over_is_removed(
    policy: RetentionPolicy, days: int, left: int, store: LocalMediaStore, tmp_path: Path
) -> None:
    """The upload goes first; the mezzanine, which results are compared with, when told to."""
    clock = FrozenClock()
    actor = intake(store, CountingWorkshop(), retention=policy, clock=clock)
    await upload(store, tmp_path)
    await actor.receive(order())
    clock.at += timedelta(days=days)
    first, again = await actor.retire(), await actor.retire()

    assert len(await stored(store)) == left
    assert (first, again) == (int(left < 5), 0)


async def test_an_upload_nobody_ordered_anything_for_goes_too(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """It was taken, and forgotten."""
    clock, uploads = FrozenClock(), MemoryUploads()
    actor = intake(store, CountingWorkshop(), uploads, clock=clock)
    await upload(store, tmp_path)
    await actor.answer(question(VIDEO))
    clock.at += timedelta(days=31)

    assert await actor.retire() == 1
    assert await stored(store) == []


async def test_after_the_upload_is_gone_jobs_still_start(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """They need the mezzanine only."""
    clock = FrozenClock()
    actor = intake(store, CountingWorkshop(), clock=clock)
    await upload(store, tmp_path)
    await actor.receive(order())
    clock.at += timedelta(days=31)
    await actor.retire()
    [said] = await actor.receive(order("evt_later"))

    assert not await store.exists(RAW)
    assert isinstance(said, VideoIngested)
