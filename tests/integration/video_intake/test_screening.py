"""Nothing goes to a provider that a model or a list objects to, unless an admin says so."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from actors.runtime.contract import FrozenClock
from actors.video_intake.memory import MemoryUploads
from media.local_store import LocalMediaStore
from media.screening import FileHashList, ScreeningPolicy
from schemas.asks import (
    ANY_TENANT,
    DecideReview,
    DeleteUpload,
    ListReviews,
    ReviewDecided,
    ReviewPage,
    UploadInspected,
)
from schemas.base import TenantId, UserId, VideoId
from schemas.events import VideoIngested, VideoRejected
from tests.builders import TENANT, VIDEO
from tests.integration.video_intake.world import (
    MEZZANINE,
    POSTER,
    PREVIEW,
    RAW,
    CountingWorkshop,
    intake,
    order,
    question,
    raw,
    stored,
    upload,
)

ADMIN = UserId("usr_admin")
SECOND = VideoId("vid_2")
DOUBTFUL = (0.0, 0.6, 0.1)
CERTAIN = (0.9, 0.1, 0.85)
HASH = hashlib.sha256(b"upload").hexdigest()


def decision(*, approve: bool, tenant_id: TenantId = TENANT) -> DecideReview:
    """Return an admin's answer about the first upload."""
    return DecideReview(
        video_id=VIDEO, tenant_id=tenant_id, decided_by=ADMIN, approve=approve, note="seen"
    )


@pytest.fixture
def store(tmp_path: Path) -> LocalMediaStore:
    """Return an empty store."""
    return LocalMediaStore(root=tmp_path / "store")


@pytest.fixture
def workshop() -> CountingWorkshop:
    """Return a workshop whose scores a test sets."""
    return CountingWorkshop()


