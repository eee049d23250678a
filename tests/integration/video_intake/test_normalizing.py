"""Every accepted file becomes the same kind of mezzanine; its properties are measured again."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import msgspec
import numpy as np
import pytest
from av.video.frame import VideoFrame

from media.normalize import normalize
from media.probe import foresee
from media.sandbox import Sandbox
from media.verdicts import IntakeLimits, Normalized, Refusal
from tests.builders import metadata
from tests.integration.video_intake.footage import seen, write_clip

CORNER = 24
"""Pixels of a corner that are looked at."""

CLIPS: dict[str, Callable[[Path], Path]] = {
    "ordinary": write_clip,
    "odd size": lambda path: write_clip(path, size=(161, 91), pixel_format="yuv444p"),
    "turned left": lambda path: write_clip(path, turn=90),
    "turned right": lambda path: write_clip(path, turn=-90),
    "upside down": lambda path: write_clip(path, turn=180),
    "variable rate": lambda path: write_clip(
        path, times_ms=[0, 33, 67, 100, 200, 300, 400, 433, 467, 500, 533, 567]
    ),
    "slow": lambda path: write_clip(path, rate=Fraction(10)),
    "fast": lambda path: write_clip(path, rate=Fraction(120), frames=48),
    "broadcast rate": lambda path: write_clip(path, rate=Fraction(30000, 1001)),
    "oblong pixels": lambda path: write_clip(path, aspect=Fraction(4, 3)),
    "sound too long": lambda path: write_clip(path, sound_seconds=2.0),
    "sound too short": lambda path: write_clip(path, frames=20, sound_seconds=0.3),
    "late sound": lambda path: write_clip(path, sound_seconds=0.3, sound_from=0.2),
    "high dynamic range": lambda path: write_clip(path, pixel_format="yuv420p10le", transfer=16),
    "titled": lambda path: write_clip(path, title="<script>\x1b[31m" + "x" * 5000),
    "larger than full hd": lambda path: write_clip(path, size=(2560, 1440), frames=6),
    "large portrait": lambda path: write_clip(path, size=(1200, 2400), frames=6),
    "gif": lambda path: write_clip(path, container="gif", codec="gif", pixel_format="rgb8"),
    "full range": lambda path: write_clip(
        path, container="avi", codec="mjpeg", pixel_format="yuvj420p"
    ),
}
RATES = {
    Fraction(24000, 1001),
    Fraction(30000, 1001),
    Fraction(60000, 1001),
    *map(Fraction, (24, 25, 30, 50, 60)),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the empty folder that a mezzanine is written to."""
    path = tmp_path / "out"
    path.mkdir()
    return path


async def made(source: Path, folder: Path) -> Normalized:
    """Normalise in a real child."""
    verdict = await Sandbox().normalize(source, folder)
    assert isinstance(verdict, Normalized), verdict
    return verdict


def corner(frame: VideoFrame) -> str:
    """Return which corner is the bright one."""
    grey = frame.to_ndarray(format="gray").astype(float)
    means = {
        "top left": grey[:CORNER, :CORNER].mean(),
        "top right": grey[:CORNER, -CORNER:].mean(),
        "bottom left": grey[-CORNER:, :CORNER].mean(),
        "bottom right": grey[-CORNER:, -CORNER:].mean(),
    }
    return max(means, key=lambda name: means[name])


def top_level_boxes(path: Path) -> list[bytes]:
    """Return the names of an MP4's outermost boxes, in their order."""
    content, at, names = path.read_bytes(), 0, []
    while at < len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        names.append(name)
        at += size
    return names


def names_in(folder: Path) -> set[str]:
    """Return the names of the files in a folder."""
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("kind", CLIPS)
async def test_every_clip_becomes_a_valid_mezzanine(
    kind: str, tmp_path: Path, folder: Path
) -> None:
    """Providers, metrics and browsers all rely on this one form."""
    verdict = await made(CLIPS[kind](tmp_path / "upload"), folder)

    boxes = top_level_boxes(folder / verdict.video)
    assert boxes.index(b"moov") < boxes.index(b"mdat")
    with av.open(str(folder / verdict.video)) as mezzanine:
        [video] = mezzanine.streams.video
        context = video.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert context.color_range == 1
        assert context.colorspace in {1, 5, 6}
        assert context.width % 2 == context.height % 2 == 0
        assert max(context.width, context.height) <= 1920
        assert min(context.width, context.height) <= 1080
        assert (video.sample_aspect_ratio or 1) == 1
        assert video.average_rate in RATES
        assert set(mezzanine.metadata) <= {"major_brand", "minor_version", "compatible_brands"}
        assert set(video.metadata) <= {"language", "handler_name", "vendor_id"}
        pictures = list(mezzanine.decode(video))
    assert all(picture.rotation == 0 for picture in pictures)
    assert [picture.pts * picture.time_base * video.average_rate for picture in pictures] == list(
        range(len(pictures))
    )
    assert abs(verdict.metadata.duration_ms - verdict.source.duration_ms) <= 60
    assert verdict.metadata.frame_count == len(pictures)
    assert verdict.metadata.content_hash == verdict.source.content_hash


