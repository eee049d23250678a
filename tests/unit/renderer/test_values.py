"""Batches and their memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpu_agent.renderer.cache import Cache, Entry, occupied, stamp
from gpu_agent.renderer.errors import OutsideFolderError
from gpu_agent.renderer.files import Folders, annotated
from gpu_agent.renderer.nodes.context import Result
from gpu_agent.renderer.nodes.values import Clip, Held, floats, truncated


def batch(frames: int = 1, side: int = 4) -> Held:
    """Return some black float images."""
    return Held([np.zeros((side, side, 3), np.float32) for _ in range(frames)])


def test_every_8_bit_level_survives_a_round_trip() -> None:
    """Loading and saving must not change a picture."""
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)

    assert np.array_equal(truncated(floats(levels) * np.float32(1)).ravel(), levels.ravel())


def test_saving_cuts_off_and_clamps() -> None:
    """As a real server does; rounding would be off by one in half of the pixels."""
    values = np.array([[-0.5, 0.999, 1.7, 127.9 / 255]], np.float32)

    assert truncated(values).tolist() == [[0, 254, 255, 127]]


def test_a_repeated_frame_is_counted_once() -> None:
    """Repeating costs no memory, so it must not cost budget."""
    frame = np.zeros((4, 4, 3), np.float32)

    assert Held([frame] * 100).nbytes == frame.nbytes


def test_a_clip_that_points_at_images_does_not_count_them_twice() -> None:
    """CreateVideo copies nothing."""
    images = batch()

    assert occupied([Result((images,)), Result((Clip(images=images),))]) == images.nbytes


def test_the_cache_forgets_what_was_used_least_recently() -> None:
    """A clip that many jobs share stays."""
    size = batch().nbytes
    cache = Cache(limit_bytes=2 * size, limit_entries=10)
    for key in ("a", "b"):
        cache.keep(key, Entry(Result((batch(),))))
    cache.find("a")
    cache.keep("c", Entry(Result((batch(),))))

    assert cache.find("b") is None
    assert cache.find("a") is not None


def test_an_entry_is_void_once_its_file_was_written_anew(tmp_path: Path) -> None:
    """Names are recycled; the same name may hold another job's video."""
    path = tmp_path / "x.mp4"
    path.write_bytes(b"mine")
    known = stamp(path)
    assert known is not None
    entry = Entry(Result(), ((path, *known),))
    path.write_bytes(b"another's")

    assert not entry.is_intact()


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "x\0"])
def test_a_name_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    """Every path in a graph or a request goes through here."""
    with pytest.raises(OutsideFolderError):
        Folders(tmp_path).inside("input", "", name)


def test_numbers_go_on_from_the_highest(tmp_path: Path) -> None:
    """As real servers name files; other names beside them do not count."""
    folders = Folders(tmp_path)
    (tmp_path / "output/a").mkdir()
    for name in ("out_00003_.mp4", "out_00001_.mp4", "outer_00009_.mp4", "out_x.mp4"):
        (tmp_path / "output/a" / name).touch()

    _, subfolder, stem, number = folders.next_name("output", "a/out")
    assert (subfolder, stem, number) == ("a", "out", 4)


def test_an_annotated_name_picks_its_folder() -> None:
    """Jobs are chained with it, without an upload."""
    assert annotated("sub/x.mp4 [output]", "input") == ("sub/x.mp4", "output")
    assert annotated("x [other].mp4", "input") == ("x [other].mp4", "input")
