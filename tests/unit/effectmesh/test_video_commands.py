"""``effectmesh video`` says what intake would say, and leaves nothing half written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import av
import msgspec
import pytest
from click.testing import Result
from typer.testing import CliRunner

from actors.content_analysis import core
from effectmesh.cli.app import app
from effectmesh.cli.console import console
from effectmesh.cli.files import FollowedFile, NotWrittenError, beside, placed
from effectmesh.cli.telling_analysis import tell
from effectmesh.footage.names import shown
from media import analysis
from media.sandbox import Sandbox
from media.tag_model import find_tag_model
from media.verdicts import Inspected
from schemas.video import Analysis, Eligibility, Scene
from tests.integration.video_intake.footage import cut, write_clip, write_sound, write_still
from tests.unit.media_analysis.clips import read_frames
from tests.unit.media_analysis.clips import write_clip as write_frames

UNTIL_SAID_S = 60.0


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder in which commands run, and all that they write for a while."""
    folder, spare = tmp_path / "here", tmp_path / "spare"
    folder.mkdir()
    spare.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TMPDIR", str(spare))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("EFFECTMESH_HOME", str(tmp_path / "home"))
    return folder


def video(*arguments: str | Path) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, ["video", *map(str, arguments)])


def names(folder: Path) -> list[str]:
    """Return what is in a folder, hidden files too."""
    return sorted(each.name for each in folder.iterdir())


def test_probe_tells_what_was_measured_and_how_it_is_stored(here: Path) -> None:
    """A turned clip is as wide as it is high when stored; what counts is what people see."""
    write_clip(here / "a.mp4", frames=25, turn=90, sound_seconds=1.0)

    found = video("probe", "a.mp4")
    said = dict(line.split(maxsplit=1) for line in found.output.splitlines())

    assert found.exit_code == 0
    assert (said["length"], said["pictures"], said["size"]) == (
        "1.000 s",
        "25, 25 a second",
        "90x160",
    )
    assert said["rotation"] == "90 counterclockwise"
    assert said["sound"] == "aac 44100 Hz mono"
    assert said["stored"] == "as  160x90 yuv420p, pixels 1:1"
    assert (said["hdr"], said["intake"]) == ("no", "would take it")


def test_probe_measures_what_intake_measures(here: Path) -> None:
    """One answer on the command line and another from the product would help nobody."""
    clip = write_clip(here / "a.mp4", transfer=16)

    said = msgspec.json.decode(video("probe", clip, "--json").output)
    verdict = anyio.run(Sandbox().inspect, clip)

    assert isinstance(verdict, Inspected)
    assert said["measured"] == msgspec.to_builtins(verdict.metadata)
    assert (said["accepted"], said["stored"]["hdr"]) == (True, "PQ")


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("NOT_A_VIDEO", lambda path: path.write_text("words\n" * 100)),
        ("EMPTY_FILE", lambda path: path.write_bytes(b"")),
        ("NO_PICTURE", write_sound),
        ("TOO_FEW_FRAMES", lambda path: write_still(path, "png")),
        ("TRUNCATED", lambda path: cut(write_clip(path, frames=50, index_first=True), 0.5)),
    ],
)
def test_probe_says_why_intake_would_refuse(here: Path, code: str, make: Any) -> None:
    """The code is for programs, the sentence and what to do next are for people."""
    make(here / "a.mp4")

    found, as_json = video("probe", "a.mp4"), video("probe", "a.mp4", "--json")
    said = msgspec.json.decode(as_json.stdout)

    assert (found.exit_code, as_json.exit_code) == (1, 1)
    assert f"({code})" in found.stderr
    assert "fix: " in found.stderr
    assert (said["accepted"], said["code"], said["measured"]) == (False, code, None)
    assert said["reason"]
    assert said["hint"]