@pytest.mark.parametrize(
    "kind", ["ordinary", "variable rate", "turned left", "sound too long", "larger than full hd"]
)
async def test_the_same_upload_gives_the_same_bytes(
    kind: str, tmp_path: Path, folder: Path
) -> None:
    """A redelivered order must not change what later steps have already looked at."""
    source = CLIPS[kind](tmp_path / "upload")
    again = tmp_path / "again"
    again.mkdir()
    first, second = await made(source, folder), await made(source, again)

    assert first == second
    assert (folder / first.video).read_bytes() == (again / second.video).read_bytes()
    assert names_in(folder) == names_in(again)
    for name in names_in(folder):
        assert (folder / name).read_bytes() == (again / name).read_bytes(), name


@pytest.mark.parametrize(
    ("kind", "size", "bright"),
    [
        ("ordinary", "160x90", "top left"),
        ("odd size", "160x90", "top left"),
        ("turned left", "90x160", "bottom left"),
        ("turned right", "90x160", "top right"),
        ("upside down", "160x90", "bottom right"),
        ("oblong pixels", "212x90", "top left"),
        ("larger than full hd", "1920x1080", "top left"),
        ("large portrait", "960x1920", "top left"),
    ],
)
async def test_pictures_come_out_upright_and_in_shape(
    kind: str, size: str, bright: str, tmp_path: Path, folder: Path
) -> None:
    """The bright corner moves with the turn; the size follows pixels, turn and limits."""
    verdict = await made(CLIPS[kind](tmp_path / "upload"), folder)

    assert verdict.metadata.resolution == size
    assert {corner(frame) for frame in seen(folder / verdict.video)} == {bright}


@pytest.mark.parametrize(
    ("kind", "fps", "frames"),
    [
        ("ordinary", 25.0, 12),
        ("broadcast rate", 29.97, 12),
        ("slow", 30.0, 36),
        ("fast", 60.0, 24),
        ("variable rate", 29.97, 18),
    ],
)
async def test_the_rate_is_a_standard_one(
    kind: str, fps: float, frames: int, tmp_path: Path, folder: Path
) -> None:
    """A slow clip repeats pictures, a fast one leaves some out, the length stays."""
    verdict = await made(CLIPS[kind](tmp_path / "upload"), folder)

    assert (verdict.metadata.fps, verdict.metadata.frame_count) == (fps, frames)


async def test_a_held_picture_is_held_as_long_as_before(tmp_path: Path, folder: Path) -> None:
    """Comparing by time must find the same picture in source and mezzanine."""
    times = [0, 40, 80, 120, 520, 560, 600]
    verdict = await made(write_clip(tmp_path / "upload", times_ms=times), folder)
    pictures = [frame.to_ndarray(format="gray")[:20, 100] for frame in seen(folder / verdict.video)]
    bars = [int(np.argmax(column)) for column in pictures]

    assert bars == [0, 1, 2, *[3] * 10, 4, 5, 6]


@pytest.mark.parametrize(
    ("kind", "loud_from", "loud_to"),
    [("sound too long", 0.0, 0.48), ("sound too short", 0.0, 0.3), ("late sound", 0.2, 0.48)],
)
async def test_sound_keeps_its_place_and_ends_with_the_pictures(
    kind: str, loud_from: float, loud_to: float, tmp_path: Path, folder: Path
) -> None:
    """Sound that drifts or outlasts the pictures would lengthen the clip and its price."""
    verdict = await made(CLIPS[kind](tmp_path / "upload"), folder)
    with av.open(str(folder / verdict.video)) as mezzanine:
        [sound] = mezzanine.streams.audio
        assert (sound.codec_context.name, sound.sample_rate) == ("aac", 48_000)
        assert sound.layout.name == "stereo"
        assert sound.duration * sound.time_base * 1000 <= verdict.metadata.duration_ms + 1
        pieces = [
            (frame.pts / 48_000, np.abs(frame.to_ndarray()).max())
            for frame in mezzanine.decode(sound)
        ]
    loud = [at for at, peak in pieces if peak > 0.2]

    assert verdict.metadata.has_audio
    assert abs(min(loud) - loud_from) <= 0.05
    assert abs(max(loud) - loud_to) <= 0.05


@pytest.mark.parametrize("kind", ["ordinary", "full range", "gif", "variable rate"])
async def test_colours_stay_what_they_were(kind: str, tmp_path: Path, folder: Path) -> None:
    """A range or a matrix that is read wrongly makes every result paler or greener."""
    source = CLIPS[kind](tmp_path / "upload")
    verdict = await made(source, folder)
    # smoothed, because a GIF mixes its colours from dots that no video codec keeps apart
    before, after = (
        cv2.blur(seen(path)[0].to_ndarray(format="rgb24"), (8, 8)).astype(int)
        for path in (source, folder / verdict.video)
    )

    assert np.abs(before - after).mean() < 2


