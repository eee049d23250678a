"""What every media store must do, whatever stands behind it. See ``conftest.py`` for the stores."""

from __future__ import annotations

from pathlib import Path

import pytest

from media.errors import InvalidUriError, MediaNotFoundError
from media.s3_store import PIECE_BYTES
from media.store import MediaStore
from tests.contract.media_store.stores import Shelf

CLIP = "s3://intake/raw/tnt_1/vid_1"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return a file with ten different bytes."""
    path = tmp_path / "clip"
    path.write_bytes(b"0123456789")
    return path


def fill(path: Path, content: bytes) -> None:
    """Write a file."""
    path.write_bytes(content)


def content_of(path: Path) -> bytes:
    """Return what is in a file."""
    return path.read_bytes()


async def everything(store: MediaStore, uri: str, **span: int) -> bytes:
    """Return what ``read`` yields, in one piece."""
    return b"".join([piece async for piece in store.read(uri, **span)])


async def test_what_is_stored_comes_back(store: MediaStore, clip: Path) -> None:
    """The bytes, their number and their presence agree."""
    await store.put_file(CLIP, clip, content_type="video/mp4")

    assert await everything(store, CLIP) == b"0123456789"
    assert await store.size(CLIP) == 10
    assert await store.exists(CLIP)
    async with store.as_file(CLIP) as path:
        assert content_of(path) == b"0123456789"


async def test_the_source_file_stays(store: MediaStore, clip: Path) -> None:
    """A caller may put the same file a second time when the first try failed."""
    await store.put_file(CLIP, clip, content_type="video/mp4")

    assert content_of(clip) == b"0123456789"


async def test_a_second_write_replaces_the_first(store: MediaStore, clip: Path) -> None:
    """A redelivered step stores its result again, possibly a shorter one."""
    await store.put_file(CLIP, clip, content_type="video/mp4")
    fill(clip, b"new")
    await store.put_file(CLIP, clip, content_type="video/mp4")

    assert await everything(store, CLIP) == b"new"


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 1, b"0"),
        (3, 6, b"345"),
        (7, None, b"789"),
        (8, 99, b"89"),
        (10, 20, b""),
        (99, None, b""),
        (4, 4, b""),
    ],
)
async def test_a_range_gives_what_there_is(
    store: MediaStore, clip: Path, start: int, end: int | None, expected: bytes
) -> None:
    """A browser seeks with ranges, and asks beyond the end."""
    await store.put_file(CLIP, clip, content_type="video/mp4")

    assert b"".join([p async for p in store.read(CLIP, start=start, end=end)]) == expected


@pytest.mark.parametrize(("start", "end"), [(-1, None), (5, 4)])
async def test_a_negative_range_is_refused(
    store: MediaStore, clip: Path, start: int, end: int | None
) -> None:
    """An arithmetic slip must not read from the end of the file."""
    await store.put_file(CLIP, clip, content_type="video/mp4")

    with pytest.raises(ValueError, match="not a range"):
        [piece async for piece in store.read(CLIP, start=start, end=end)]


async def test_a_large_object_comes_in_bounded_pieces(store: MediaStore, clip: Path) -> None:
    """A gateway serving many viewers must never hold whole clips in memory."""
    content = bytes(range(256)) * (PIECE_BYTES // 128)
    fill(clip, content)
    await store.put_file(CLIP, clip, content_type="video/mp4")
    pieces = [piece async for piece in store.read(CLIP)]

    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= PIECE_BYTES


async def test_nothing_stored_is_not_found(store: MediaStore) -> None:
    """Every way of reading says the same of an absent object."""
    assert not await store.exists(CLIP)
    with pytest.raises(MediaNotFoundError):
        await store.size(CLIP)
    with pytest.raises(MediaNotFoundError):
        await everything(store, CLIP)
    with pytest.raises(MediaNotFoundError):
        async with store.as_file(CLIP):
            pass


async def test_a_folder_of_objects_is_no_object(store: MediaStore, clip: Path) -> None:
    """The part of a key before a slash names nothing by itself."""
    await store.put_file(CLIP, clip, content_type="video/mp4")

    assert not await store.exists("s3://intake/raw/tnt_1")
    await store.delete("s3://intake/raw/tnt_1")
    assert await store.exists(CLIP)


async def test_deleting_twice_is_no_error(store: MediaStore, clip: Path) -> None:
    """A redelivered refusal deletes what is gone already."""
    await store.put_file(CLIP, clip, content_type="video/mp4")
    await store.delete(CLIP)
    await store.delete(CLIP)

    assert not await store.exists(CLIP)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "intake/raw/vid_1",
        "file:///etc/passwd",
        "/etc/passwd",
        "s3://",
        "s3://intake",
        "s3://intake/",
        "s3:///raw/vid_1",
        "s3://../raw/vid_1",
        "s3://Intake/raw",
        "s3://intake//raw",
        "s3://intake/raw/",
        "s3://intake/../gallery/clip",
        "s3://intake/raw/..",
        "s3://intake/./raw",
        "s3://intake/raw/.hidden",
        "s3://intake/raw\\..\\clip",
        "s3://intake/raw/a\x00b",
        "s3://intake/raw/a\nb",
        "s3://intake/raw/a\x1b[31m",
        "s3://intake/" + "a" * 201,
        "s3://intake/" + "ab/" * 400 + "c",
    ],
)
async def test_an_address_that_could_leave_its_bucket_is_refused(
    store: MediaStore, clip: Path, uri: str
) -> None:
    """Parts of keys come from ids that other processes sent."""
    with pytest.raises(InvalidUriError):
        await store.put_file(uri, clip, content_type="video/mp4")
    with pytest.raises(InvalidUriError):
        await store.exists(uri)
    with pytest.raises(InvalidUriError):
        await store.delete(uri)


async def addresses(store: Shelf, prefix: str) -> list[str]:
    """Return every address below a prefix."""
    return [uri async for uri in store.addresses(prefix)]


async def test_what_is_stored_is_listed_in_order(store: Shelf, clip: Path) -> None:
    """Retention and deletion prove with a listing that nothing is left."""
    for name in ("tnt_1/vid_2", "tnt_1/vid_1", "tnt_10/vid_1", "tnt_1/vid_1.mp4"):
        await store.put_file(f"s3://intake/raw/{name}", clip, content_type="video/mp4")

    assert await addresses(store, "s3://intake/raw/tnt_1/") == [
        "s3://intake/raw/tnt_1/vid_1",
        "s3://intake/raw/tnt_1/vid_1.mp4",
        "s3://intake/raw/tnt_1/vid_2",
    ]
    assert len(await addresses(store, "s3://intake/raw/tnt_1")) == 4
    assert await addresses(store, "s3://gallery/raw/") == []
    with pytest.raises(InvalidUriError):
        await addresses(store, "s3://intake/../")


async def test_a_large_file_arrives_whole(store: MediaStore, clip: Path) -> None:
    """It may travel in parts, of which the last is an odd one."""
    content = bytes(range(251)) * 50_000
    fill(clip, content)
    await store.put_file(CLIP, clip, content_type="video/mp4")

    assert await everything(store, CLIP) == content
    async with store.as_file(CLIP) as path:
        assert content_of(path) == content
    assert (
        await everything(store, CLIP, start=5_242_870, end=5_242_890)
        == content[5_242_870:5_242_890]
    )


async def test_an_empty_file_is_an_object(store: MediaStore, clip: Path) -> None:
    """It is refused as a video, but that is not the store's business."""
    fill(clip, b"")
    await store.put_file(CLIP, clip, content_type="video/mp4")

    assert await store.exists(CLIP)
    assert await store.size(CLIP) == 0
    assert await everything(store, CLIP) == b""


