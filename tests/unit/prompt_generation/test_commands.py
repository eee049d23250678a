"""What the command line shows of templates, without any server."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from actors.prompt_generation.files import SHIPPED
from effectmesh.cli.app import app
from effectmesh.cli.prompts import Line, lines_of
from tests.builders import analysis
from tests.unit.prompt_generation.world import RIVALS, TEMPLATES, standing


def run(*words: str) -> tuple[int, str]:
    """Return a command's exit status and what it printed."""
    result = CliRunner().invoke(app, ["prompt", *words], env={"COLUMNS": "200"})
    return result.exit_code, result.output


def test_list_has_every_template() -> None:
    """With its version, because that is what the history knows it by."""
    status, output = run("list", "--json")

    assert status == 0
    assert {each["id"] for each in json.loads(output)} == {each.id for each in TEMPLATES.all()}


def test_show_has_the_words_and_the_numbers(capfd: pytest.CaptureFixture[str]) -> None:
    """What an author needs to read."""
    status, output = run("show", "style_transfer.noir@1")
    output += capfd.readouterr().out

    assert status == 0
    assert "full range of greys" in output
    assert "strength 0.8" in output


def test_an_unknown_template_is_an_error() -> None:
    """With the command that lists those there are."""
    status, _ = run("show", "nobody")

    assert status == 1


def test_check_refuses_a_broken_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """That is what stands before a release."""
    assert run("check")[0] == 0

    for file in SHIPPED.glob("*.toml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "mine.toml").write_text('id = "mine"')
    status, output = run("check", "--folder", str(tmp_path))
    output += capfd.readouterr().err

    assert status == 1
    assert "mine.toml" in output


def test_render_shows_what_would_be_asked(tmp_path: Path) -> None:
    """With the user's words quoted, and the numbers of this clip."""
    file = tmp_path / "analysis.json"
    file.write_bytes(msgspec.json.encode(analysis()))

    status, output = run(
        *("render", "style_transfer", "--look", "noir", "--wish", "(rain:1.9)"),
        *("--analysis", str(file), "--json"),
    )

    said = json.loads(output)
    assert status == 0
    assert '"rain 1.9"' in said["prompt_variants"][0]["prompt_text"]
    assert said["prompt_variants"][0]["parameters"]["steps"] == 18


def test_render_refuses_what_is_no_analysis(tmp_path: Path) -> None:
    """A usage error, not a traceback."""
    file = tmp_path / "analysis.json"
    file.write_text("{}")

    assert run("render", "style_transfer", "--analysis", str(file))[0] == 2


def test_the_comparison_has_every_version_that_won_something() -> None:
    """Rivals share their look's jobs; an old version is shown and gets none."""
    lines = lines_of(
        TEMPLATES.all(),
        [
            standing(RIVALS[0], jobs=30, worth=0.9, published=20, rejected=2),
            standing(RIVALS[1], jobs=30, worth=0.5),
            standing(RIVALS[1], jobs=30, worth=0.2, version=0),
        ],
    )
    by_name = {each.template: each for each in lines}

    first, second = (by_name[f"{each}@1"] for each in RIVALS)
    assert first.share + second.share == pytest.approx(1)
    assert first.share > 0.8
    assert first.worth > second.worth
    assert _jobs(first) == 30
    old = by_name[f"{RIVALS[1]}@0"]
    assert (old.active, old.share, _jobs(old)) == (False, 0.0, 30)
    assert by_name["style_transfer.noir@1"].share == 1.0
    assert by_name["style_transfer.noir@1"].standing is None


def _jobs(line: Line) -> int:
    assert line.standing is not None
    return line.standing.jobs
