"""Every kind of file a stranger may send gets the right answer, in a real child process."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from media.sandbox import Sandbox
from media.verdicts import Inspected, IntakeLimits, Refusal
from tests.integration.video_intake.footage import cut, write_clip, write_sound, write_still


def _bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _playlist(path: Path, content: str) -> Path:
    write_clip(path.with_name("victim.ts"), container="mpegts")
    return _bytes(path, content.replace("VICTIM", str(path.with_name("victim.ts"))).encode())


def _no_size(path: Path) -> Path:
    """Write raw pictures, whose header alone says how large they are, and make it say nothing."""
    write_clip(path, codec="rawvideo", container="avi", frames=6)
    content = path.read_bytes()
    size = (160).to_bytes(4, "little") + (90).to_bytes(4, "little")
    assert size in content
    return _bytes(path, content.replace(size, bytes(8)))


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"

HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "empty": (lambda path: _bytes(path, b""), "EMPTY_FILE"),
    "text": (lambda path: _bytes(path, b"not a film\n" * 200), "NOT_A_VIDEO"),
    "noise": (lambda path: _bytes(path, bytes(range(256)) * 40), "NOT_A_VIDEO"),
    "playlist naming a sibling": (
        lambda path: _playlist(path, HLS.format("victim.ts")),
        "NOT_A_VIDEO",
    ),
    "playlist naming a path": (lambda path: _playlist(path, HLS.format("VICTIM")), "NOT_A_VIDEO"),
    "concat script": (
        lambda path: _playlist(path, "ffconcat version 1.0\nfile victim.ts\n"),
        "NOT_A_VIDEO",
    ),
    "a format nobody uploads": (lambda path: write_clip(path, container="nut"), "NOT_A_VIDEO"),
    "png": (lambda path: write_still(path, "png"), "TOO_FEW_FRAMES"),
    "jpeg": (lambda path: write_still(path, "mjpeg"), "TOO_FEW_FRAMES"),
    "one frame": (lambda path: write_clip(path, frames=1), "TOO_FEW_FRAMES"),
    "sound only": (write_sound, "NO_PICTURE"),
    "no size": (_no_size, "ZERO_SIZE"),
    "tiny": (lambda path: write_clip(path, size=(8, 8)), "TOO_SMALL"),
    "cut, index last": (lambda path: cut(write_clip(path, frames=25), 0.7), "TRUNCATED"),
    "cut, index first": (
        lambda path: cut(write_clip(path, frames=25, index_first=True), 0.7),
        "TRUNCATED",
    ),
    "cut matroska": (
        lambda path: cut(write_clip(path, frames=25, container="matroska"), 0.6),
        "TRUNCATED",
    ),
    "a minute and a bit": (
        lambda path: write_clip(path, times_ms=[0, 40, 80, 120, 160, 60_100]),
        "TOO_LONG",
    ),
    "ten hours apart": (lambda path: write_clip(path, times_ms=[0, 36_000_000]), "TOO_LONG"),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_file_is_refused_with_its_code(kind: str, tmp_path: Path) -> None:
    """The code is what a client acts on; the sentences are what a person reads."""
    make, code = HOSTILE[kind]
    verdict = await Sandbox().inspect(make(tmp_path / "upload.mp4"))

    assert isinstance(verdict, Refusal)
    assert verdict.code == code
    assert verdict.reason.endswith(".")
    assert verdict.hint.endswith(".")


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (IntakeLimits(max_bytes=500), "TOO_LARGE"),
        (IntakeLimits(max_pixels=160 * 89), "TOO_MANY_PIXELS"),
        (IntakeLimits(max_frames=11), "TOO_MANY_FRAMES"),
        (IntakeLimits(min_frames=13), "TOO_FEW_FRAMES"),
        (IntakeLimits(max_duration_ms=479), "TOO_LONG"),
        (IntakeLimits(min_duration_ms=481), "TOO_SHORT"),
        (IntakeLimits(wall_seconds=0.0), "TIMED_OUT"),
    ],
)
async def test_a_clip_just_beyond_a_limit_is_refused(
    limits: IntakeLimits, code: str, tmp_path: Path
) -> None:
    """The clip is 160x90, 12 pictures, 480 ms."""
    verdict = await Sandbox(limits=limits).inspect(write_clip(tmp_path / "clip"))

    assert isinstance(verdict, Refusal)
    assert verdict.code == code


async def test_a_clip_exactly_at_every_limit_is_taken(tmp_path: Path) -> None:
    """What the refusal calls the limit is allowed."""
    clip = write_clip(tmp_path / "clip")
    limits = IntakeLimits(
        max_bytes=clip.stat().st_size,
        max_pixels=160 * 90,
        min_side=90,
        max_frames=12,
        min_frames=12,
        max_duration_ms=480,
        min_duration_ms=480,
    )

    assert isinstance(await Sandbox(limits=limits).inspect(clip), Inspected)


@pytest.mark.parametrize(
    ("container", "codec", "pixel_format"),
    [
        ("mp4", "libx264", "yuv420p"),
        ("mov", "mpeg4", "yuv420p"),
        ("matroska", "libx264", "yuv444p"),
        ("webm", "libvpx-vp9", "yuv420p"),
        ("mpegts", "libx264", "yuv420p"),
        ("avi", "mjpeg", "yuvj420p"),
        ("gif", "gif", "rgb8"),
    ],
)
async def test_the_usual_formats_are_measured(
    container: str, codec: str, pixel_format: str, tmp_path: Path
) -> None:
    """The file's name says nothing; its content is found out."""
    clip = write_clip(
        tmp_path / "upload", container=container, codec=codec, pixel_format=pixel_format
    )
    verdict = await Sandbox().inspect(clip)

    assert isinstance(verdict, Inspected), verdict
    measured = verdict.metadata
    assert (measured.resolution, measured.fps, measured.frame_count) == ("160x90", 25.0, 12)
    assert (measured.duration_ms, measured.has_audio) == (480, False)
    assert measured.file_size_bytes == clip.stat().st_size


