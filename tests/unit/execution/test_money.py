"""No task is lost, and no GPU second is paid for twice, whoever reports what and when."""

from __future__ import annotations

import itertools
import random

import pytest

from actors.execution.state import TaskPhase
from schemas.events import LateAttemptPriced, TaskSucceeded
from tests.unit.execution.story import PRICE, Story


def test_a_late_result_after_a_retry_is_fenced_and_paid_once() -> None:
    """An agent cut off from the bus for a minute and a half, rendering on."""
    story = Story()
    story.fail("HOST_LOST", 1, host="gpu-2", agent_id="agent_2", gpu_seconds=0.5)
    story.retry()
    story.report(1, succeeded=True, host="gpu-1", agent_id="agent_1", gpu_seconds=3.0)
    story.report(2, succeeded=True, host="gpu-2", agent_id="agent_2", gpu_seconds=4.0)

    [outcome] = story.outcomes()
    assert isinstance(outcome, TaskSucceeded)
    assert outcome.payload.output_video_uri == "s3://output/task_1/2/result.mp4"
    assert story.billed() == 7.5 * PRICE
    assert not story.report(1, succeeded=True, host="gpu-1", agent_id="agent_1", gpu_seconds=3.0)
    assert story.billed() == 7.5 * PRICE


def test_a_late_result_after_the_outcome_is_paid_once_by_itself() -> None:
    """What the jobs cost is what the fleet cost, and the winner stays the winner."""
    story = Story()
    story.fail("HOST_LOST", 1, agent_id="agent_2", host="gpu-2", gpu_seconds=0.0)
    story.retry()
    story.report(2, succeeded=True, agent_id="agent_2", host="gpu-2", gpu_seconds=4.0)
    story.report(1, succeeded=True, agent_id="agent_1", host="gpu-1", gpu_seconds=3.0)
    story.report(1, succeeded=True, agent_id="agent_1", host="gpu-1", gpu_seconds=3.0)

    assert len(story.outcomes()) == 1
    assert story.billed() == 7 * PRICE


def test_two_agents_that_both_rendered_one_attempt_are_both_paid_for() -> None:
    """On two hosts nothing was adopted: the fleet has spent twice, and one result is used."""
    story = Story()
    story.report(1, succeeded=True, agent_id="agent_1", host="gpu-1", gpu_seconds=3.0)
    story.report(1, succeeded=True, agent_id="agent_2", host="gpu-2", gpu_seconds=5.0)

    assert len(story.outcomes()) == 1
    assert story.billed() == 8 * PRICE


@pytest.mark.parametrize("first_adopted", [False, True])
def test_a_run_that_two_agents_followed_is_paid_for_once(first_adopted: bool) -> None:
    """The second adopted what the first had begun; the GPU has rendered once."""
    story = Story()
    for agent, adopted in (("agent_1", first_adopted), ("agent_2", not first_adopted)):
        story.report(
            1, succeeded=True, agent_id=agent, host="gpu-1", gpu_seconds=3.0, adopted=adopted
        )

    assert len(story.outcomes()) == 1
    assert story.billed() == 3 * PRICE


def test_of_two_accounts_of_one_run_the_longer_is_paid() -> None:
    """The first agent gave up in the middle, the second followed it to its end."""
    story = Story()
    story.fail("HOST_LOST", 1, agent_id="agent_1", host="gpu-1", gpu_seconds=1.0)
    story.report(1, succeeded=True, agent_id="agent_2", host="gpu-1", gpu_seconds=3.0, adopted=True)
    story.report(1, succeeded=True, agent_id="agent_3", host="gpu-1", gpu_seconds=2.0, adopted=True)
    story.cancel()

    assert story.billed() == 3 * PRICE


def test_a_run_that_a_later_attempt_adopts_is_paid_for_once() -> None:
    """The agent died, the task was tried again, and the host was still rendering."""
    story = Story()
    story.fail("HOST_LOST", 1, host="gpu-1", gpu_seconds=1.0)
    story.retry()
    story.report(2, succeeded=True, host="gpu-1", gpu_seconds=3.0, adopted=True, adopted_attempt=1)

    assert story.billed() == 3 * PRICE


def test_the_same_attempts_own_run_is_not_mistaken_for_an_earlier_one() -> None:
    """Both attempts were on this host and both have rendered: nothing is given away."""
    story = Story()
    story.fail("OUT_OF_MEMORY", 1, host="gpu-1", gpu_seconds=1.0)
    story.retry()
    story.report(2, succeeded=True, host="gpu-1", gpu_seconds=3.0, adopted=True)

    assert story.billed() == 4 * PRICE


def test_an_adopted_run_after_the_outcome_costs_only_what_is_new() -> None:
    """And when nothing is new, nothing is said."""
    story = Story()
    story.report(1, succeeded=True, agent_id="agent_1", host="gpu-1", gpu_seconds=3.0)
    story.report(1, succeeded=True, agent_id="agent_2", host="gpu-1", gpu_seconds=3.0, adopted=True)
    assert not [each for each in story.said if isinstance(each, LateAttemptPriced)]
    story.report(1, succeeded=True, agent_id="agent_3", host="gpu-1", gpu_seconds=3.5, adopted=True)

    [late] = [each for each in story.said if isinstance(each, LateAttemptPriced)]
    assert late.payload.cost_microtokens == PRICE // 2
    assert late.payload.gpu_seconds == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_comes_in_whatever_order_there_is_one_outcome_and_one_bill(seed: int) -> None:
    """Reports of several agents about several attempts, doubled, late, around a retry and an end.

    Every (attempt, agent) has spent what it first told of, and that is what is paid.
    """
    dice = random.Random(seed)
    story = Story()
    spent: dict[tuple[int, str], float] = {}
    agents = ["agent_1", "agent_2"]
    told = [*itertools.product((1, 2, 3), agents)] * 2
    dice.shuffle(told)
    for n, (attempt, agent) in enumerate(told):
        if attempt > story.task.attempt and story.task.phase is TaskPhase.WAITING:
            story.retry()
        if attempt > story.task.attempt:
            continue  # nobody was told to begin it
        seconds = spent.setdefault((attempt, agent), float(dice.randint(1, 9)))
        story.report(
            attempt,
            succeeded=dice.random() < 0.2,
            error_code="HOST_ERROR",
            agent_id=agent,
            host=f"of_{agent}",
            gpu_seconds=seconds,
        )
        if n == len(told) // 2 and dice.random() < 0.3:
            story.cancel()
    story.expire()

    assert len(story.outcomes()) == 1
    assert story.task.phase is TaskPhase.CLOSED
    assert story.billed() == sum(spent.values()) * PRICE
