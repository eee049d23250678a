"""``kill -9`` in the middle of a job: still one published effect, and one charge."""

from __future__ import annotations

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
    platform.cli("approve", job_id)
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
