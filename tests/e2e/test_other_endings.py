"""Jobs that do not complete: everybody failed, the admin said no, there was no money, a cancel."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.platform import Platform, wait_for

MONEY = {"TokensHeld", "TokensReleased", "TokensCharged"}


def test_when_every_provider_fails_every_token_comes_back(
    platform: Platform, short_clip: Path
) -> None:
    """A user must never pay for nothing."""
    before = platform.wallet()
    video_id = platform.upload(short_clip)
    job_id = platform.order(video_id, "style_transfer", providers=["fx-painterly-v1"])

    ended = platform.reach(job_id, "EXECUTION_FAILED")
    events = wait_for(
        lambda: seen if "TokensReleased" in (seen := platform.events(job_id)) else None,
        what="the release",
    )

    assert platform.wallet() == before
    assert events.count("TokensReleased") == 1
    assert "TokensCharged" not in events
    assert events.count("AttemptFinished") == 3, "one try and two retries"
    assert ended["reason"]
    assert platform.data("ledger", "verify")["problems"] == []


def test_one_failing_provider_leaves_the_others_to_win(
    platform: Platform, short_clip: Path
) -> None:
    """Partial results are ranked; the failed one is listed with its reason."""
    job_id = platform.order(platform.upload(short_clip))

    platform.reach(job_id, "AWAITING_APPROVAL")
    platform.cli("approve", job_id)
    done = platform.reach(job_id, "COMPLETE")
    by_provider = {each["provider_id"]: each for each in done["candidates"]}

    assert by_provider["fx-film-warm-v1"]["state"] == "failed"
    assert done["selection"]["winning_provider_id"] != "fx-film-warm-v1"
    assert done["charged_microtokens"] > 0


def test_a_rejection_gives_the_tokens_back_and_says_why(
    platform: Platform, short_clip: Path
) -> None:
    """The user reads the admin's reason, and pays nothing."""
    before = platform.wallet()
    job_id = platform.order(platform.upload(short_clip), providers=["fx-warm-grade-v1"])

    platform.reach(job_id, "AWAITING_APPROVAL")
    assert platform.wallet() < before
    platform.cli("reject", job_id, "--reason", "too warm for the brand")
    platform.reach(job_id, "REJECTED")
    events = wait_for(
        lambda: seen if "TokensReleased" in (seen := platform.events(job_id)) else None,
        what="the release",
    )
    told = wait_for(lambda: platform.told("too warm for the brand"), what="the message")

    assert platform.wallet() == before
    assert "EffectPublished" not in events
    assert told["job_id"] == job_id


def test_a_cancelled_job_costs_nothing_and_stays_cancelled(
    platform: Platform, short_clip: Path
) -> None:
    """A cancel while it waits for approval; the admin's late yes changes nothing."""
    before = platform.wallet()
    job_id = platform.order(platform.upload(short_clip), providers=["fx-warm-grade-v1"])

    platform.reach(job_id, "AWAITING_APPROVAL")
    platform.cli("cancel", job_id, "--reason", "changed my mind")
    platform.reach(job_id, "CANCELLED")
    wait_for(lambda: True if platform.wallet() == before else None, what="the refund")
    platform.cli("approve", job_id, status=None)

    assert platform.job(job_id)["state"] == "CANCELLED"
    assert "EffectPublished" not in platform.events(job_id)


def test_watching_a_submission_ends_with_the_job(platform: Platform, short_clip: Path) -> None:
    """``submit --watch`` is the user's whole view; its exit status is the outcome."""
    only = ("--provider", "fx-warm-grade-v1")
    watching = platform.start("submit", str(short_clip), "-e", "color_correction", *only, "-w")

    assert watching.stdout is not None
    ordered = next(line for line in watching.stdout if line.startswith("ordered "))
    job_id = ordered.split()[1]
    platform.reach(job_id, "AWAITING_APPROVAL")
    platform.cli("approve", job_id)
    said, _ = watching.communicate(timeout=120)

    assert watching.returncode == 0, said
    assert "awaiting_approval" in said
    assert "complete" in said


def test_an_empty_wallet_refuses_the_job(platform: Platform, short_clip: Path) -> None:
    """No balance, no render: the refusal comes before any GPU second."""
    token = platform.cli(
        "token", "create", "--name", "poor", "--tenant", "tnt_poor", "--user", "usr_poor"
    ).strip()
    platform.kill("gateway")

    with platform.client(token) as poor:
        wait_for(lambda: True if _answers(poor) else None, what="the gateway with the new token")
        video = poor.post("/v1/uploads", content=short_clip.read_bytes()).json()
        body = {"video_id": video["video_id"], "effect_type": "color_correction"}
        job_id = poor.post("/v1/jobs", json=body).json()["job_id"]
        wait_for(
            lambda: (
                True if poor.get(f"/v1/jobs/{job_id}").json()["state"] == "QUOTA_EXCEEDED" else None
            ),
            what="the refusal",
        )
    with platform.http() as other:
        foreign = other.get(f"/v1/jobs/{job_id}")

    assert MONEY.isdisjoint(platform.events(job_id))
    assert "UserQuotaExceeded" in platform.events(job_id)
    assert "TestBatchDispatched" not in platform.events(job_id)
    assert foreign.status_code == 404, "another tenant's job is absent"


def _answers(client: object) -> bool:
    import httpx

    assert isinstance(client, httpx.Client)
    try:
        return client.get("/v1/wallet").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("part", ["actors", "agent-1", "gateway"])
def test_a_part_that_dies_while_nothing_runs_comes_back(platform: Platform, part: str) -> None:
    """The supervisor's plainest duty."""
    platform.kill(part)

    assert part in platform.running()["children"]
