"""Resumable uploads after tus 1.0, across restarts and at every odd request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from tests.integration.gateway.world import ADA, BOB, CLIP, World, bearer

TUS = {"Tus-Resumable": "1.0.0"}
OFFSET_TYPE = "application/offset+octet-stream"


async def create(client: httpx.AsyncClient, length: int = len(CLIP)) -> str:
    """Create an upload; return its address."""
    headers = TUS | {"Upload-Length": str(length), "Upload-Metadata": "filename Y2xpcC5tcDQ="}
    answer = await client.post("/v1/tus", headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def append(
    client: httpx.AsyncClient, where: str, data: bytes, offset: int, token: str = ""
) -> httpx.Response:
    """Send a piece."""
    headers = TUS | {"Upload-Offset": str(offset), "Content-Type": OFFSET_TYPE}
    headers |= bearer(token) if token else {}
    return await client.patch(where, content=data, headers=headers)


async def offset_of(client: httpx.AsyncClient, where: str) -> int:
    """Ask where to go on."""
    answer = await client.head(where, headers=TUS)
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


async def test_what_is_spoken_is_told_without_a_token(tmp_path: Path) -> None:
    """A tus client asks this first."""
    async with World(tmp_path, max_upload_bytes=5000).gateway() as client:
        answer = await client.options("/v1/tus", headers={"Authorization": ""})

    assert answer.status_code == 204
    assert answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-max-size"] == "5000"
    assert "creation" in answer.headers["tus-extension"]


async def test_an_upload_in_pieces_becomes_one_video(tmp_path: Path) -> None:
    """The last piece is answered with the video's name."""
    world = World(tmp_path)
    async with world.gateway() as client:
        where = await create(client)
        first = await append(client, where, CLIP[:1000], 0)
        last = await append(client, where, CLIP[1000:], 1000)
        video_id = last.headers["video-id"]
        shown = await client.get(f"/v1/uploads/{video_id}")
        again = await client.head(where, headers=TUS)

    assert (first.status_code, first.headers["upload-offset"]) == (204, "1000")
    assert "video-id" not in first.headers
    assert last.status_code == 204
    assert shown.json()["metadata"]["file_size_bytes"] == len(CLIP)
    assert again.headers["upload-offset"] == again.headers["upload-length"] == str(len(CLIP))
    assert again.headers["video-id"] == video_id
    stored = world.media / "intake" / "raw" / "tnt_1" / video_id
    assert stored.read_bytes() == CLIP


async def test_an_upload_cut_in_the_middle_of_a_piece_goes_on_after_a_restart(
    tmp_path: Path,
) -> None:
    """What came before the line broke is on the disk, and is not sent again."""
    world = World(tmp_path)
    async with world.gateway() as client:
        where = await create(client)
        await append(client, where, CLIP[:1000], 0)
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        head = (
            f"PATCH {where} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ann-token\r\n"
            f"Tus-Resumable: 1.0.0\r\nUpload-Offset: 1000\r\nContent-Type: {OFFSET_TYPE}\r\n"
            f"Expect: 100-continue\r\nContent-Length: {len(CLIP) - 1000}\r\n\r\n"
        )
        writer.write(head.encode())
        assert b"100" in await reader.readline()  # now the gateway waits for the bytes
        writer.write(CLIP[1000:1300])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with world.gateway() as client:
        assert await offset_of(client, where) == 1300
        last = await append(client, where, CLIP[1300:], 1300)
    stored = world.media / "intake" / "raw" / "tnt_1" / last.headers["video-id"]
    assert stored.read_bytes() == CLIP


async def test_a_finished_upload_is_still_known_after_a_restart(tmp_path: Path) -> None:
    """A client that lost the last answer must not upload everything again."""
    world = World(tmp_path)
    async with world.gateway() as client:
        where = await create(client)
        done = await append(client, where, CLIP, 0)
    async with world.gateway() as client:
        again = await client.head(where, headers=TUS)

    assert again.headers["video-id"] == done.headers["video-id"]


async def test_the_last_byte_is_given_back_when_nobody_can_judge(tmp_path: Path) -> None:
    """A client that asks for the offset sends that byte again, and then gets the verdict."""
    world = World(tmp_path)
    async with world.gateway() as client:
        where = await create(client)
        world.bus.down = True
        silent = await append(client, where, CLIP, 0)
        world.bus.down = False
        offset = await offset_of(client, where)
        last = await append(client, where, CLIP[offset:], offset)

    assert silent.status_code == 503
    assert offset == len(CLIP) - 1
    assert last.status_code == 204
    stored = world.media / "intake" / "raw" / "tnt_1" / last.headers["video-id"]
    assert stored.read_bytes() == CLIP


async def test_a_refused_clip_is_refused_on_the_last_piece_and_nothing_is_kept(
    tmp_path: Path,
) -> None:
    """A resumable upload must not be a way around the check."""
    world = World(tmp_path)
    text = b"dear diary, today I wrote no video"
    async with world.gateway() as client:
        where = await create(client, len(text))
        answer = await append(client, where, text, 0)
        gone = await client.head(where, headers=TUS)

    assert (answer.status_code, answer.json()["code"]) == (422, "NOT_A_VIDEO")
    assert gone.status_code == 404
    assert world.kept() == []


