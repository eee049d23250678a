"""``effectmesh quality`` says what the running stack says, and ranks as it does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from click.testing import Result
from typer.testing import CliRunner

from actors.provider_registry.shipped import shipped
from actors.quality_evaluation.actor import QualityEvaluation
from actors.quality_evaluation.memory import MemoryScores
from actors.quality_evaluation.pixels import PixelJudge
from actors.runtime.contract import FrozenClock
from effectmesh.cli import qualities
from effectmesh.cli.app import app
from effectmesh.cli.console import console
from effectmesh.comparing import MAX_OUTPUTS
from effectmesh.footage.asking import peek, vmaf
from media.local_store import LocalMediaStore
from media.quality import EVALUATOR_VERSION
from media.sandbox import Sandbox
from media.verdicts import IntakeLimits
from schemas.base import ProviderId
from schemas.events import QualityEvaluated
from schemas.quality import Evaluation
from tests.builders import task_succeeded
from tests.integration.video_intake.footage import write_clip as write_upload
from tests.unit.media_analysis.clips import (
    Frame,
    blur,
    pan,
    read_frames,
    textured,
    warm,
    write_clip,
)

SIZE = (320, 176)
"""Whole blocks of the encoder: its bytes are the same every time."""
WARM = "fx-warm-grade-v1"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder in which commands run."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("EFFECTMESH_HOME", str(tmp_path / "home"))
    return folder


@pytest.fixture(scope="module")
def frames(city_clip: Path) -> list[Frame]:
    """Return a little more than two seconds of real footage."""
    return read_frames(city_clip, size=SIZE, first=120, count=55)


def quality(*arguments: str | Path) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, ["quality", *map(str, arguments)])


def told(*arguments: str | Path) -> dict[str, Any]:
    """Run a command that succeeds, and return its JSON."""
    found = quality(*arguments, "--json")
    assert found.exit_code == 0, found.output
    said: dict[str, Any] = msgspec.json.decode(found.stdout)
    return said


class CatalogLooks:
    """The looks of the shipped catalog."""

    def target_look(self, provider_id: ProviderId) -> Mapping[str, float]:
        """Return a provider's look."""
        return {each.provider_id: each for each in shipped()}[provider_id].target_look


async def evaluated(folder: Path, source: Path, result: Path) -> Evaluation:
    """Let the product's own module evaluate a result of an upload, all the way from the upload."""
    made = folder / "made"
    made.mkdir()
    await Sandbox().normalize(source, made)
    heard = task_succeeded(provider_id=WARM)
    store = LocalMediaStore(root=folder / "media")
    mezzanine, output = heard.payload.input_video_uri, heard.payload.output_video_uri
    await store.put_file(mezzanine, made / "mezzanine.mp4", content_type="video/mp4")
    await store.put_file(output, result, content_type="video/mp4")
    actor = QualityEvaluation(
        store=store,
        judge=PixelJudge(),
        looks=CatalogLooks(),
        history=MemoryScores(),
        clock=FrozenClock(),
    )
    [said, _] = await actor.receive(heard)
    assert isinstance(said, QualityEvaluated)
    return said.payload


def test_a_score_is_the_one_the_product_gives(
    here: Path, tmp_path: Path, frames: list[Frame]
) -> None:
    """Number for number, from the same upload and the same result."""
    source = write_clip(here / "in.mp4", frames)
    result = write_clip(here / "out.mp4", blur([warm(frame) for frame in frames], 1))

    said = told("score", source, result, "--provider", WARM)
    product = anyio.run(evaluated, tmp_path, source, result)
    [only] = said["outputs"]

    assert only["quality_vector"] == msgspec.to_builtins(product.quality_vector)
    assert only["composite_score"] == product.composite_score
    assert only["confidence"] == product.confidence
    assert said["evaluator_version"] == product.evaluator_version == EVALUATOR_VERSION
    assert (said["normalized"], said["effect_type"]) == (True, "color_correction")


def test_a_mezzanine_is_not_normalised_again(
    here: Path, tmp_path: Path, frames: list[Frame]
) -> None:
    """Encoding twice costs what no provider took; any other clip must be encoded once."""
    source = write_clip(here / "in.mp4", frames)
    made = tmp_path / "made"
    made.mkdir()
    anyio.run(Sandbox().normalize, source, made)
    mezzanine = made / "mezzanine.mp4"
    result = write_clip(here / "out.mp4", [warm(frame) for frame in frames])

    through = told("score", source, result)
    direct = told("score", mezzanine, result)

    assert (through["normalized"], direct["normalized"]) == (True, False)
    assert through["outputs"] == direct["outputs"]