async def test_a_doubtful_clip_waits_for_an_admin(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """Nobody downstream hears of it; the admin sees what it is about."""
    workshop.nudity = DOUBTFUL
    actor = intake(store, workshop)
    await upload(store, tmp_path)
    [said] = await actor.receive(order())
    page = await actor.answer(ListReviews(tenant_id=TENANT))

    assert isinstance(said, VideoRejected)
    assert said.payload.code == "UNDER_REVIEW"
    assert isinstance(page, ReviewPage)
    [waiting] = page.reviews
    assert (waiting.video_id, waiting.state, waiting.nudity) == (VIDEO, "held", DOUBTFUL)
    assert (waiting.video_uri, waiting.poster_uri, waiting.preview_uri) == (
        MEZZANINE,
        POSTER,
        PREVIEW,
    )
    assert "0.60" in waiting.why


async def test_an_approved_clip_is_used_without_more_work(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """The user orders again, and the job starts at once."""
    workshop.nudity = DOUBTFUL
    actor = intake(store, workshop)
    await upload(store, tmp_path)
    await actor.receive(order())
    answer = await actor.answer(decision(approve=True))
    [said] = await actor.receive(order("evt_again"))

    assert answer == ReviewDecided(video_id=VIDEO, state="normalized")
    assert isinstance(said, VideoIngested)
    assert workshop.transcodes == 1
    assert await actor.answer(ListReviews(tenant_id=TENANT)) == ReviewPage(reviews=())


async def test_a_refused_clip_is_blocked_and_its_pictures_go(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """Who decided stays on record."""
    workshop.nudity = DOUBTFUL
    actor = intake(store, workshop)
    await upload(store, tmp_path)
    await actor.receive(order())
    await actor.answer(decision(approve=False))
    [said] = await actor.receive(order("evt_again"))
    page = await actor.answer(ListReviews(tenant_id=TENANT, state="blocked"))

    assert isinstance(said, VideoRejected)
    assert said.payload.code == "CONTENT_BLOCKED"
    assert await stored(store) == [RAW]
    assert isinstance(page, ReviewPage)
    [blocked] = page.reviews
    assert (blocked.decided_by, blocked.note) == (ADMIN, "seen")
    assert blocked.video_uri == ""


async def test_a_certain_clip_is_blocked_at_once(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """Nothing of it is stored but the upload, which nobody is served."""
    workshop.nudity = CERTAIN
    actor = intake(store, workshop)
    await upload(store, tmp_path)
    [said] = await actor.receive(order())

    assert isinstance(said, VideoRejected)
    assert said.payload.code == "CONTENT_BLOCKED"
    assert await stored(store) == [RAW]


async def test_an_admin_may_free_what_was_blocked(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """The model takes cartoons for skin; the decision outlives a lost object too."""
    workshop.nudity = CERTAIN
    actor = intake(store, workshop)
    await upload(store, tmp_path)
    await actor.receive(order())
    await actor.answer(decision(approve=True))
    [said] = await actor.receive(order("evt_again"))
    await store.delete(POSTER)
    [later] = await actor.receive(order("evt_later"))

    assert isinstance(said, VideoIngested)
    assert isinstance(later, VideoIngested)
    assert await store.exists(POSTER)


async def test_an_approval_is_for_the_bytes_that_were_seen(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """Else a harmless clip is approved and another put in its place."""
    workshop.nudity = DOUBTFUL
    actor = intake(store, workshop)
    await upload(store, tmp_path)
    await actor.receive(order())
    await actor.answer(decision(approve=True))
    await upload(store, tmp_path, b"another")
    await store.delete(POSTER)
    workshop.nudity = CERTAIN
    [said] = await actor.receive(order("evt_again"))

    assert isinstance(said, VideoRejected)
    assert said.payload.code == "CONTENT_BLOCKED"


@pytest.mark.parametrize("state", [DOUBTFUL, CERTAIN])
async def test_the_same_bytes_do_not_pass_under_another_id(
    state: tuple[float, ...], store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """Uploading again is no way round a review."""
    workshop.nudity = state
    actor = intake(store, workshop)
    await upload(store, tmp_path)
    [first] = await actor.receive(order())
    workshop.nudity = (0.0,)
    await upload(store, tmp_path, uri=raw(SECOND))
    [second] = await actor.receive(order("evt_second", video_id=SECOND))

    assert isinstance(first, VideoRejected)
    assert isinstance(second, VideoRejected)
    assert second.payload.code == first.payload.code


async def test_blocked_bytes_are_refused_at_the_door(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """Also after their first owner removed them."""
    workshop.nudity = CERTAIN
    actor = intake(store, workshop)
    await upload(store, tmp_path)
    await actor.receive(order())
    await actor.answer(DeleteUpload(video_id=VIDEO, tenant_id=TENANT))
    assert await stored(store) == []
    await upload(store, tmp_path, uri=raw(SECOND))
    answer = await actor.answer(question(SECOND))

    assert isinstance(answer, UploadInspected)
    assert (answer.accepted, answer.code) == (False, "CONTENT_BLOCKED")
    assert await stored(store) == []


async def test_listed_bytes_are_refused_at_the_door(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """They are not even decoded."""
    actor = intake(store, workshop, hash_list=FileHashList([f"{HASH} case 7"]))
    await upload(store, tmp_path)
    answer = await actor.answer(question(VIDEO))

    assert isinstance(answer, UploadInspected)
    assert answer.code == "CONTENT_BLOCKED"
    assert workshop.inspections == 0
    assert await stored(store) == []


async def test_a_listed_look_is_blocked_in_another_encoding(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """Other bytes, the same pictures."""
    near = "5" * 120 + "4" * 8
    actor = intake(store, workshop, hash_list=FileHashList([f"{near} case 8"]))
    await upload(store, tmp_path)
    [said] = await actor.receive(order())
    page = await actor.answer(ListReviews(tenant_id=TENANT, state="blocked"))

    assert isinstance(said, VideoRejected)
    assert said.payload.code == "CONTENT_BLOCKED"
    assert "case 8" not in said.payload.reason
    assert isinstance(page, ReviewPage)
    assert "case 8" in page.reviews[0].why


async def test_without_a_model_clips_pass_or_wait_as_the_policy_says(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """The model is optional; an operator may insist on it."""
    workshop.nudity = None
    await upload(store, tmp_path)
    [passed] = await intake(store, workshop).receive(order())
    careful = ScreeningPolicy(hold_unscreened=True)
    [held] = await intake(store, workshop, screening=careful).receive(order())

    assert isinstance(passed, VideoIngested)
    assert isinstance(held, VideoRejected)
    assert held.payload.code == "UNDER_REVIEW"


async def test_the_queue_is_in_order_and_by_tenant(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """The operator sees every tenant, an admin his own."""
    workshop.nudity = DOUBTFUL
    clock, uploads = FrozenClock(), MemoryUploads()
    actor = intake(store, workshop, uploads, clock=clock)
    for number, tenant in enumerate((TENANT, TenantId("tnt_2"), TENANT)):
        video_id = VideoId(f"vid_{9 - number}")
        clock.at += timedelta(minutes=1)
        await upload(store, tmp_path, b"%d" % number, uri=raw(video_id, tenant))
        await actor.receive(order(video_id=video_id, tenant_id=tenant))

    async def listed(**how: object) -> list[str]:
        page = await actor.answer(ListReviews(**how))  # type: ignore[arg-type]
        assert isinstance(page, ReviewPage)
        return [each.video_id for each in page.reviews]

    assert await listed(tenant_id=TENANT) == ["vid_9", "vid_7"]
    assert await listed(tenant_id=ANY_TENANT) == ["vid_9", "vid_8", "vid_7"]
    assert await listed(tenant_id=ANY_TENANT, limit=1) == ["vid_9"]
    assert await listed(tenant_id=ANY_TENANT, limit=-1) == []
    assert await listed(tenant_id=ANY_TENANT, state="accepted") == []


async def test_only_what_was_screened_out_can_be_decided(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """Of nothing else, and not by another tenant's admin."""
    actor = intake(store, workshop)
    await upload(store, tmp_path)
    await actor.receive(order())
    before = await stored(store)
    mine = await actor.answer(decision(approve=False))
    theirs = await actor.answer(decision(approve=False, tenant_id=TenantId("tnt_2")))

    assert mine == ReviewDecided(video_id=VIDEO, state="normalized")
    assert theirs == ReviewDecided(video_id=VIDEO)
    assert await stored(store) == before


async def test_what_waits_is_not_retired(
    store: LocalMediaStore, workshop: CountingWorkshop, tmp_path: Path
) -> None:
    """An admin must still be able to see what he decides about."""
    workshop.nudity = DOUBTFUL
    clock = FrozenClock()
    actor = intake(store, workshop, clock=clock)
    await upload(store, tmp_path)
    await actor.receive(order())
    clock.at += timedelta(days=999)

    assert await actor.retire() == 0
    assert len(await stored(store)) == 5