@pytest.mark.parametrize("container", ["mp4", "matroska"])
async def test_a_broadcast_rate_is_recognised(container: str, tmp_path: Path) -> None:
    """Matroska rounds to milliseconds; 29.97 must not become 30.03."""
    clip = write_clip(tmp_path / "clip", rate=Fraction(30000, 1001), frames=20, container=container)
    verdict = await Sandbox().inspect(clip)

    assert isinstance(verdict, Inspected)
    assert verdict.metadata.fps == 29.97


async def test_a_turned_clip_is_measured_upright(tmp_path: Path) -> None:
    """A phone stores a portrait clip lying on its side."""
    verdict = await Sandbox().inspect(write_clip(tmp_path / "clip", turn=90))

    assert isinstance(verdict, Inspected)
    assert verdict.metadata.resolution == "90x160"


async def test_the_real_clip_is_measured(city_clip: Path) -> None:
    """What the header of an MPEG stream does not say is counted."""
    verdict = await Sandbox().inspect(city_clip)

    assert isinstance(verdict, Inspected)
    measured = verdict.metadata
    assert (measured.resolution, measured.fps, measured.codec) == ("720x405", 25.0, "mpeg2video")
    assert (measured.frame_count, measured.duration_ms) == (190, 7600)


async def test_a_header_that_lies_about_the_count_is_not_believed(tmp_path: Path) -> None:
    """A sample table that claims four billion pictures refuses the file and nothing else."""
    content = write_clip(tmp_path / "clip", frames=25).read_bytes()
    at = content.index(b"stsz") + 12
    liar = _bytes(tmp_path / "liar", content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :])
    verdict = await Sandbox().inspect(liar)

    assert isinstance(verdict, Refusal)
    assert verdict.code in {"TRUNCATED", "UNREADABLE"}


async def test_too_little_memory_is_a_refusal(tmp_path: Path) -> None:
    """A file that wants all memory must cost its own child only."""
    limits = IntakeLimits(memory_bytes=120_000_000)
    clip = write_clip(tmp_path / "clip", size=(1920, 1080), frames=6)
    verdict = await Sandbox(limits=limits).inspect(clip)

    assert isinstance(verdict, Refusal)
    assert verdict.code == "UNREADABLE"


async def test_used_up_processor_time_is_a_refusal(tmp_path: Path) -> None:
    """The kernel ends the child; the caller only hears that it took too long."""
    limits = IntakeLimits(cpu_seconds=0)
    verdict = await Sandbox(limits=limits).inspect(write_clip(tmp_path / "clip"))

    assert isinstance(verdict, Refusal)
    assert verdict.code == "TIMED_OUT"
