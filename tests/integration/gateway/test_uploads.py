"""Plain uploads, from the request's first byte to Video Intake's verdict."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from tests.integration.gateway.world import BOB, CLIP, OPS, World, bearer


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    """Send a body whose length is not announced."""
    for piece in given:
        yield piece


async def test_an_upload_is_stored_whole_and_described(tmp_path: Path) -> None:
    """Everything after this works on exactly these bytes."""
    world = World(tmp_path)
    async with world.gateway() as client:
        answer = await client.post("/v1/uploads", content=CLIP)

    body = answer.json()
    stored = world.media / "intake" / "raw" / "tnt_1" / body["video_id"]
    assert answer.status_code == 201
    assert stored.read_bytes() == CLIP
    assert body["metadata"]["file_size_bytes"] == len(CLIP)
    assert world.kept() == [stored]


async def test_an_empty_upload_is_refused(tmp_path: Path) -> None:
    """Nobody can make a video of nothing; the answer says so."""
    world = World(tmp_path)
    async with world.gateway() as client:
        answer = await client.post("/v1/uploads", content=b"")

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "EMPTY_UPLOAD"
    assert world.kept() == []


async def test_a_text_that_calls_itself_a_video_is_refused_with_intakes_words(
    tmp_path: Path,
) -> None:
    """The user learns what is wrong at once, and nothing of the file stays."""
    world = World(tmp_path)
    async with world.gateway() as client:
        headers = {"Content-Type": "video/mp4"}
        answer = await client.post("/v1/uploads", content=b"dear diary", headers=headers)

    problem = answer.json()
    assert answer.status_code == 422
    assert (problem["code"], problem["detail"]) == ("NOT_A_VIDEO", "the file holds no video")
    assert problem["hint"]
    assert world.kept() == []


async def test_a_length_over_the_limit_is_refused_before_a_byte_of_it_comes(
    tmp_path: Path,
) -> None:
    """Ten gigabytes must not be read only to be refused."""
    world = World(tmp_path, max_upload_bytes=1000)
    async with world.gateway() as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(
            b"POST /v1/uploads HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ann-token\r\n"
            b"Content-Length: 10000000000\r\n\r\n"
        )
        status = await reader.readline()
        writer.close()
        await writer.wait_closed()

    assert b"413" in status


async def test_a_body_that_grows_over_the_limit_is_cut_off(tmp_path: Path) -> None:
    """A client that announces no length must not fill the disk."""
    world = World(tmp_path, max_upload_bytes=1000)
    async with world.gateway() as client:
        answer = await client.post("/v1/uploads", content=pieces(CLIP[:800], CLIP[:800]))

    assert answer.status_code == 413
    assert answer.json()["limit_bytes"] == 1000
    assert world.kept() == []


async def test_nothing_is_kept_when_nobody_can_judge_the_upload(tmp_path: Path) -> None:
    """The client sends it again; an orphan would stay for ever."""
    world = World(tmp_path)
    world.bus.down = True
    async with world.gateway() as client:
        answer = await client.post("/v1/uploads", content=CLIP)

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert world.kept() == []


async def test_an_upload_without_a_token_is_refused_unread(tmp_path: Path) -> None:
    """Strangers get no disk."""
    world = World(tmp_path)
    async with world.gateway() as client:
        for wrong in ("Bearer guessed", "Basic ann-token", ""):
            headers = {"Authorization": wrong}
            answer = await client.post("/v1/uploads", content=CLIP, headers=headers)

            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["code"] == "UNAUTHENTICATED"
    assert world.kept() == []


async def test_another_tenants_upload_looks_like_an_absent_one(tmp_path: Path) -> None:
    """Even that it exists is nobody else's business."""
    world = World(tmp_path)
    async with world.gateway() as client:
        video_id = await world.upload(client)
        own = await client.get(f"/v1/uploads/{video_id}")
        other = await client.get(f"/v1/uploads/{video_id}", headers=bearer(BOB))
        absent = await client.get("/v1/uploads/vid_absent", headers=bearer(BOB))

    assert own.status_code == 200
    assert other.status_code == absent.status_code == 404
    assert other.text.replace(video_id, "vid_absent") == absent.text


async def test_the_operator_has_no_tenant_to_upload_for(tmp_path: Path) -> None:
    """No message may ever be published under the name of every tenant."""
    world = World(tmp_path)
    async with world.gateway() as client:
        answer = await client.post("/v1/uploads", content=CLIP, headers=bearer(OPS))

    assert (answer.status_code, answer.json()["code"]) == (403, "NO_TENANT")
    assert world.kept() == []
