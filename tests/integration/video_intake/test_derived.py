"""What is made beside the mezzanine: preview, waveform, fingerprint, scores. In a real child."""

from __future__ import annotations

import re
import shutil
import sys
from functools import partial
from pathlib import Path
from shlex import quote

import av
import msgspec
import numpy as np
import pytest
from anyio import to_thread

from media.job import ScreenModel
from media.likeness import NEAR, distance
from media.sandbox import Sandbox
from media.screen_model import find_screen_model
from media.verdicts import Normalized
from media.waveform import POINTS, Waveform
from tests.integration.video_intake.footage import seen, write_clip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the empty folder that files are written to."""
    path = tmp_path / "out"
    path.mkdir()
    return path


async def made(source: Path, folder: Path, screen: ScreenModel | None = None) -> Normalized:
    """Normalise in a real child."""
    await to_thread.run_sync(partial(folder.mkdir, exist_ok=True))
    verdict = await Sandbox(screen=screen).normalize(source, folder)
    assert isinstance(verdict, Normalized), verdict
    return verdict


def read(path: Path) -> bytes:
    """Return what is in a file."""
    return path.read_bytes()


def names_in(folder: Path) -> set[str]:
    """Return the names of the files in a folder."""
    return {path.name for path in folder.iterdir()}


async def test_the_preview_moves_and_is_small(city_clip: Path, folder: Path) -> None:
    """A list of clips shows what happens in each, without its video."""
    verdict = await made(city_clip, folder)
    content = read(folder / verdict.preview)
    frames = content.count(b"ANMF")

    assert content[:4] + content[8:16] == b"RIFFWEBPVP8X"
    assert frames == 24
    assert len(content) < 400_000
    width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
    assert (width, height) == (320, 180)


async def test_the_poster_is_a_webp(city_clip: Path, folder: Path) -> None:
    """A third of the bytes of the JPEG that it was."""
    verdict = await made(city_clip, folder)
    content = read(folder / verdict.poster)

    assert content[:4] + content[8:12] == b"RIFFWEBP"
    assert len(content) < 100_000


async def test_the_waveform_shows_where_it_is_loud(tmp_path: Path, folder: Path) -> None:
    """Half a second of hum from a fifth of the clip on."""
    source = write_clip(tmp_path / "upload", frames=50, sound_seconds=0.8, sound_from=0.4)
    verdict = await made(source, folder)
    drawn = msgspec.json.decode(read(folder / verdict.waveform), type=Waveform)
    loud = [at / POINTS for at, peak in enumerate(drawn.peaks) if peak > 20]

    assert len(drawn.peaks) == POINTS
    assert drawn.duration_ms == 2000
    assert abs(min(loud) - 0.2) < 0.03
    assert abs(max(loud) - 0.6) < 0.03
    assert 30 <= max(drawn.peaks) <= 60  # half as loud as can be, on two channels


async def test_a_silent_clip_has_no_waveform(tmp_path: Path, folder: Path) -> None:
    """A flat line would say that there is a sound."""
    verdict = await made(write_clip(tmp_path / "upload"), folder)

    assert verdict.waveform == ""
    assert names_in(folder) == {
        "mezzanine.mp4",
        "poster.webp",
        "preview.webp",
    }


async def test_another_copy_of_a_clip_is_recognised(city_clip: Path, tmp_path: Path) -> None:
    """Smaller, in another codec and container, and paler: still the same clip."""
    copy = tmp_path / "copy.mkv"
    await to_thread.run_sync(_copied, city_clip, copy)
    one = await made(city_clip, tmp_path / "one")
    other = await made(copy, tmp_path / "other")

    assert one.source.content_hash != other.source.content_hash
    assert distance(one.fingerprint, other.fingerprint) <= NEAR


async def test_another_clip_is_not_recognised(city_clip: Path, tmp_path: Path) -> None:
    """Half of the bits differ by chance."""
    foreign = write_clip(tmp_path / "foreign", frames=50)
    one = await made(city_clip, tmp_path / "one")
    other = await made(foreign, tmp_path / "other")

    assert distance(one.fingerprint, other.fingerprint) > 3 * NEAR


def _copied(source: Path, target: Path) -> None:
    """Encode a clip again, half as large and a little paler."""
    with av.open(str(target), "w", format="matroska") as out:
        video = out.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 360, 202, "yuv420p"
        for index, frame in enumerate(seen(source)):
            pixels = frame.reformat(width=360, height=202, format="rgb24").to_ndarray()
            paler = (pixels * 0.8 + 30).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(paler, format="rgb24")
            picture.pts = index
            out.mux(video.encode(picture))
        out.mux(video.encode(None))


async def test_harmless_footage_is_not_blocked(city_clip: Path, folder: Path) -> None:
    """The model of the wheel, in the child that decodes."""
    model = find_screen_model()
    assert model is not None
    verdict = await made(city_clip, folder, model)

    assert verdict.nudity is not None
    assert len(verdict.nudity) == 8
    assert 0 <= max(verdict.nudity) < 0.5


@pytest.mark.parametrize(
    "model",
    [
        None,
        ScreenModel(path="/nonexistent/model.onnx", sha256="0" * 64),
        ScreenModel(path=__file__, sha256="0" * 64),
    ],
)
async def test_without_the_model_nobody_pretends_to_have_looked(
    model: ScreenModel | None, tmp_path: Path, folder: Path
) -> None:
    """A missing or an exchanged model gives no scores, and the clip is made all the same."""
    verdict = await made(write_clip(tmp_path / "upload"), folder, model)

    assert verdict.nudity is None


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what a process sends")
async def test_screening_calls_nobody(tmp_path: Path, folder: Path) -> None:
    """Some releases of the runtime report home; ours must not, with the network left open."""
    log, watched, home = tmp_path / "calls", tmp_path / "python", tmp_path / "home"
    home.mkdir()
    # unshare is made to fail, so that the proof does not rest on the missing network
    watched.write_text(
        f"#!/bin/sh\nexport HOME={quote(str(home))}\nexec strace -f -o {quote(str(log))} "
        "-e trace=%network,write,unshare -e inject=unshare:error=EPERM "
        f'{quote(sys.executable)} "$@"\n'
    )
    watched.chmod(0o755)
    sandbox = Sandbox(python=str(watched), screen=find_screen_model())
    verdict = await sandbox.normalize(write_clip(tmp_path / "upload"), folder)
    calls = await to_thread.run_sync(log.read_text)
    said = calls[calls.index('write(1, "ready') :]

    assert isinstance(verdict, Normalized)
    assert verdict.nudity is not None
    assert re.search(r"\b(socket|connect|sendto|sendmsg|sendmmsg)\(", said) is None
    assert names_in(home) == set()


async def test_the_child_is_told_to_keep_telemetry_off(tmp_path: Path) -> None:
    """A newer runtime than the one that is pinned listens to this and to nothing else."""
    told = tmp_path / "told"
    child = tmp_path / "child"
    child.write_text(f"#!/bin/sh\nenv > {told}\necho ready\nexit 3\n")
    child.chmod(0o755)
    await Sandbox(python=str(child)).inspect(write_clip(tmp_path / "upload"))

    assert "ORT_DISABLE_TELEMETRY=1" in (await to_thread.run_sync(told.read_text)).splitlines()
