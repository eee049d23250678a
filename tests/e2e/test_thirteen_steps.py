"""The demo as a user runs it: one real clip through all 13 steps, then the same home read again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effectmesh.telling import HAPPY_PATH
from tests.e2e.footage import pictures
from tests.e2e.platform import Platform

VISIBLE = 3.0
"""Mean difference of 8-bit pixels that nobody overlooks side by side."""


@pytest.fixture(scope="module")
def demo(state_root: Path, city_clip: Path) -> tuple[Platform, dict[str, Any]]:
    """Run the demo once; return its stopped home and its story."""
    home = state_root / "demo"
    home.mkdir(mode=0o711)
    platform = Platform(home=home, settings={})
    return platform, json.loads(platform.cli("demo", "--clip", str(city_clip), "--json"))


def test_the_job_completes_with_a_file_that_plays_and_differs(
    demo: tuple[Platform, dict[str, Any]], city_clip: Path
) -> None:
    """A result that is the input again, or no video at all, is no effect."""
    _, story = demo
    published = Path(story["published_path"])
    before, after = pictures(city_clip), pictures(published)
    frames = min(len(before), len(after))

    assert story["job"]["state"] == "COMPLETE"
    assert len(after) == len(before)
    assert np.abs(before[:frames] - after[:frames]).mean() > VISIBLE


def test_every_event_of_the_happy_path_came_in_order(
    demo: tuple[Platform, dict[str, Any]],
) -> None:
    """The specification's end-to-end trace test: one correlation id, every step, in its order."""
    platform, story = demo
    job_id = story["job"]["order"]["job_id"]
    events = platform.data("trace", job_id)
    kinds = [each["event_type"] for each in events]
    firsts = [kinds.index(kind) for kind in HAPPY_PATH]

    assert firsts == sorted(firsts)
    assert kinds.count("UserNotified") == 2, "steps 10 and 13"
    assert {each["body"]["correlation_id"] for each in events} == {job_id}
    assert {each["body"]["tenant_id"] for each in events} == {"tnt_demo"}
    assert kinds[-1] == "JobEnded"


def test_the_candidates_differ_and_the_best_one_won(
    demo: tuple[Platform, dict[str, Any]],
) -> None:
    """Three providers compete, so there must be something to choose between."""
    _, story = demo
    candidates = story["job"]["candidates"].values()
    scores = {each["evaluation"]["composite_score"] for each in candidates}
    costs = {each["result"]["execution_telemetry"]["cost_microtokens"] for each in candidates}
    ranking = story["job"]["selection"]["ranking"]

    assert len(candidates) == len(scores) == len(costs) == 3
    assert [each["outcome"] for each in ranking].count("won") == 1
    assert ranking[0]["task_id"] == story["job"]["selection"]["winning_task_id"]
    assert ranking[0]["score"] == max(each["score"] for each in ranking)


def test_the_books_hold_what_the_story_says(demo: tuple[Platform, dict[str, Any]]) -> None:
    """The margin is the ledger's, to the last micro-token."""
    platform, story = demo
    account = story["statement"]["account"]
    costs = sum(
        each["result"]["execution_telemetry"]["cost_microtokens"]
        for each in story["job"]["candidates"].values()
    )
    charged = account["charged_microtokens"]

    assert account["cost_microtokens"] == costs > 0
    assert account["marginality"] == pytest.approx((charged - costs) / charged)
    assert platform.data("ledger", "verify")["problems"] == []


def test_the_manifest_changed_with_what_was_seen(
    demo: tuple[Platform, dict[str, Any]],
) -> None:
    """A manifest that nothing changes would steer nothing."""
    _, story = demo
    before, after = story["before"], story["after"]
    effect = story["job"]["order"]["effect_type"]
    samples = [each["samples"] for each in after["effects"][effect]["providers"]]

    assert after["version"] > before["version"]
    assert sum(samples) == len(story["job"]["candidates"])


def test_a_stopped_home_still_answers(demo: tuple[Platform, dict[str, Any]]) -> None:
    """Commands that read start what they need and stop it again."""
    platform, story = demo
    job_id = story["job"]["order"]["job_id"]

    assert [each["job_id"] for each in platform.data("jobs")] == [job_id]
    assert platform.data("status", job_id)["state"] == "COMPLETE"
    assert "fx-warm-grade-v1" in platform.cli("provider", "list")
    assert platform.data("status")["running"] is False


def test_what_the_words_won_is_remembered(demo: tuple[Platform, dict[str, Any]]) -> None:
    """Templates compete by what became of their renders; nobody learns from a job that is lost."""
    platform, _ = demo
    standings = [each["standing"] for each in platform.data("prompt", "ab")]

    assert any(each and each["jobs"] >= 1 for each in standings)
