"""``kill -9`` in the middle of a job: still one published effect, and one charge."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.platform import Platform, wait_for


@pytest.mark.parametrize(
    ("state", "part"),
    [
        ("ANALYZING", "actors"),
        ("TESTING", "actors"),
        ("TESTING", "agent-1"),
        ("AWAITING_APPROVAL", "actors"),
        ("TESTING", "nats"),
        ("TESTING", "postgres"),
    ],
)
def test_a_kill_in_the_middle_ends_in_one_effect_and_one_charge(
    platform: Platform, short_clip: Path, state: str, part: str
) -> None:
    """Every step is stored before it is said, and said again by whoever comes next."""
    job_id = platform.order(
        platform.upload(short_clip), providers=["fx-warm-grade-v1", "fx-golden-bloom-v1"]
    )
    wait_for(lambda: _at_or_past(platform, job_id, state), what=state)

    platform.kill(part)
    wait_for(lambda: _awaits(platform, job_id), what="the approval")
    platform.ask(lambda http: http.post(f"/v1/jobs/{job_id}/approve"), "admin")
    done = platform.reach(job_id, "COMPLETE")
    events = platform.events(job_id)

    assert [events.count(kind) for kind in ("EffectPublished", "TokensCharged", "JobEnded")] == [
        1,
        1,
        1,
    ]
    assert events.count("TaskSucceeded") == 2
    assert done["charged_microtokens"] > 0
    assert platform.data("ledger", "verify")["problems"] == []
    with platform.http() as http:
        effects = http.get("/v1/gallery").json()["effects"]
    assert [each["effect_id"] for each in effects].count(done["published"]["effect_id"]) == 1


_ORDER = (
    "INGESTED",
    "ANALYZING",
    "PROMPTING",
    "ROUTING",
    "TESTING",
    "EVALUATING",
    "SELECTED",
    "AWAITING_APPROVAL",
)


def _at_or_past(platform: Platform, job_id: str, state: str) -> bool | None:
    now = platform.job(job_id).get("state", "INGESTED")
    assert now in _ORDER, now
    return True if _ORDER.index(now) >= _ORDER.index(state) else None


def _awaits(platform: Platform, job_id: str) -> bool | None:
    """Look, although the gateway's own questions may fail while the actors are away."""
    job = platform.job(job_id)
    return True if job.get("state") == "AWAITING_APPROVAL" else None


def test_a_whole_stack_killed_in_the_middle_goes_on_when_started_again(
    state_root: Path, short_clip: Path, broken_host: str
) -> None:
    """Servers, actors, everything at once: the job is in the streams and goes on from there."""
    home = state_root / "killed"
    home.mkdir(mode=0o711)
    platform = Platform(home=home, settings={"EFFECTMESH_COMFYUI_URLS": broken_host})
    platform.up()
    job_id = platform.order(platform.upload(short_clip), providers=["fx-warm-grade-v1"])
    wait_for(lambda: _at_or_past(platform, job_id, "TESTING"), what="TESTING")
    children = platform.running()["children"].values()

    platform.die()
    wait_for(lambda: None if any(map(_alive, children)) else True, what="the end of all")
    platform.up()
    wait_for(lambda: _awaits(platform, job_id), what="the approval")
    platform.cli("approve", job_id)
    platform.reach(job_id, "COMPLETE")
    events = platform.events(job_id)
    status = platform.down()

    assert events.count("EffectPublished") == events.count("TokensCharged") == 1
    assert platform.data("ledger", "verify")["problems"] == []
    assert status == 0


def test_ctrl_c_in_the_demo_leaves_nothing_running(state_root: Path, city_clip: Path) -> None:
    """The user's terminal, and the user's machine, are as they were."""
    home = state_root / "interrupted"
    home.mkdir(mode=0o711)
    platform = Platform(home=home, settings={})
    running = platform.start("demo", "--clip", str(city_clip))
    wait_for(lambda: True if (home / "running.json").exists() else None, what="the stack")
    children = platform.running()["children"].values()

    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=60)

    assert running.returncode == 130, said
    assert "Traceback" not in said
    assert not any(map(_alive, children))
    assert platform.data("status")["running"] is False


def _alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not, it only waits to be counted."""
    status = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            return status.read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
