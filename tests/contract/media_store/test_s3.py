"""What is special about S3: parts, checksums, uploads past the gateway, a server that is away."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from media.errors import (
    InvalidUriError,
    MediaCorruptError,
    StoreAwayError,
    UploadUnknownError,
)
from media.s3_client import S3Settings, s3_client
from media.s3_store import S3MediaStore
from media.s3_uploads import S3Uploads
from media.slices import FileSlice
from media.store import PartTag, UploadPlan
from tests.contract.media_store.stores import PART_BYTES

CLIP = "s3://intake/raw/tnt_1/vid_1"
KEY = "intake/raw/tnt_1/vid_1"
CONTENT = bytes(range(251)) * 50_000
"""12.5 MB: two whole parts and a rest."""
LATER = datetime.now(UTC) + timedelta(hours=1)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return a file of three parts."""
    path = tmp_path / "clip"
    path.write_bytes(CONTENT)
    return path


only_real = pytest.mark.parametrize("s3", ["seaweed"], indirect=True)
"""For what the stand-in does not check."""


@pytest.fixture
def client(s3: S3Settings) -> Any:
    """Return a client of our own, to look behind the store."""
    return s3_client(s3, connections=1)


@pytest.fixture
def store(s3: S3Settings) -> S3MediaStore:
    """Return an empty store with small parts."""
    return S3MediaStore(settings=s3, part_bytes=PART_BYTES)


@pytest.fixture
def uploads(s3: S3Settings) -> S3Uploads:
    """Return the uploads into that store."""
    return S3Uploads(settings=s3, part_bytes=PART_BYTES)


def open_uploads(client: Any, s3: S3Settings) -> list[str]:
    """Return the keys of the uploads that are neither complete nor forgotten."""
    listed = client.list_multipart_uploads(Bucket=s3.bucket)
    return [each["Key"] for each in listed.get("Uploads", [])]


def unreadable(self: FileSlice, size: int = -1) -> bytes:
    """Play a disk that fails."""
    raise OSError("the disk is gone")


async def put(plan: UploadPlan, content: bytes) -> list[PartTag]:
    """Do what a browser does with a plan."""
    tags = []
    async with httpx.AsyncClient() as browser:
        for part in plan.parts:
            at = (part.number - 1) * plan.part_bytes
            piece = content[at : at + part.size]
            answer = await browser.put(part.url, content=piece, headers=part.headers)
            answer.raise_for_status()
            tags.append(PartTag(number=part.number, etag=answer.headers["etag"]))
    return tags


async def test_a_large_file_goes_up_in_parts_with_its_checksum(
    store: S3MediaStore, client: Any, s3: S3Settings, clip: Path
) -> None:
    """Each part was checked by the server; the whole can be checked by whoever reads."""
    await store.put_file(CLIP, clip, content_type="video/mp4")
    head = client.head_object(Bucket=s3.bucket, Key=KEY)

    assert head["ETag"].strip('"').endswith("-3")
    assert head["ContentType"] == "video/mp4"
    assert head["Metadata"] == {"sha256": hashlib.sha256(CONTENT).hexdigest()}
    assert open_uploads(client, s3) == []


async def test_bytes_that_changed_in_the_store_are_not_used(
    store: S3MediaStore, client: Any, s3: S3Settings, clip: Path
) -> None:
    """A clip that rotted must not be rendered and paid for."""
    await store.put_file(CLIP, clip, content_type="video/mp4")
    meta = client.head_object(Bucket=s3.bucket, Key=KEY)["Metadata"]
    rotten = b"\xff" + CONTENT[1:]
    client.put_object(Bucket=s3.bucket, Key=KEY, Body=rotten, Metadata=meta)

    with pytest.raises(MediaCorruptError):
        async with store.as_file(CLIP):
            pass