def test_probe_goes_by_the_limits_that_are_set(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And still tells of a clip that is too long how it is stored."""
    monkeypatch.setenv("EFFECTMESH_MAX_DURATION_S", "1")
    write_clip(here / "a.mp4", frames=50)

    said = msgspec.json.decode(video("probe", "a.mp4", "--json").stdout)

    assert said["code"] == "TOO_LONG"
    assert said["stored"]["codec"] == "h264"


@pytest.mark.parametrize("command", ["probe", "analyze", "normalize"])
def test_a_file_that_is_not_there_is_a_usage_error(here: Path, command: str) -> None:
    """With what is wrong and what to do, and no traceback."""
    missing, folder = video(command, "none.mp4"), video(command, here)

    assert (missing.exit_code, folder.exit_code) == (2, 2)
    assert "there is no file none.mp4" in missing.stderr
    assert "is not a file" in folder.stderr


def test_a_name_cannot_command_the_terminal(here: Path) -> None:
    """Files come from strangers, and so do their names."""
    clip = here / "a\x1b[2J\u202eb\udcff.mp4"
    clip.write_text("words")

    found, as_json = video("analyze", clip), video("probe", clip, "--json")

    assert "\x1b" not in found.stderr
    assert "\\x1b[2J\\u202eb\\udcff.mp4" in found.stderr
    assert msgspec.json.decode(as_json.stdout)["file"] == "a\\x1b[2J\\u202eb\\udcff.mp4"
    assert len(shown("x" * 300)) == 80


def test_analyze_says_what_the_module_says(here: Path, city_clip: Path) -> None:
    """Real footage, cut short: the answer is that of the product, word for word."""
    frames = read_frames(city_clip, size=(320, 176), first=104, count=24)
    clip = write_frames(here / "a.mp4", frames)
    out = here / "made"
    out.mkdir()

    said = video("analyze", clip, "--json")
    anyio.run(Sandbox().normalize, clip, out)
    seen = analysis.watch(out / "mezzanine.mp4", model=find_tag_model())

    assert said.exit_code == 0
    assert msgspec.json.decode(said.stdout, type=Analysis) == core.describe(seen)


def test_analyze_tells_people_what_was_found(here: Path, city_clip: Path) -> None:
    """Every scene with its time, the style with its confidence, the effects with their reasons."""
    frames = read_frames(city_clip, size=(320, 176), first=104, count=24)
    write_frames(here / "a.mp4", frames)

    found = video("analyze", "a.mp4")

    assert found.exit_code == 0
    assert "0.00-" in found.stdout
    assert "confidence 0." in found.stdout
    assert "eligible for" in found.stdout
    assert "\x1b" not in found.output
    assert names(here) == ["a.mp4"]


ANALYSIS = Analysis(
    scenes=(
        Scene(
            start_ms=0,
            end_ms=1480,
            description="dark, mostly [blue] and black, the camera pans left",
            objects=("person", "car"),
            object_confidence={"car": 0.62},
            colors=("blue", "black"),
            brightness=0.21,
            camera="pan_left",
            people=True,
        ),
    ),
    dominant_style="low_key",
    style_confidence=0.61,
    style_runner_up="noir",
    motion_pattern="low_movement",
    detected_effects=("vignette",),
    effect_confidence={"vignette": 0.8},
    eligible_effect_types=("color_correction",),
    eligibility=(
        Eligibility(effect_type="color_correction", eligible=True, reason="any clip can be"),
        Eligibility(effect_type="upscale", eligible=False, reason="it is large enough"),
    ),
    degraded=True,
    described_by="captioner-7",
)


@pytest.mark.parametrize("width", [40, 200])
def test_an_analysis_is_told_whole_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fields that came later are told too, and a narrow terminal cuts nothing off."""
    monkeypatch.setattr(console, "width", width)

    tell(ANALYSIS, complete=False)
    told, noted = capsys.readouterr()
    words = " ".join(told.split())

    assert max(map(len, told.splitlines())) <= width
    for each in (
        "0.00-1.48 s",
        "person, car 0.62",
        "brightness 0.21",
        "camera pan_left",
        "people",
        "low_key (confidence 0.61, or noir)",
        "vignette 0.80",
        "color_correction: any clip can be",
        "upscale: it is large enough",
        "captioner-7",
    ):
        assert each in words
    assert "[blue]" in words
    assert "degraded" in noted
    assert "breaks off" in noted


def test_normalize_writes_what_is_asked_for_and_says_what_changed(here: Path) -> None:
    """Turned, oblong and with mono sound comes out upright, square and in stereo."""
    write_clip(here / "a.mp4", frames=25, turn=90, sound_seconds=1.0)
    files = ("b.mp4", "b.webp", "p.webp", "w.json")

    found = video(
        *("normalize", "a.mp4", "-o", files[0], "--poster", files[1]),
        *("--preview", files[2], "--waveform", files[3]),
    )

    assert found.exit_code == 0, found.output
    assert names(here) == sorted(["a.mp4", *files])
    for each in (
        "size      90x160",
        "rotation  90 counterclockwise -> none",
        "sound     aac 44100 Hz mono -> aac 48000 Hz stereo",
        "mezzanine: b.mp4",
    ):
        assert each in found.stdout
    with av.open("b.mp4") as made:
        assert (made.streams.video[0].width, made.streams.video[0].height) == (90, 160)
    assert msgspec.json.decode(Path("w.json").read_bytes())


def test_normalize_overwrites_nothing_unless_told_to(here: Path) -> None:
    """And the clip itself not even then."""
    clip = write_clip(here / "a.mp4")
    original = clip.read_bytes()
    target = here / "a.normalized.mp4"
    target.write_text("mine")

    kept = video("normalize", "a.mp4")
    itself = video("normalize", "a.mp4", "-o", "a.mp4", "--force")
    twice = video("normalize", "a.mp4", "-o", "c.mp4", "--poster", "c.mp4")

    assert (kept.exit_code, itself.exit_code, twice.exit_code) == (2, 2, 2)
    assert "--force" in kept.stderr
    assert (target.read_text(), clip.read_bytes()) == ("mine", original)

    forced = video("normalize", "a.mp4", "--force", "--json")

    assert forced.exit_code == 0
    assert msgspec.json.decode(forced.stdout)["files"] == {"mezzanine": "a.normalized.mp4"}
    assert names(here) == ["a.mp4", "a.normalized.mp4"]


def test_normalize_writes_nothing_of_a_clip_that_is_refused(here: Path) -> None:
    """Not even a folder for a while."""
    (here / "a.mp4").write_text("words\n" * 100)

    found = video("normalize", "a.mp4", "-o", "b.mp4", "--poster", "b.webp")

    assert found.exit_code == 1
    assert "NOT_A_VIDEO" in found.stderr
    assert names(here) == ["a.mp4"]


def test_a_silent_clip_has_no_waveform(here: Path) -> None:
    """It is said, and is no failure."""
    write_clip(here / "a.mp4")

    found = video("normalize", "a.mp4", "--waveform", "w.json")

    assert found.exit_code == 0
    assert "the clip is silent" in found.stderr
    assert not Path("w.json").exists()


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["normalize", "analyze"])
def test_whoever_is_interrupted_leaves_nothing_behind(
    here: Path, tmp_path: Path, city_clip: Path, kind: signal.Signals, command: str
) -> None:
    """No file, no folder, no child that goes on working for nobody."""
    (here / "a.mpg").symlink_to(city_clip)
    shell = subprocess.Popen(
        [sys.executable, "-m", "effectmesh", "video", command, "a.mpg"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # a bar is drawn, which tells when the work has begun
        env={**os.environ, "FORCE_COLOR": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert shell.stderr is not None
    said = b""
    wanted = b"%" if command == "normalize" else b"watching"
    while wanted not in said and (piece := os.read(shell.stderr.fileno(), 4096)):
        said += piece
    shell.send_signal(kind)
    shell.stderr.read()
    shell.stderr.close()

    assert shell.wait(UNTIL_SAID_S) == 130, said.decode()
    assert names(here) == ["a.mpg"]
    assert names(tmp_path / "spare") == []
    assert working_in(tmp_path) == []


def working_in(folder: Path) -> list[str]:
    """Return the processes whose working folder is, or was, below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            place = str((process / "cwd").readlink())
        except OSError:
            continue
        if place.startswith(str(folder)) and process.name != str(os.getpid()):
            found.append(process.name)
    return found


def test_a_file_that_came_in_between_is_not_overwritten(tmp_path: Path) -> None:
    """Looking first and writing then would lose what somebody wrote meanwhile."""
    target = tmp_path / "a.mp4"
    target.write_text("theirs")

    with beside(target) as folder:
        made = folder / "made"
        made.write_text("ours")
        with pytest.raises(NotWrittenError, match="exists by now"):
            placed(made, target, force=False)

    assert target.read_text() == "theirs"
    assert names(tmp_path) == ["a.mp4"]


def test_how_far_a_child_has_read_is_known(tmp_path: Path) -> None:
    """The bar shows the child's own position, not a guess."""
    path = tmp_path / "a"
    path.write_bytes(bytes(1000))
    file = FollowedFile(path)

    assert file.read_share() == 0.0
    with file.open("rb") as opened:
        subprocess.run(
            [sys.executable, "-c", "import os; os.read(0, 250)"], stdin=opened, check=True
        )
        assert file.read_share() == 0.25
    assert file.read_share() == 0.0