@pytest.mark.parametrize(
    "unlike",
    [
        {"turn": 90},
        {"codec": "mpeg4"},
        {"pixel_format": "yuv444p"},
        {"times_ms": (0, 40, 95, 120, 160, 240, 280, 300)},
        {"transfer": 16},
        {"sound_seconds": 0.5},
        {"container": "matroska"},
        {"size": (160, 91)},
        {},
    ],
    ids=str,
)
async def test_what_only_resembles_a_mezzanine_is_none(
    tmp_path: Path, unlike: dict[str, Any]
) -> None:
    """Even with everything else right, an encoder that signs its work is not ours."""
    if unlike.get("size"):
        unlike = {**unlike, "pixel_format": "yuv444p"}
    clip = write_upload(tmp_path / "a.mp4", **unlike)

    assert not (await peek(clip, IntakeLimits())).mezzanine


def test_a_score_is_told_to_people(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each dimension by its name, the worst seconds by their time, at any width."""
    monkeypatch.setattr(console, "width", 60)
    steady = pan(textured(1, size=(160, 96)), count=75)
    write_clip(here / "in.mp4", steady)
    write_clip(here / "out.mp4", [*steady[:50], *blur(steady[50:], 3)])

    found = quality("score", "in.mp4", "out.mp4")

    assert found.exit_code == 0, found.output
    assert "out.mp4 against in.mp4, normalised; nothing should have changed" in " ".join(
        found.stdout.split()
    )
    for each in ("composite", "90 %:", "style adherence", "temporal consistency", "hash distance"):
        assert each in found.stdout
    assert "worst 2.0-3.0 s" in found.stdout
    assert EVALUATOR_VERSION in found.stdout
    assert max(map(len, found.stdout.splitlines())) <= 60
    assert "\x1b" not in found.output


@pytest.fixture
def contest(here: Path) -> Path:
    """Return a folder with an input, a warm result, it again, a ruined one, and no video."""
    steady = pan(textured(1, size=(160, 96)), count=50)
    good = [warm(frame, 1.2) for frame in steady]
    write_clip(here / "in.mp4", steady)
    write_clip(here / "good.mp4", good)
    write_clip(here / "again.mp4", good)
    write_clip(here / "ruined.mp4", blur(good, 3))
    (here / "bad.mp4").write_text("words\n" * 100)
    return here


def test_results_are_ranked_with_ties_and_the_unknown_last(contest: Path) -> None:
    """Equal results share a rank, and whatever follows is counted on, whatever order they had."""
    asked = ("compare", "in.mp4", "ruined.mp4", "good.mp4", "bad.mp4", "again.mp4")

    found = quality(*asked, "--effect", "color_correction", "--json")
    outputs = msgspec.json.decode(found.stdout)["outputs"]

    assert found.exit_code == 1
    ranks = [(each["file"], each["rank"], each["tie"]) for each in outputs]
    assert ranks == [
        ("good.mp4", 1, True),
        ("again.mp4", 1, True),
        ("ruined.mp4", 3, False),
        ("bad.mp4", 4, False),
    ]
    assert (outputs[3]["quality"], outputs[3]["confidence"]) == ("unknown", 0.0)
    assert "unknown: bad.mp4: the result is unreadable" in found.stderr
    assert "fix: " in found.stderr


@pytest.mark.parametrize("width", [50, 140])
def test_a_comparison_is_told_to_people(
    contest: Path, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a table where there is room for one, else one result below the other."""
    monkeypatch.setattr(console, "width", width)

    found = quality("compare", "in.mp4", "good.mp4", "ruined.mp4", "-e", "color_correction")
    lines = found.stdout.splitlines()

    assert found.exit_code == 0
    assert max(map(len, lines)) <= width
    assert any(line.split()[:2] in (["1", "good.mp4"], ["1.", "good.mp4"]) for line in lines)
    assert any(line.split()[:2] in (["2", "ruined.mp4"], ["2.", "ruined.mp4"]) for line in lines)


def test_the_report_is_one_file_that_is_whole(contest: Path) -> None:
    """With pictures of the input and of each result; it is not overwritten unasked."""
    asked = ("compare", "in.mp4", "good.mp4", "ruined.mp4", "bad.mp4", "--html", "r.html")

    first, again = quality(*asked), quality(*asked)
    text = Path("r.html").read_text(encoding="utf-8")
    page = Pictures()
    page.feed(text)

    assert (first.exit_code, again.exit_code) == (1, 2)
    assert "r.html exists" in again.stderr
    assert len(page.sources) >= 3
    assert len(page.sources) % 3 == 0
    assert all(each.startswith("data:image/jpeg;base64,") for each in page.sources)
    assert sorted(each.name for each in contest.iterdir() if each.name.startswith(".")) == []

    assert quality(*asked, "--force").exit_code == 1


class Pictures(HTMLParser):
    """Collects where pictures come from."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a picture's source."""
        if tag == "img":
            self.sources.append(dict(attrs)["src"] or "")


def test_what_cannot_be_asked_is_a_usage_error(contest: Path) -> None:
    """Before anything is decoded, and with what to do instead."""
    cases = (
        (("score", "none.mp4", "good.mp4"), "there is no file none.mp4"),
        (("compare", "in.mp4", "good.mp4", "none.mp4"), "there is no file none.mp4"),
        (("score", "in.mp4", "good.mp4", "--provider", "fx-nor-v1"), "did you mean fx-noir-v1?"),
        (("compare", "in.mp4", *["good.mp4"] * (MAX_OUTPUTS + 1)), f"at most {MAX_OUTPUTS}"),
        (("compare", "in.mp4", "good.mp4", "--html", "in.mp4", "--force"), "is what is read"),
        (("compare", "in.mp4", "good.mp4", "--html", "no/r.html"), "there is no folder no"),
    )

    for arguments, wanted in cases:
        found = quality(*arguments)

        assert found.exit_code == 2, (arguments, found.output)
        assert wanted in found.stderr
        assert "fix: " in found.stderr


def test_an_input_that_intake_refuses_is_told_as_there(contest: Path) -> None:
    """With its code: nothing can be compared with it."""
    found = quality("score", "bad.mp4", "good.mp4")

    assert found.exit_code == 1
    assert "NOT_A_VIDEO" in found.stderr
    assert "fix: " in found.stderr


def test_a_result_that_is_too_large_is_not_opened(
    contest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are scored all the same."""
    monkeypatch.setenv("EFFECTMESH_MAX_UPLOAD_MB", "1")
    with (contest / "huge.mp4").open("wb") as file:
        file.truncate(5_000_000)

    found = quality("compare", "in.mp4", "huge.mp4", "good.mp4", "--json")
    outputs = msgspec.json.decode(found.stdout)["outputs"]

    assert found.exit_code == 1
    assert [each["file"] for each in outputs] == ["good.mp4", "huge.mp4"]
    assert "5,000,000 bytes" in outputs[1]["reasons"][0]
    assert "lower bit rate" in outputs[1]["hint"]


def test_an_effect_nobody_knows_is_noted(contest: Path) -> None:
    """A misspelt one would quietly be weighed otherwise."""
    found = quality("score", "in.mp4", "good.mp4", "--effect", "colour_correction")

    assert found.exit_code == 0
    assert "did you mean color_correction?" in found.stderr


@pytest.fixture
def binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the program of the optional package is, in place of the real one if any."""
    package = tmp_path / "installed" / "imageio_ffmpeg"
    (package / "binaries").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    program = package / "binaries" / "ffmpeg-stand-in"
    program.touch(mode=0o755)
    return program


def test_vmaf_is_told_and_not_weighed(contest: Path, binary: Path) -> None:
    """It rewards blurring a drawn look, so it is one more opinion and no part of the score."""
    binary.write_text("""#!/bin/sh
echo '{"pooled_metrics": {"vmaf": {"mean": 82.5}}}' > vmaf.json
""")

    plain = told("score", "in.mp4", "good.mp4")["outputs"][0]
    with_vmaf = told("score", "in.mp4", "good.mp4", "--vmaf")["outputs"][0]
    table = quality("compare", "in.mp4", "good.mp4", "--vmaf").stdout

    assert (plain["vmaf"], with_vmaf["vmaf"]) == (None, 82.5)
    assert with_vmaf["composite_score"] == plain["composite_score"]
    assert "82.5" in table


def test_vmaf_that_fails_is_no_failure(contest: Path, binary: Path) -> None:
    """The score stands, and why there is no number is told with it."""
    binary.write_text("#!/bin/sh\nexit 1\n")

    [only] = told("score", "in.mp4", "good.mp4", "--vmaf")["outputs"]

    assert (only["quality"], only["vmaf"]) == ("scored", None)
    assert "no vmaf" in only["vmaf_reason"]


def test_vmaf_without_its_package_is_a_usage_error(
    contest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is decoded, with what to install."""
    monkeypatch.setattr(qualities, "find_binary", lambda: None)

    found = quality("score", "in.mp4", "good.mp4", "--vmaf")

    assert found.exit_code == 2
    assert "effectmesh[vmaf]" in found.stderr


@pytest.fixture
def pipe(binary: Path, tmp_path: Path) -> Path:
    """Return a pipe that the program holds open for as long as it lives, for half a minute."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    binary.write_text(f"#!/bin/sh\nexec 9>{pipe}\necho begun >&9\nexec sleep 30\n")
    return pipe


async def test_whoever_stops_waiting_ends_what_the_child_has_started(
    contest: Path, pipe: Path
) -> None:
    """Killing the child alone would leave its program to work on for nobody."""
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(vmaf, contest / "in.mp4", contest / "good.mp4")
            said = await anyio.to_thread.run_sync(pipe.open, abandon_on_cancel=True)
            assert await anyio.to_thread.run_sync(said.readline) == "begun\n"
            group.cancel_scope.cancel()
        rest = await anyio.to_thread.run_sync(said.read, abandon_on_cancel=True)
    said.close()

    assert rest == ""
