"""Everything a user can get wrong: what, why and what to do, and nothing half stored."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.e2e.footage import shorten, sound_only, without_size
from tests.e2e.platform import Platform


def _problem(answer: httpx.Response) -> dict[str, object]:
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = dict(answer.json())
    assert problem["status"] == answer.status_code
    assert problem["detail"]
    assert problem["code"]
    assert problem["hint"]
    return problem


class Bad(NamedTuple):
    """A file nobody can work with, and the code that says why."""

    body: bytes
    code: str


@pytest.fixture(scope="module")
def bad_files(city_clip: Path, short_clip: Path, state_root: Path) -> dict[str, Bad]:
    """Return what people upload by mistake."""
    whole = short_clip.read_bytes()
    long = shorten(city_clip, state_root / "long.mp4", frames=90).read_bytes()
    sound = sound_only(state_root / "sound.mp4").read_bytes()
    return {
        "empty": Bad(b"", "EMPTY_UPLOAD"),
        "text": Bad(b"this is no video, whatever its name says\n" * 200, "NOT_A_VIDEO"),
        "noise": Bad(bytes(range(256)) * 64, "NOT_A_VIDEO"),
        "truncated": Bad(whole[: len(whole) // 2], "TRUNCATED"),
        "sound only": Bad(sound, "NO_PICTURE"),
        "0 x 0": Bad(without_size(state_root / "nothing.avi").read_bytes(), "ZERO_SIZE"),
        "too long": Bad(long, "TOO_LONG"),
        "too large": Bad(bytes(2_000_001), "UPLOAD_TOO_LARGE"),
    }


KINDS = ("empty", "text", "noise", "truncated", "sound only", "0 x 0", "too long", "too large")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_cannot_be_used_is_refused_and_not_kept(
    platform: Platform, bad_files: dict[str, Bad], kind: str
) -> None:
    """The answer says why under a stable code; store and job list are as they were."""
    bad = bad_files[kind]
    raw = platform.home / "media" / "intake" / "raw" / "tnt_demo"
    kept = set(raw.glob("*")) if raw.exists() else set()
    with platform.http() as http:
        before = http.get("/v1/jobs").json()
        answer = http.post("/v1/uploads", content=bad.body)
        after = http.get("/v1/jobs").json()

    assert 400 <= answer.status_code < 500
    assert _problem(answer)["code"] == bad.code
    assert (set(raw.glob("*")) if raw.exists() else set()) == kept
    assert [each["job_id"] for each in after["jobs"]] == [each["job_id"] for each in before["jobs"]]
    assert not list((platform.home / "uploads").rglob("*.part"))


def test_the_command_line_explains_a_refused_file(platform: Platform, tmp_path: Path) -> None:
    """One sentence and a remedy, no traceback."""
    fake = tmp_path / "holiday.mp4"
    fake.write_text("not a film")

    said = platform.cli("submit", str(fake), "--effect", "color_correction", status=1)

    assert "Traceback" not in said
    assert "error:" in said
    assert "fix:" in said


def test_an_unknown_effect_names_those_there_are(platform: Platform, short_clip: Path) -> None:
    """A typo must not cost an upload and a wait."""
    said = platform.cli("submit", str(short_clip), "--effect", "colour_corection", status=1)

    assert "color_correction" in said
    assert "Traceback" not in said


def test_an_unknown_provider_is_refused_before_anything_runs(
    platform: Platform, short_clip: Path
) -> None:
    """Nothing is held for a job that cannot be done."""
    video_id = platform.upload(short_clip)
    body = {
        "video_id": video_id,
        "effect_type": "color_correction",
        "providers": ["fx-nowhere-v9"],
    }
    before = platform.wallet()
    with platform.http() as http:
        answer = http.post("/v1/jobs", json=body)

    assert answer.status_code == 422
    assert "fx-nowhere-v9" in str(_problem(answer)["detail"])
    assert platform.wallet() == before


def test_a_wrong_token_gets_nothing(platform: Platform) -> None:
    """401, and a hint where tokens come from."""
    with platform.client("em_wrong") as http:
        answers = [http.get("/v1/jobs"), http.post("/v1/uploads", content=b"x")]

    assert [each.status_code for each in answers] == [401, 401]
    assert all(_problem(each) for each in answers)


def test_a_user_may_not_decide(platform: Platform, short_clip: Path) -> None:
    """Approval is the admin's."""
    with platform.http() as http:
        answer = http.post("/v1/jobs/job_whatever/approve")

    assert answer.status_code == 403
    _problem(answer)


def test_commands_without_a_job_say_what_to_do(platform: Platform) -> None:
    """An unknown id is the commonest mistake."""
    for command in ("trace", "status"):
        said = platform.cli(command, "job_nowhere", status=1)
        assert "fix:" in said
    said = platform.cli("approve", "job_nowhere", status=1)
    assert "UNKNOWN_JOB" in said or "UNKNOWN_APPROVAL" in said


def test_a_missing_file_is_named(platform: Platform) -> None:
    """Before anything is sent."""
    said = platform.cli("submit", "/nowhere/clip.mp4", "--effect", "color_correction", status=2)

    assert "/nowhere/clip.mp4" in said


def test_a_second_stack_on_the_same_home_is_refused(platform: Platform) -> None:
    """Two would write the same ledger."""
    said = platform.cli("up", status=1)

    assert "already up" in said


def test_an_unknown_setting_stops_the_start(platform: Platform) -> None:
    """A misspelt name must not silently be the default."""
    platform.environment["EFFECTMESH_HTTP_PROT"] = "1"
    said = platform.cli("status", status=2)
    del platform.environment["EFFECTMESH_HTTP_PROT"]

    assert "EFFECTMESH_HTTP_PORT" in said