async def test_a_silent_clip_gets_no_sound(tmp_path: Path, folder: Path) -> None:
    """An empty track would make players show a loudspeaker."""
    verdict = await made(write_clip(tmp_path / "upload"), folder)

    assert not verdict.metadata.has_audio
    with av.open(str(folder / verdict.video)) as mezzanine:
        assert len(mezzanine.streams) == 1


async def test_the_real_clip_keeps_its_pictures(city_clip: Path, folder: Path) -> None:
    """Fidelity that intake loses is charged to every provider: at least 0.97 of structure stays."""
    verdict = await made(city_clip, folder)
    before, after = seen(city_clip), seen(folder / verdict.video)

    assert verdict.metadata.resolution == "720x404"
    assert len(before) == len(after) == 190
    for index in (0, 60, 115, 116, 189):
        source = before[index].to_ndarray(format="gray")[:404]
        assert structure(source, after[index].to_ndarray(format="gray")) >= 0.97


def structure(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean structural similarity (Wang et al. 2004), Gaussian window, on luma."""
    x, y = one.astype(np.float64), other.astype(np.float64)
    mean_x, mean_y = (cv2.GaussianBlur(image, (11, 11), 1.5) for image in (x, y))
    var_x = cv2.GaussianBlur(x * x, (11, 11), 1.5) - mean_x**2
    var_y = cv2.GaussianBlur(y * y, (11, 11), 1.5) - mean_y**2
    both = cv2.GaussianBlur(x * y, (11, 11), 1.5) - mean_x * mean_y
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    share = (2 * mean_x * mean_y + first) * (2 * both + second)
    share /= (mean_x**2 + mean_y**2 + first) * (var_x + var_y + second)
    return float(share.mean())


async def test_the_poster_is_a_picture_of_the_clip(tmp_path: Path, folder: Path) -> None:
    """It shows the mezzanine one second in, upright and small."""
    source = write_clip(tmp_path / "upload", frames=30, size=(1280, 720))
    verdict = await made(source, folder)
    poster = cv2.imread(str(folder / verdict.poster))
    second = seen(folder / verdict.video)[25].reformat(width=960, height=540)

    assert poster is not None
    assert poster.shape == (540, 960, 3)
    assert np.abs(poster.astype(int) - second.to_ndarray(format="bgr24")).mean() < 3


async def test_a_clip_of_exactly_the_longest_length_is_taken(tmp_path: Path, folder: Path) -> None:
    """Rounding to whole frames may make the mezzanine a little longer than the limit."""
    source = write_clip(tmp_path / "upload", times_ms=range(0, 610, 61))
    verdict = await Sandbox(limits=IntakeLimits(max_duration_ms=610)).normalize(source, folder)

    assert isinstance(verdict, Normalized)
    assert verdict.source.duration_ms == 610


def shown(folder: Path) -> list[bytes]:
    """Return the pictures of a mezzanine."""
    return [frame.to_ndarray(format="gray").tobytes() for frame in seen(folder / "mezzanine.mp4")]


def wiped(path: Path) -> Path:
    """Spoil the second half of the pictures; their stamps still promise all of them."""
    content = bytearray(path.read_bytes())
    at = content.index(b"mdat")
    end = at - 4 + struct.unpack_from(">I", content, at - 4)[0]
    half = (at + end) // 2
    content[half:end] = bytes(end - half)
    path.write_bytes(content)
    return path


def text(path: Path) -> Path:
    """Write what is no clip."""
    path.write_text("not a film")
    return path


@pytest.mark.parametrize(
    "make",
    [text, lambda path: wiped(write_clip(path, frames=50, size=(320, 180)))],
    ids=["at once", "at the end"],
)
async def test_a_refusal_leaves_no_clip(
    make: Callable[[Path], Path], tmp_path: Path, folder: Path
) -> None:
    """Normalising measures too, whatever was inspected before; that may end what has begun."""
    verdict = await Sandbox().normalize(make(tmp_path / "upload"), folder)

    assert isinstance(verdict, Refusal)
    assert not names_in(folder)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": Fraction(1, 5)},
        {"start": Fraction(1, 10)},
        {"pace": Fraction(50)},
        {"metadata": metadata(has_audio=True)},
    ],
    ids=["length", "start", "rate", "sound"],
)
def test_a_clip_that_is_not_what_it_seems_is_made_by_what_it_is(
    wrong: dict[str, object], tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stamps of packets plan the mezzanine, but only decoded pictures decide."""
    source, again = write_clip(tmp_path / "upload"), tmp_path / "again"
    again.mkdir()
    limits = IntakeLimits()
    with source.open("rb") as file:
        first = normalize(file, folder, limits)
        foreseen = msgspec.structs.replace(foresee(file, limits), **wrong)
        monkeypatch.setattr("media.normalize.foresee", lambda *_: foreseen)
        second = normalize(file, again, limits)

    # the child's memory makes equal bytes; here equal pictures must do
    assert second.metadata.frame_count == first.metadata.frame_count
    assert (second.metadata.fps, second.waveform) == (first.metadata.fps, first.waveform)
    assert names_in(again) == names_in(folder)
    assert shown(again) == shown(folder)
