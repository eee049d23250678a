"""Publishing what an admin approved."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from msgspec import structs

from actors.gallery.actor import Gallery
from actors.gallery.answers import GalleryAnswers
from actors.gallery.core import effect_id_of
from actors.runtime.contract import FrozenClock, GiveUp, TryLater
from media.store import MediaStore
from schemas.asks import FindEffect, GalleryPage, ListGallery
from schemas.events import AdminApproved, EffectPublished, JobEnded
from schemas.jobs import ENDINGS, JobEnding, JobState
from tests.builders import JOB, TENANT, USER, admin_approved, header, selection
from tests.unit.gallery.memory import FolderStore, MemoryCatalog

CONTENT = b"a clip"
HASH = hashlib.sha256(CONTENT).hexdigest()
OUTPUT = selection().output_video_uri


class House:
    """The module with everything it keeps."""

    def __init__(self, root: Path) -> None:
        self.folder = FolderStore(root)
        self.store: MediaStore = self.folder
        self.catalog = MemoryCatalog()
        self.clock = FrozenClock()
        self.actor = Gallery(
            store=self.store,
            catalog=self.catalog,
            public_url="https://example.test/",
            clock=self.clock,
        )
        self.root = root

    async def rendered(self, content: bytes = CONTENT) -> None:
        """Put the approved result where the agent left it."""
        file = self.root / "rendered"
        file.write_bytes(content)
        await self.store.put_file(OUTPUT, file, content_type="video/mp4")
        self.folder.written.clear()

    async def publish(self, heard: AdminApproved | None = None) -> EffectPublished:
        """Approve, and return what is said."""
        [said] = await self.actor.receive(heard or admin_approved())
        assert isinstance(said, EffectPublished)
        return said


def ended(state: JobState = JobState.CANCELLED) -> JobEnded:
    """Return an ending."""
    ending = JobEnding(state=state, user_id=USER)
    return JobEnded(**header(f"evt_ended_{state}"), payload=ending)  # type: ignore[arg-type]


@pytest.fixture
async def house(tmp_path: Path) -> House:
    """Return an empty gallery and an approved result."""
    house = House(tmp_path)
    await house.rendered()
    return house


async def test_an_approval_publishes_the_bytes_that_were_approved(house: House) -> None:
    """Step 12: copied to a place of its own, so that nobody can change it later."""
    said = await house.publish()

    async with house.store.as_file(said.payload.output_uri) as path:
        assert path.read_bytes() == CONTENT
    effect_id = effect_id_of(JOB)
    assert said.payload.output_uri == f"s3://gallery/{effect_id}/rev_{HASH[:24]}.mp4"
    assert said.payload.gallery_url == f"https://example.test/#/gallery/{effect_id}"
    assert said.payload.cdn_urls == (f"https://example.test/v1/gallery/{effect_id}/video",)
    assert (said.payload.user_id, said.payload.revision) == (USER, 1)


async def test_the_public_id_does_not_show_the_jobs_id(house: House) -> None:
    """The gallery is open to everybody; jobs are not."""
    said = await house.publish()

    assert JOB not in said.payload.effect_id


async def test_a_repeated_approval_says_the_same_and_writes_nothing(house: House) -> None:
    """Also when the result was cleaned away in between."""
    first = await house.publish()
    await house.store.delete(OUTPUT)
    house.folder.written.clear()
    house.clock.at = house.clock.at.replace(hour=13)

    again = await house.publish()

    assert again == first
    assert house.folder.written == []


async def test_publishing_again_after_a_crash_leads_to_the_same_revision(house: House) -> None:
    """The copy may be there when the catalog is not."""
    first = await house.publish()
    fresh = House(house.root)

    assert await fresh.publish() == first


async def test_a_result_that_is_gone_is_given_up(house: House) -> None:
    """No redelivery brings it back."""
    await house.store.delete(OUTPUT)

    with pytest.raises(GiveUp, match=r"s3://output/task_1/1/result\.mp4"):
        await house.publish()


async def test_a_full_store_is_tried_again_and_nothing_is_shown_before(house: House) -> None:
    """The job stays in publishing; the catalog never shows a clip that is not there."""
    house.folder.full = True

    with pytest.raises(TryLater) as later:
        await house.publish()

    assert later.value.retry_after >= 10
    assert await house.catalog.page(limit=10) == ()
    house.folder.full = False
    assert (await house.publish()).payload.revision == 1


async def test_other_bytes_for_the_same_job_are_a_new_revision(house: House) -> None:
    """The older one stays as it was; the effect shows the new one."""
    first = await house.publish()
    await house.rendered(b"a better clip")

    second = await house.publish(admin_approved("evt_approved_again"))

    assert second.payload.effect_id == first.payload.effect_id
    assert second.payload.revision == 2
    shown = await house.catalog.find(first.payload.effect_id)
    assert shown is not None
    assert shown.revision_id == second.payload.revision_id
    async with house.store.as_file(first.payload.output_uri) as path:
        assert path.read_bytes() == CONTENT


async def test_the_gallery_can_be_asked_page_by_page(house: House) -> None:
    """The newest first, and a cursor for the rest."""
    for number in range(3):
        approved = structs.replace(admin_approved(f"evt_{number}"), correlation_id=f"job_{number}")
        house.clock.at = house.clock.at.replace(minute=number)
        await house.publish(approved)
    answers = GalleryAnswers(catalog=house.catalog)

    first = await answers.answer(ListGallery(limit=2))
    assert isinstance(first, GalleryPage)
    rest = await answers.answer(ListGallery(limit=2, before=first.next))
    assert isinstance(rest, GalleryPage)

    seen = [item.effect_id for item in (*first.effects, *rest.effects)]
    assert seen == [effect_id_of(f"job_{number}") for number in (2, 1, 0)]  # type: ignore[arg-type]
    assert rest.next == ""
    found = await answers.answer(FindEffect(effect_id=seen[0]))
    assert isinstance(found, GalleryPage)
    assert found.effects == (first.effects[0],)
    assert await answers.answer(FindEffect(effect_id="fx_none")) == GalleryPage(effects=())


@pytest.mark.parametrize("state", sorted(ENDINGS - {JobState.COMPLETE}))
async def test_an_effect_whose_job_ended_otherwise_is_withdrawn(
    house: House, state: JobState
) -> None:
    """Its tokens went back, so nobody may see it, by whatever way."""
    said = await house.publish()

    assert await house.actor.receive(ended(state)) == []

    answers = GalleryAnswers(catalog=house.catalog)
    assert await answers.answer(ListGallery()) == GalleryPage(effects=())
    found = await answers.answer(FindEffect(effect_id=said.payload.effect_id))
    assert found == GalleryPage(effects=())


async def test_an_approval_that_is_heard_after_the_ending_publishes_nothing(house: House) -> None:
    """The two come on different ways; a cancelled job must not show up a moment later."""
    await house.actor.receive(ended())

    assert await house.actor.receive(admin_approved()) == []
    assert await house.catalog.page(limit=10) == ()
    assert house.folder.written == []


async def test_a_replay_does_not_bring_a_withdrawn_effect_back(house: House) -> None:
    """Neither the same approval again nor another one; and nothing is said of it."""
    await house.publish()
    await house.actor.receive(ended())

    for event_id in ("evt_approved", "evt_approved_again"):
        assert await house.actor.receive(admin_approved(event_id)) == []
        await house.actor.receive(ended())
    assert await house.catalog.page(limit=10) == ()


async def test_an_ending_in_the_middle_of_the_copy_wins(house: House) -> None:
    """The catalog is asked once more when it adds the revision."""

    class Slow(FolderStore):
        async def put_file(self, uri: str, path: Path, *, content_type: str) -> None:
            await super().put_file(uri, path, content_type=content_type)
            await house.actor.receive(ended())

    actor = Gallery(
        store=Slow(house.root),
        catalog=house.catalog,
        public_url="https://example.test",
        clock=house.clock,
    )

    assert await actor.receive(admin_approved()) == []
    assert await house.catalog.page(limit=10) == ()


async def test_a_withdrawn_job_is_not_asked_for_its_result(house: House) -> None:
    """The approval of a cancelled job is no dead letter when its result is gone already."""
    await house.store.delete(OUTPUT)
    await house.actor.receive(ended())

    assert await house.actor.receive(admin_approved()) == []


async def test_a_complete_job_stays_in_the_gallery(house: House) -> None:
    """It is paid for."""
    said = await house.publish()

    assert await house.actor.receive(ended(JobState.COMPLETE)) == []

    assert await house.catalog.find(said.payload.effect_id) is not None
    assert await house.publish() == said


async def test_only_the_tenants_own_job_is_withdrawn(house: House) -> None:
    """A job of the same name elsewhere is another job."""
    said = await house.publish()

    await house.actor.receive(structs.replace(ended(), tenant_id="tnt_2"))

    assert await house.catalog.find(said.payload.effect_id) is not None
    assert not await house.catalog.is_withdrawn(JOB, TENANT)
