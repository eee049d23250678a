"""Scoring in a real child process: the same numbers, and nothing a clip does reaches the caller."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from media import quality
from media.errors import SandboxBrokenError
from media.frames import load
from media.quality_job import LIMITS
from media.quality_sandbox import ScoringPool
from tests.unit.media_analysis.clips import noise, pan, textured, warm, write_clip

SOURCE = pan(textured(1), count=30)
LOOK = {"warmth": 0.06, "contrast": 1.08}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an input, a good result and one that is ruined halfway."""
    folder = tmp_path_factory.mktemp("clips")
    graded = [warm(frame) for frame in SOURCE]
    write_clip(folder / "source.mp4", SOURCE, fps=10)
    write_clip(folder / "good.mp4", graded, fps=10)
    write_clip(folder / "late.mp4", [*graded[:20], *noise(graded[20:], 3)], fps=10)
    return folder


async def scored(folder: Path, name: str, **how: object) -> quality.Verdict:
    """Score a result in a child."""
    pool = ScoringPool(**how)  # type: ignore[arg-type]  # whichever settings the test has
    return await pool.score(
        source=folder / "source.mp4",
        result=folder / name,
        effect_type="color_correction",
        look=LOOK,
    )


async def test_the_child_says_what_the_function_says(folder: Path) -> None:
    """Whole verdict: curve, scenes and look come through as they are."""
    here = quality.evaluate(
        load(folder / "source.mp4"),
        load(folder / "good.mp4"),
        effect_type="color_correction",
        look=LOOK,
    )

    said = await scored(folder, "good.mp4")

    # the child adds up in one thread, this process perhaps in two: the last digits may differ
    assert said.look == pytest.approx(here.look, abs=1e-9)
    assert replace(said, look=here.look) == here
    assert here.composite > 0.7


async def test_the_beginning_can_be_scored_alone(folder: Path) -> None:
    """A result that is bad from the start need not be looked at to its end."""
    pool = ScoringPool()
    said = [
        await pool.score(
            source=folder / "source.mp4",
            result=folder / "late.mp4",
            effect_type="color_correction",
            look=LOOK,
            until_ms=until,
        )
        for until in (1_500.0, None)
    ]

    assert said[0].composite > said[1].composite
    assert not any("lasts" in finding for finding in said[0].findings)


async def test_a_file_that_is_no_video_is_unknown(folder: Path) -> None:
    """With confidence 0, and never an exception."""
    (folder / "text.mp4").write_text("#EXTM3U\n#EXTINF:1,\nsource.mp4\n#EXT-X-ENDLIST\n")

    said = await scored(folder, "text.mp4")

    assert (said.known, said.confidence) == (False, 0.0)
    assert said.findings


@pytest.mark.parametrize(
    "limits",
    [
        structs.replace(LIMITS, cpu_seconds=0),
        structs.replace(LIMITS, wall_seconds=0.02),
    ],
    ids=["processor", "wall"],
)
async def test_a_child_at_its_limit_is_an_unknown_verdict(folder: Path, limits: object) -> None:
    """A clip that takes for ever costs its limit and not more."""
    said = await scored(folder, "good.mp4", limits=limits)

    assert not said.known
    assert said.confidence == 0.0


async def test_a_child_that_cannot_start_is_nobody_s_bad_result(folder: Path) -> None:
    """A broken machine must not score every result unknown for ever."""
    with pytest.raises(SandboxBrokenError):
        await scored(folder, "good.mp4", python=str(folder / "no-python"))


async def test_the_child_knows_nothing_of_this_process(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No credential is in the environment of what decodes a stranger's file."""
    monkeypatch.setenv("SECRET_OF_THE_PARENT", "s3cret")
    spy = tmp_path / "python"
    spy.write_text(f"#!/bin/sh\nenv > {tmp_path}/seen\nexit 1\n")
    spy.chmod(0o755)

    with pytest.raises(SandboxBrokenError):
        await scored(folder, "good.mp4", python=str(spy))

    assert "SECRET_OF_THE_PARENT" in os.environ
    assert "SECRET" not in (tmp_path / "seen").read_text()
