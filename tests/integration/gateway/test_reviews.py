"""Deleting a video, deciding what screening held, reading by a signed URL."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from schemas.asks import PendingReview
from schemas.base import TenantId, UserId, VideoId
from tests.integration.gateway.world import (
    ADA,
    ANN,
    BOB,
    CLIP,
    OPS,
    OTHER,
    TENANT,
    World,
    bearer,
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a world in which two uploads wait for an admin."""
    world = World(tmp_path)
    for name, tenant_id in (("vid_ours", TENANT), ("vid_theirs", OTHER)):
        world.bus.reviews[name] = held(name, tenant_id)
    return world


def held(name: str, tenant_id: TenantId) -> PendingReview:
    """Return an upload that waits."""
    return PendingReview(
        video_id=VideoId(name),
        tenant_id=tenant_id,
        user_id=UserId("usr_1"),
        state="held",
        why="perhaps nudity, score 0.60",
        nudity=(0.6,),
    )


async def test_a_deleted_video_is_gone(world: World) -> None:
    """204, and from then on as if it had never been."""
    async with world.inside() as client:
        video_id = await world.upload(client)
        gone = await client.delete(f"/v1/uploads/{video_id}")
        again = await client.delete(f"/v1/uploads/{video_id}")
        shown = await client.get(f"/v1/uploads/{video_id}")

    assert gone.status_code == 204
    assert (again.status_code, shown.status_code) == (404, 404)
    assert world.kept() == []


async def test_nobody_deletes_another_tenants_video(world: World) -> None:
    """Not even its existence is told."""
    async with world.inside() as client:
        video_id = await world.upload(client)
        theirs = await client.delete(f"/v1/uploads/{video_id}", headers=bearer(BOB))
        absent = await client.delete("/v1/uploads/vid_absent")

    assert theirs.status_code == absent.status_code == 404
    assert len(world.kept()) == 1


async def test_an_admin_sees_what_waits_in_his_tenant(world: World) -> None:
    """The operator sees everybody's, a user nothing."""
    async with world.inside() as client:
        own = await client.get("/v1/reviews", headers=bearer(ADA))
        every = await client.get("/v1/reviews", headers=bearer(OPS))
        user = await client.get("/v1/reviews", headers=bearer(ANN))
        wrong = await client.get("/v1/reviews?state=accepted", headers=bearer(ADA))

    assert [each["video_id"] for each in own.json()["reviews"]] == ["vid_ours"]
    assert len(every.json()["reviews"]) == 2
    assert (user.status_code, wrong.status_code) == (403, 400)


async def test_an_admin_decides_once_and_for_his_tenant(world: World) -> None:
    """The decision carries his name."""
    async with world.inside() as client:
        answer = await client.post(
            "/v1/reviews/vid_ours", json={"approve": True, "note": "a cat"}, headers=bearer(ADA)
        )
        theirs = await client.post(
            "/v1/reviews/vid_theirs", json={"approve": True}, headers=bearer(ADA)
        )
        user = await client.post("/v1/reviews/vid_ours", json={"approve": True})

    assert (answer.status_code, answer.json()["state"]) == (200, "normalized")
    assert (world.bus.reviews["vid_ours"].decided_by, world.bus.reviews["vid_ours"].note) == (
        "usr_ada",
        "a cat",
    )
    assert (theirs.status_code, user.status_code) == (404, 403)


async def test_a_signed_url_needs_no_token_and_ends(world: World) -> None:
    """A player gets a part of a clip for some minutes."""
    async with world.inside() as client:
        video_id = await world.upload(client)
        url = await world.signed.signed_url(f"s3://intake/raw/tnt_1/{video_id}", seconds=60)
        stranger = {"Authorization": "", "Range": "bytes=4-7"}
        part = await client.get(url, headers=stranger)
        size = await client.head(url, headers={"Authorization": ""})
        altered = await client.get(url.replace(video_id, video_id + "0"))
        world.clock.at += timedelta(seconds=60)
        late = await client.get(url)

    assert (part.status_code, part.content) == (206, b"ftyp")
    assert size.headers["content-length"] == str(len(CLIP))
    assert part.headers["content-security-policy"].startswith("sandbox")
    assert (altered.status_code, late.status_code) == (403, 403)
    assert late.json()["code"] == "URL_REFUSED"