async def test_a_part_that_fails_leaves_no_upload_behind(
    store: S3MediaStore, client: Any, s3: S3Settings, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of unfinished uploads cost money for ever and are seen by nobody."""
    monkeypatch.setattr(FileSlice, "read", unreadable)
    with pytest.raises(OSError, match="the disk is gone"):
        await store.put_file(CLIP, clip, content_type="video/mp4")

    assert open_uploads(client, s3) == []
    assert not await store.exists(CLIP)


async def test_a_browser_uploads_a_small_file_in_one_piece(
    store: S3MediaStore, uploads: S3Uploads
) -> None:
    """One PUT, no bookkeeping."""
    plan = await uploads.begin(CLIP, size=1000, seconds=60)
    tags = await put(plan, CONTENT[:1000])
    await uploads.complete(CLIP, upload_id=plan.upload_id, parts=tags)

    assert plan.upload_id == ""
    assert b"".join([piece async for piece in store.read(CLIP)]) == CONTENT[:1000]


async def test_a_browser_uploads_a_large_file_in_parts(
    store: S3MediaStore, uploads: S3Uploads
) -> None:
    """The parts are exact, so nobody can put more than was announced."""
    plan = await uploads.begin(CLIP, size=len(CONTENT), seconds=60)
    tags = await put(plan, CONTENT)
    assert not await store.exists(CLIP)
    await uploads.complete(CLIP, upload_id=plan.upload_id, parts=tags[::-1])

    assert [part.size for part in plan.parts] == [PART_BYTES, PART_BYTES, 2_064_240]
    assert b"".join([piece async for piece in store.read(CLIP)]) == CONTENT


async def test_completing_again_is_no_error(uploads: S3Uploads) -> None:
    """The answer to the first try may have been lost."""
    plan = await uploads.begin(CLIP, size=len(CONTENT), seconds=60)
    tags = await put(plan, CONTENT)
    await uploads.complete(CLIP, upload_id=plan.upload_id, parts=tags)
    await uploads.complete(CLIP, upload_id=plan.upload_id, parts=tags)


@only_real
async def test_an_upload_that_never_was_cannot_be_completed(uploads: S3Uploads) -> None:
    """A client may send any upload id and any parts."""
    plan = await uploads.begin(CLIP, size=len(CONTENT), seconds=60)
    wrong = [PartTag(number=1, etag='"0123456789abcdef0123456789abcdef"')]

    with pytest.raises(UploadUnknownError):
        await uploads.complete(CLIP, upload_id=plan.upload_id, parts=wrong)
    with pytest.raises(UploadUnknownError):
        await uploads.complete(CLIP, upload_id="nonsense", parts=wrong)


@only_real
async def test_an_upload_belongs_to_its_address(uploads: S3Uploads, store: S3MediaStore) -> None:
    """Another tenant who learns the upload's id cannot make it his object."""
    plan = await uploads.begin(CLIP, size=len(CONTENT), seconds=60)
    tags = await put(plan, CONTENT)
    theirs = "s3://intake/raw/tnt_2/vid_1"

    with pytest.raises(UploadUnknownError):
        await uploads.complete(theirs, upload_id=plan.upload_id, parts=tags)
    assert not await store.exists(theirs)


async def test_an_aborted_upload_is_gone(uploads: S3Uploads, client: Any, s3: S3Settings) -> None:
    """And aborting again is no error."""
    plan = await uploads.begin(CLIP, size=len(CONTENT), seconds=60)
    await uploads.abort(CLIP, upload_id=plan.upload_id)
    await uploads.abort(CLIP, upload_id=plan.upload_id)

    assert open_uploads(client, s3) == []


@only_real
async def test_stale_uploads_are_forgotten_and_young_ones_kept(
    uploads: S3Uploads, client: Any, s3: S3Settings
) -> None:
    """A browser that was closed leaves parts behind that somebody pays for."""
    await uploads.begin(CLIP, size=len(CONTENT), seconds=60)

    assert await uploads.abort_stale(before=LATER - timedelta(days=1)) == 0
    assert open_uploads(client, s3) == [KEY]
    assert await uploads.abort_stale(before=LATER) == 1
    assert open_uploads(client, s3) == []


@pytest.mark.parametrize(
    ("size", "seconds"), [(0, 60), (-1, 60), (PART_BYTES * 257, 60), (1, 0), (1, 3601)]
)
async def test_a_plan_has_bounds(uploads: S3Uploads, size: int, seconds: int) -> None:
    """Neither a million URLs nor one that never ends."""
    with pytest.raises(ValueError, match="not between"):
        await uploads.begin(CLIP, size=size, seconds=seconds)
    with pytest.raises(InvalidUriError):
        await uploads.begin("s3://intake/../x", size=1, seconds=60)


async def test_a_server_that_is_away_is_not_a_missing_object(s3: S3Settings, clip: Path) -> None:
    """An upload must not be called gone because the network was."""
    away = S3MediaStore(settings=msgspec.structs.replace(s3, endpoint_url="http://127.0.0.1:9"))

    with pytest.raises(StoreAwayError):
        await away.size(CLIP)
    with pytest.raises(StoreAwayError):
        await away.put_file(CLIP, clip, content_type="video/mp4")


@only_real
async def test_a_part_that_changed_on_its_way_is_refused(
    store: S3MediaStore, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server compares each part with its checksum."""
    wrong = hashlib.sha256(b"something else").digest()
    monkeypatch.setattr(FileSlice, "digest", lambda self: wrong)

    with pytest.raises(StoreAwayError, match=r"BadDigest|hecksum"):
        await store.put_file(CLIP, clip, content_type="video/mp4")
    assert not await store.exists(CLIP)


@only_real
async def test_a_url_takes_exactly_what_was_announced_once(uploads: S3Uploads) -> None:
    """Else a client announces a kilobyte, fills the bucket, or swaps a clip that was judged."""
    plan = await uploads.begin(CLIP, size=1000, seconds=60)
    [part] = plan.parts
    async with httpx.AsyncClient() as browser:
        larger = await browser.put(part.url, content=CONTENT[:2000], headers=part.headers)
        first = await browser.put(part.url, content=CONTENT[:1000], headers=part.headers)
        again = await browser.put(part.url, content=CONTENT[1000:2000], headers=part.headers)
        free = {"Content-Type": part.headers["Content-Type"]}
        unguarded = await browser.put(part.url, content=CONTENT[:1000], headers=free)

    assert larger.status_code == 403
    assert first.status_code == 200
    assert again.status_code == 412
    assert unguarded.status_code == 403
