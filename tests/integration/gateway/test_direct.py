"""Uploads past the gateway: planned here, put into a real S3 protocol, judged like any other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar

from gateway.app import create_app
from media.errors import StoreAwayError, UploadUnknownError
from media.s3_client import S3Settings
from media.s3_store import S3MediaStore
from media.s3_uploads import S3Uploads
from media.store import PartTag
from tests.contract.media_store.servers import moto_server, with_own_bucket
from tests.integration.gateway.world import BOB, CLIP, OPS, MemoryBus, World, bearer, tokens

PART_BYTES = 5 * 1024 * 1024
AWAY = S3Settings(
    bucket="x", endpoint_url="http://127.0.0.1:9", access_key_id="a", secret_access_key="b"
)
LONG = CLIP + bytes(PART_BYTES)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Settings]:
    """Return an S3 server for these tests."""
    with moto_server() as settings:
        yield settings


class S3World(World):
    """A gateway whose media are in S3."""

    def __init__(self, folder: Path, server: S3Settings, **settings: Any) -> None:
        super().__init__(folder, **settings)
        bucket = with_own_bucket(server)
        self.s3 = S3MediaStore(settings=bucket)
        self.direct = S3Uploads(settings=bucket, part_bytes=PART_BYTES)
        self.bus = MemoryBus(self.s3)

    def app(self) -> Litestar:
        """Return the application, not served."""
        return create_app(
            bus=self.bus,
            store=self.s3,
            tokens=tokens(),
            uploads_dir=self.incoming,
            clock=self.clock,
            settings=self.settings,
            direct=self.direct,
        )

    async def stored(self) -> list[str]:
        """Return every address at which something is stored."""
        return [uri async for uri in self.s3.addresses("s3://intake/raw/")]


@pytest.fixture
def world(tmp_path: Path, server: S3Settings) -> S3World:
    """Return an empty world."""
    return S3World(tmp_path, server)


async def put(plan: dict[str, Any], content: bytes) -> dict[str, Any]:
    """Do what a browser does with a plan; return the body that completes it."""
    parts = []
    async with httpx.AsyncClient() as browser:
        for part in plan["parts"]:
            at = (part["number"] - 1) * plan["part_bytes"]
            piece = content[at : at + part["size"]]
            answer = await browser.put(part["url"], content=piece, headers=part["headers"])
            parts.append({"number": part["number"], "etag": answer.headers["etag"]})
    return {"upload_id": plan["upload_id"], "parts": parts}


@asynccontextmanager
async def planned(
    world: S3World, content: bytes
) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, Any]]]:
    """Yield a client and the plan for so many bytes."""
    async with world.inside() as client:
        answer = await client.post("/v1/direct-uploads", json={"size": len(content)})
        assert answer.status_code == 201, answer.text
        yield client, answer.json()


@pytest.mark.parametrize("content", [CLIP, LONG], ids=["one piece", "parts"])
async def test_a_direct_upload_ends_like_any_other(content: bytes, world: S3World) -> None:
    """The same question to Video Intake, the same answer, the same address."""
    async with planned(world, content) as (client, plan):
        body = await put(plan, content)
        done = await client.post(f"/v1/direct-uploads/{plan['video_id']}/complete", json=body)
        again = await client.post(f"/v1/direct-uploads/{plan['video_id']}/complete", json=body)
        shown = await client.get(f"/v1/uploads/{plan['video_id']}")

    assert done.status_code == 201
    assert done.json()["metadata"]["file_size_bytes"] == len(content)
    assert again.json() == done.json() == shown.json()
    assert await world.stored() == [f"s3://intake/raw/tnt_1/{plan['video_id']}"]


async def test_what_is_no_video_is_refused_and_gone(world: S3World) -> None:
    """It came another way, and is judged the same."""
    async with planned(world, b"dear diary") as (client, plan):
        body = await put(plan, b"dear diary")
        answer = await client.post(f"/v1/direct-uploads/{plan['video_id']}/complete", json=body)

    assert answer.status_code == 422
    assert answer.json()["code"] == "NOT_A_VIDEO"
    assert await world.stored() == []


async def test_completing_before_the_bytes_came_is_a_conflict(world: S3World) -> None:
    """The client learns what is missing instead of a video that is not there."""
    async with planned(world, CLIP) as (client, plan):
        early = await client.post(
            f"/v1/direct-uploads/{plan['video_id']}/complete", json={"upload_id": ""}
        )

    assert early.status_code == 409
    assert early.json()["code"] == "UPLOAD_INCOMPLETE"


async def test_another_tenant_cannot_complete_it(world: S3World) -> None:
    """The address follows from the token, so his would be another one."""
    async with planned(world, CLIP) as (client, plan):
        body = await put(plan, CLIP)
        answer = await client.post(
            f"/v1/direct-uploads/{plan['video_id']}/complete", json=body, headers=bearer(BOB)
        )

    assert answer.status_code == 409
    assert await world.stored() == [f"s3://intake/raw/tnt_1/{plan['video_id']}"]


@pytest.mark.parametrize(
    ("size", "status", "code"),
    [(0, 400, "EMPTY_UPLOAD"), (10**12, 413, "UPLOAD_TOO_LARGE"), (-1, 400, "INVALID_REQUEST")],
)
async def test_an_impossible_size_gets_no_plan(
    size: int, status: int, code: str, world: S3World
) -> None:
    """Ten thousand URLs for a file that would be refused."""
    async with world.inside() as client:
        answer = await client.post("/v1/direct-uploads", json={"size": size})

    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_more_than_was_announced_is_not_kept(world: S3World, server: S3Settings) -> None:
    """The stand-in lets a URL be used for more bytes; the gateway looks again."""
    small = S3World(world.incoming, server, max_upload_bytes=1000)
    async with planned(small, CLIP[:900]) as (client, plan):
        [part] = plan["parts"]
        async with httpx.AsyncClient() as browser:
            await browser.put(part["url"], content=CLIP, headers=part["headers"])
        answer = await client.post(
            f"/v1/direct-uploads/{plan['video_id']}/complete", json={"upload_id": ""}
        )

    assert answer.status_code == 413
    assert await small.stored() == []


async def test_an_aborted_upload_cannot_be_completed(world: S3World) -> None:
    """Its parts are gone."""
    async with planned(world, LONG) as (client, plan):
        body = await put(plan, LONG)
        gone = await client.delete(
            f"/v1/direct-uploads/{plan['video_id']}", params={"upload_id": plan["upload_id"]}
        )
        late = await client.post(
            f"/v1/direct-uploads/{plan['video_id']}/complete", json={"upload_id": "", "parts": []}
        )

    assert gone.status_code == 204
    assert late.status_code == 409
    assert len(body["parts"]) == 2


async def test_the_operator_has_no_tenant_to_upload_for(world: S3World) -> None:
    """As with every other way to upload."""
    async with world.inside() as client:
        answer = await client.post("/v1/direct-uploads", json={"size": 10}, headers=bearer(OPS))
        plain = await client.post("/v1/uploads", content=CLIP, headers=bearer(OPS))

    assert answer.status_code == plain.status_code
    assert answer.json()["code"] == plain.json()["code"]


async def test_a_store_on_disk_takes_no_direct_uploads(tmp_path: Path) -> None:
    """And says how else."""
    async with World(tmp_path).inside() as client:
        answer = await client.post("/v1/direct-uploads", json={"size": 10})

    assert answer.status_code == 409
    assert "tus" in answer.json()["hint"]


async def test_a_store_that_is_away_is_tried_again(tmp_path: Path, server: S3Settings) -> None:
    """It is not the client's fault."""
    world = S3World(tmp_path, server)
    world.s3 = S3MediaStore(settings=AWAY)
    async with world.inside() as client:
        answer = await client.post("/v1/uploads", content=CLIP)

    assert answer.status_code == 503
    assert answer.json()["code"] == "STORE_UNAVAILABLE"
    assert int(answer.headers["retry-after"]) > 0


async def test_a_start_forgets_what_was_never_completed(world: S3World) -> None:
    """Parts of unfinished uploads are seen by nobody and paid for by us."""
    plan = await world.direct.begin("s3://intake/raw/tnt_1/vid_1", size=len(LONG), seconds=60)
    tags = await put(msgspec.to_builtins(plan), LONG)
    world.clock.at = datetime.now(UTC) + timedelta(days=2)
    async with world.gateway():
        pass

    parts = [PartTag(number=each["number"], etag=each["etag"]) for each in tags["parts"]]
    with pytest.raises((UploadUnknownError, StoreAwayError)):
        await world.direct.complete(plan.uri, upload_id=plan.upload_id, parts=parts)


async def test_a_gateway_starts_though_the_store_is_away(
    tmp_path: Path, server: S3Settings
) -> None:
    """Only the housekeeping is put off."""
    world = S3World(tmp_path, server)
    world.direct = S3Uploads(settings=AWAY)
    async with world.gateway() as client:
        answer = await client.get("/livez")

    assert answer.status_code == 200
