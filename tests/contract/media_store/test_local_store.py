"""What is special about the local disk: halves, full disks, names in the way."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from media.errors import InvalidUriError, StoreFullError
from media.local_store import LocalMediaStore

CLIP = "s3://intake/raw/tnt_1/vid_1"
SMALL_DISK_BYTES = 64 * 1024


@pytest.fixture
def store(tmp_path: Path) -> LocalMediaStore:
    """Return an empty store."""
    return LocalMediaStore(root=tmp_path / "store")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Return a file larger than the small disk."""
    path = tmp_path / "clip"
    path.write_bytes(b"x" * 2 * SMALL_DISK_BYTES)
    return path


@pytest.fixture
def small_disk(clip: Path) -> Iterator[None]:
    """Let no file grow beyond a limit, as a full disk would not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_DISK_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files(folder: Path) -> list[str]:
    """Return every file below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_only_whole_objects_are_left(
    store: LocalMediaStore, clip: Path, tmp_path: Path
) -> None:
    """No unfinished file remains beside the object."""
    await store.put_file(CLIP, clip, content_type="video/mp4")

    assert files(tmp_path / "store") == ["intake/raw/tnt_1/vid_1"]


@pytest.mark.usefixtures("small_disk")
async def test_a_full_disk_keeps_nothing(
    store: LocalMediaStore, clip: Path, tmp_path: Path
) -> None:
    """Half an upload must not take the room that the next one needs."""
    with pytest.raises(StoreFullError):
        await store.put_file(CLIP, clip, content_type="video/mp4")

    assert files(tmp_path / "store") == []


@pytest.mark.usefixtures("small_disk")
async def test_a_full_disk_keeps_the_older_object(
    store: LocalMediaStore, clip: Path, tmp_path: Path
) -> None:
    """A failed replacement is no deletion."""
    old = tmp_path / "old"
    old.write_bytes(b"old")
    await store.put_file(CLIP, old, content_type="video/mp4")

    with pytest.raises(StoreFullError):
        await store.put_file(CLIP, clip, content_type="video/mp4")

    assert b"".join([piece async for piece in store.read(CLIP)]) == b"old"


async def test_an_object_under_an_object_is_refused(store: LocalMediaStore, clip: Path) -> None:
    """A file cannot also be a folder; the older object wins."""
    await store.put_file(CLIP, clip, content_type="video/mp4")

    with pytest.raises(InvalidUriError, match="in its way"):
        await store.put_file(f"{CLIP}/more", clip, content_type="video/mp4")
    with pytest.raises(InvalidUriError, match="in its way"):
        await store.put_file("s3://intake/raw", clip, content_type="video/mp4")
    assert await store.exists(CLIP)
    assert not await store.exists(f"{CLIP}/more")


async def test_a_missing_source_is_the_callers_mistake(
    store: LocalMediaStore, tmp_path: Path
) -> None:
    """It is not mistaken for a missing object."""
    with pytest.raises(FileNotFoundError):
        await store.put_file(CLIP, tmp_path / "absent", content_type="video/mp4")