async def test_a_replacement_that_fails_leaves_the_older_object(
    store: Shelf, clip: Path, tmp_path: Path
) -> None:
    """Whoever reads sees the old object or the new one, never none and never a half."""
    await store.put_file(CLIP, clip, content_type="video/mp4")
    with pytest.raises(FileNotFoundError):
        await store.put_file(CLIP, tmp_path / "absent", content_type="video/mp4")

    assert await everything(store, CLIP) == b"0123456789"
    assert await addresses(store, "s3://intake/raw/") == [CLIP]


async def test_a_signed_url_reads_the_object_and_its_ranges(store: Shelf, clip: Path) -> None:
    """A browser plays a clip without a token, and seeks in it."""
    await store.put_file(CLIP, clip, content_type="video/mp4")
    url = await store.signed_url(CLIP, seconds=60)

    assert await store.fetch(url) == (200, b"0123456789")
    assert await store.fetch(url, span="bytes=2-4") == (206, b"234")


async def test_an_altered_or_old_url_reads_nothing(store: Shelf, clip: Path) -> None:
    """A URL that leaks opens one object, for minutes."""
    await store.put_file(CLIP, clip, content_type="video/mp4")
    await store.put_file(CLIP + "0", clip, content_type="video/mp4")
    url = await store.signed_url(CLIP, seconds=60)
    other = url.replace("vid_1", "vid_10", 1)
    stale = await store.stale_url(CLIP)

    if not store.checks_signatures:
        return  # this stand-in believes every signature
    for refused in (other, url[:-1] + ("0" if url[-1] != "0" else "1"), stale):
        status, body = await store.fetch(refused)
        assert status == 403
        assert b"0123456789" not in body


@pytest.mark.parametrize("seconds", [0, -1, 901, 10**9])
async def test_a_url_that_lasts_is_not_signed(store: Shelf, seconds: int) -> None:
    """Nobody can take it back."""
    with pytest.raises(ValueError, match="seconds"):
        await store.signed_url(CLIP, seconds=seconds)


async def test_nothing_is_signed_outside_a_bucket(store: Shelf) -> None:
    """The part of an address that came from outside is checked here too."""
    with pytest.raises(InvalidUriError):
        await store.signed_url("s3://intake/../x", seconds=60)
