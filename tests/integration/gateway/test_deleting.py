"""Deleting a video takes with it what its jobs rendered."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from media.errors import StoreAwayError
from media.local_store import LocalMediaStore
from schemas.base import VideoId
from schemas.jobs import ENDINGS, JobState
from tests.integration.gateway.world import (
    BOB,
    CLIP,
    OPS,
    OTHER,
    TENANT,
    World,
    bearer,
)

HASH = hashlib.sha256(CLIP).hexdigest()
UNFINISHED = [state for state in JobState if state not in ENDINGS]


class FailingStore(LocalMediaStore):
    """Is away at the second delete, once."""

    def __init__(self, *, root: Path) -> None:
        super().__init__(root=root)
        self.deletes = 0

    async def delete(self, uri: str) -> None:
        """Remove the object, or fail."""
        self.deletes += 1
        if self.deletes == 2:
            raise StoreAwayError(uri, "no answer")
        await super().delete(uri)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return an empty world."""
    return World(tmp_path)


async def stored(world: World, *uris: str) -> list[str]:
    """Return those of the addresses where something is stored."""
    return [uri for uri in uris if await world.store.exists(uri)]


async def test_the_renders_of_all_its_jobs_go_with_a_video(world: World) -> None:
    """Every attempt of every job, and what was remembered of the bytes."""
    world.bus.analysed |= {(TENANT, HASH), (OTHER, HASH)}
    async with world.inside() as client:
        video_id = await world.upload(client)
        for job_id, state in (("job_1", JobState.COMPLETE), ("job_2", JobState.CANCELLED)):
            assert await stored(world, *await world.rendered(video_id, job_id, state=state))
        gone = await client.delete(f"/v1/uploads/{video_id}")
        again = await client.delete(f"/v1/uploads/{video_id}")

    assert (gone.status_code, again.status_code) == (204, 404)
    assert world.kept() == []
    assert world.bus.analysed == {(OTHER, HASH)}


async def test_what_is_published_and_what_is_anothers_stays(world: World) -> None:
    """The gallery has a copy of its own; a video id of another tenant leads to nothing."""
    published = "s3://gallery/fx_1/rev_1.mp4"
    async with world.inside() as client:
        video_id, second = await world.upload(client), await world.upload(client)
        await world.rendered(video_id, "job_1")
        more = await world.rendered(second, "job_2")
        # the same video id under another tenant, as nobody could upload it
        theirs = await world.rendered(video_id, "job_3", tenant_id=OTHER)
        clip = world.media.parent / "rendered.mp4"
        await world.store.put_file(published, clip, content_type="video/mp4")
        gone = await client.delete(f"/v1/uploads/{video_id}")

    assert gone.status_code == 204
    assert await stored(world, published, *more, *theirs) == [published, *more, *theirs]


async def test_nobody_deletes_another_tenants_renders(world: World) -> None:
    """Neither a user of another tenant nor the operator, who has no tenant."""
    async with world.inside() as client:
        video_id = await world.upload(client)
        renders = await world.rendered(video_id, "job_1")
        bob = await client.delete(f"/v1/uploads/{video_id}", headers=bearer(BOB))
        operator = await client.delete(f"/v1/uploads/{video_id}", headers=bearer(OPS))

    assert (bob.status_code, operator.status_code) == (404, 403)
    assert await stored(world, *renders) == renders
    assert (TENANT, video_id) in world.bus.uploads


@pytest.mark.parametrize("state", UNFINISHED)
async def test_a_video_whose_job_is_under_way_is_not_deleted(world: World, state: JobState) -> None:
    """The job would render on, or publish what is gone. Nothing is removed, of other jobs too."""
    async with world.inside() as client:
        video_id = await world.upload(client)
        renders = await world.rendered(video_id, "job_1")
        await world.rendered(video_id, "job_2", state=state)
        refused = await client.delete(f"/v1/uploads/{video_id}")
        shown = await client.get(f"/v1/uploads/{video_id}")

    assert (refused.status_code, refused.json()["code"]) == (409, "JOB_RUNNING")
    assert "job_2" in refused.json()["detail"]
    assert shown.status_code == 200
    assert await stored(world, *renders) == renders


async def test_deleting_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """What leads to the rest is removed last."""
    world = World(tmp_path)
    world.store = FailingStore(root=world.media)
    async with world.inside() as client:
        video_id = await world.upload(client)
        renders = await world.rendered(video_id, "job_1")
        failed = await client.delete(f"/v1/uploads/{video_id}")
        left = await stored(world, *renders)
        known = (TENANT, video_id) in world.bus.uploads
        again = await client.delete(f"/v1/uploads/{video_id}")

    assert failed.status_code == 503
    assert (left, known) == (renders[1:], True)
    assert again.status_code == 204
    assert await stored(world, *renders) == []
    assert world.bus.uploads == {}


async def test_renders_outlive_an_upload_only_until_they_are_asked_for(world: World) -> None:
    """Retention by age removes uploads; and an agent may store after its job was cancelled."""
    async with world.inside() as client:
        await world.rendered(VideoId("vid_old"), "job_1")
        gone = await client.delete("/v1/uploads/vid_old")
        again = await client.delete("/v1/uploads/vid_old")

    assert (gone.status_code, again.status_code) == (204, 404)
    assert world.kept() == []


async def test_a_bus_that_is_away_leaves_everything(world: World) -> None:
    """Nothing is removed on a guess."""
    async with world.inside() as client:
        video_id = await world.upload(client)
        renders = await world.rendered(video_id, "job_1")
        world.bus.down = True
        away = await client.delete(f"/v1/uploads/{video_id}")

    assert away.status_code == 503
    assert await stored(world, *renders) == renders