@pytest.mark.parametrize("offset", [0, 999, 1001, len(CLIP)])
async def test_a_wrong_offset_is_refused_with_the_right_one(tmp_path: Path, offset: int) -> None:
    """Bytes at the wrong place would make another file."""
    async with World(tmp_path).gateway() as client:
        where = await create(client)
        await append(client, where, CLIP[:1000], 0)
        answer = await append(client, where, CLIP[1000:], offset)
        after = await offset_of(client, where)

    assert answer.status_code == 409
    assert answer.headers["upload-offset"] == "1000"
    assert answer.json()["code"] == "WRONG_OFFSET"
    assert after == 1000


async def test_more_bytes_than_declared_are_refused(tmp_path: Path) -> None:
    """The declared length is what was checked against the limit."""
    world = World(tmp_path)
    async with world.gateway() as client:
        where = await create(client, 1000)
        answer = await append(client, where, CLIP[:1001], 0)
        after = await offset_of(client, where)

    assert (answer.status_code, answer.json()["code"]) == (413, "LONGER_THAN_DECLARED")
    assert after == 0


async def test_two_writers_at_once_are_not_let_in(tmp_path: Path) -> None:
    """Their bytes would mix."""
    world = World(tmp_path)
    async with world.gateway() as client:
        where = await create(client)
        started, go_on = asyncio.Event(), asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield CLIP[:10]
            started.set()
            await go_on.wait()
            yield CLIP[10:]

        headers = TUS | {"Upload-Offset": "0", "Content-Type": OFFSET_TYPE}
        first = asyncio.ensure_future(client.patch(where, content=slowly(), headers=headers))
        await started.wait()
        for _ in range(100):
            if (second := await append(client, where, b"", 0)).status_code == 423:
                break
        go_on.set()
        done = await first

    assert (second.status_code, second.json()["code"]) == (423, "UPLOAD_BUSY")
    assert done.status_code == 204
    assert "video-id" in done.headers


async def test_another_tenants_upload_looks_like_an_absent_one(tmp_path: Path) -> None:
    """A guessed address must not show, change or end somebody's upload."""
    world = World(tmp_path)
    async with world.gateway() as client:
        where = await create(client)
        head = await client.head(where, headers=TUS | bearer(BOB))
        patched = await append(client, where, CLIP, 0, BOB)
        dropped = await client.delete(where, headers=TUS | bearer(BOB))
        colleague = await client.head(where, headers=TUS | bearer(ADA))

    assert head.status_code == patched.status_code == dropped.status_code == 404
    assert colleague.status_code == 200


async def test_a_dropped_upload_is_gone(tmp_path: Path) -> None:
    """Whoever changes their mind leaves nothing behind."""
    world = World(tmp_path)
    async with world.gateway() as client:
        where = await create(client)
        await append(client, where, CLIP[:1000], 0)
        answer = await client.delete(where, headers=TUS)
        after = await client.head(where, headers=TUS)

    assert (answer.status_code, after.status_code) == (204, 404)
    assert world.kept() == []


async def test_an_unfinished_upload_expires_and_is_swept_by_the_next_one(tmp_path: Path) -> None:
    """Abandoned uploads must not fill the disk."""
    world = World(tmp_path)
    async with world.gateway() as client:
        where = await create(client)
        await append(client, where, CLIP[:1000], 0)
        world.clock.at += timedelta(hours=25)
        expired = await client.head(where, headers=TUS)
        await create(client)

    assert expired.status_code == 404
    assert sorted(path.suffix for path in world.kept()) == [".json", ".part"]


async def test_the_number_of_unfinished_uploads_is_bounded(tmp_path: Path) -> None:
    """One tenant must not take every inode."""
    async with World(tmp_path, open_uploads=2).gateway() as client:
        first = await create(client)
        await create(client)
        headers = TUS | {"Upload-Length": "10"}
        refused = await client.post("/v1/tus", headers=headers)
        await client.delete(first, headers=TUS)
        accepted = await client.post("/v1/tus", headers=headers)

    assert (refused.status_code, accepted.status_code) == (429, 201)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Upload-Length": "0"}, 400),
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Length": "ten"}, 400),
        ({"Upload-Length": "99999999999999999999999"}, 400),
        ({"Upload-Length": "6000"}, 413),
        ({"Upload-Length": "10", "Upload-Metadata": "x" * 5000}, 400),
        ({"Upload-Length": "10", "Tus-Resumable": "0.2.2"}, 412),
    ],
)
async def test_an_upload_that_makes_no_sense_is_not_created(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    """Each is a problem with a code, and none leaves a file."""
    world = World(tmp_path, max_upload_bytes=5000)
    async with world.gateway() as client:
        answer = await client.post("/v1/tus", headers=TUS | headers)

    assert answer.status_code == status
    assert answer.json()["code"]
    assert world.kept() == []


@pytest.mark.parametrize("name", ["..%2F..%2Fetc", "up_absent", "a.b", "%00"])
async def test_an_odd_address_is_an_absent_upload(tmp_path: Path, name: str) -> None:
    """No name of an upload may become another file's name."""
    async with World(tmp_path).gateway() as client:
        answer = await client.head(f"/v1/tus/{name}", headers=TUS)
        patched = await append(client, f"/v1/tus/{name}", b"x", 0)

    assert (answer.status_code, patched.status_code) == (404, 404)
