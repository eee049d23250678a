"""What a failure leads to: another try, elsewhere, later, or none; and what is told of it."""

from __future__ import annotations

import pytest

from actors.execution.state import TaskPhase
from schemas.failures import FailureClass
from schemas.tasks import NodeTiming, RetryPolicy, Work
from tests.builders import execution_task
from tests.unit.execution.story import Story, hosts_of, seconds_until

TRIED_AGAIN = {
    "WORKFLOW_BUG",
    "MISSING_MODEL",
    "OUT_OF_MEMORY",
    "HOST_LOST",
    "THROTTLED",
    "DEADLINE",
    "OUTPUT_INVALID",
    "PLATFORM",
}
ELSEWHERE = TRIED_AGAIN - {"THROTTLED", "PLATFORM"}


@pytest.mark.parametrize("failure_class", [each.value for each in FailureClass])
def test_the_class_decides_whether_there_is_another_try(failure_class: str) -> None:
    """A bad clip fails on every host and costs as much on each."""
    story = Story()
    story.fail(failure_class)

    assert bool(story.pauses()) is (failure_class in TRIED_AGAIN)
    assert bool(story.outcomes()) is (failure_class not in TRIED_AGAIN)


@pytest.mark.parametrize("failure_class", sorted(TRIED_AGAIN))
def test_the_agents_veto_is_honoured(failure_class: str) -> None:
    """It was there: a graph that the host refused is refused by every host."""
    story = Story()
    story.fail(failure_class, retriable=False)

    assert story.failure().payload.failure_class == failure_class


@pytest.mark.parametrize("failure_class", sorted(TRIED_AGAIN))
def test_the_next_try_is_elsewhere_when_that_may_help(failure_class: str) -> None:
    """A throttled or full store is the same from every host; a lost host is not."""
    story = Story()
    story.fail(failure_class, host="gpu-1")
    order = story.retry()

    assert order.avoid_hosts == (("gpu-1",) if failure_class in ELSEWHERE else ())


def test_an_order_leaves_out_the_hosts_that_failed_last_and_no_more_than_three() -> None:
    """In a small fleet a longer list would leave nobody."""
    story = Story(execution_task(retry_policy=RetryPolicy(max_retries=6, backoff_ms=1)))
    for n in range(1, 6):
        story.fail("HOST_LOST", n, host=f"gpu-{n}")
        story.retry()

    assert hosts_of(story.orders())[:3] == [(), ("gpu-1",), ("gpu-2", "gpu-1")]
    assert hosts_of(story.orders())[-1] == ("gpu-5", "gpu-4", "gpu-3")


def test_a_broken_graph_is_tried_on_three_hosts_whatever_the_policy_allows() -> None:
    """Three say that it is the graph; each further one would only cost."""
    story = Story(execution_task(retry_policy=RetryPolicy(max_retries=6, backoff_ms=1)))
    for n in (1, 2):
        story.fail("WORKFLOW_BUG", n, host=f"gpu-{n}")
        story.retry()
    story.fail("WORKFLOW_BUG", 3, host="gpu-3")

    assert story.failure().payload.failure_class is FailureClass.WORKFLOW_BUG
    assert story.failure().payload.attempts == 3


def test_a_throttled_host_is_left_alone_for_longer() -> None:
    """It said that it is asked too often."""
    usual, throttled = Story(), Story()
    usual.fail("HOST_LOST")
    throttled.fail("THROTTLED")

    assert seconds_until(usual.pauses()[0], usual.at) == 5
    assert seconds_until(throttled.pauses()[0], throttled.at) == 20


def test_a_task_that_three_hosts_were_lost_to_is_blamed_itself() -> None:
    """And not the hosts, which did nothing but take it."""
    story = Story()
    for n in (1, 2):
        story.fail("HOST_LOST", n, host=f"gpu-{n}")
        story.retry()
    story.fail("HOST_LOST", 3, host="gpu-3")

    assert story.failure().payload.failure_class is FailureClass.WORKFLOW_BUG
    assert story.sample().failure_class is FailureClass.WORKFLOW_BUG


def test_one_host_that_is_lost_three_times_stays_to_blame() -> None:
    """A fleet of one cannot tell, and a provider must not pay for it."""
    story = Story()
    for n in (1, 2):
        story.fail("HOST_LOST", n, host="gpu-1")
        story.retry()
    story.fail("HOST_LOST", 3, host="gpu-1")

    assert story.failure().payload.failure_class is FailureClass.HOST_LOST


def test_an_old_agents_report_is_classified_by_its_code() -> None:
    """Agents are not all replaced in the same minute."""
    story = Story()
    story.report(error_code="PARAMETERS_REFUSED")

    assert story.failure().payload.failure_class is FailureClass.BAD_INPUT


@pytest.mark.parametrize(
    ("ending", "failure_class"),
    [("expire", FailureClass.DEADLINE), ("cancel", FailureClass.CANCELLED)],
)
def test_an_end_without_a_report_has_a_class_too(ending: str, failure_class: FailureClass) -> None:
    """Who pays is decided by it."""
    story = Story()
    getattr(story, ending)()

    assert story.failure().payload.failure_class is failure_class
    assert story.task.phase is TaskPhase.CLOSED


def test_a_failure_that_was_fenced_off_leaves_no_host_out() -> None:
    """The attempt was given up long before; its host has served others since."""
    story = Story()
    story.fail("HOST_LOST", 1, host="gpu-1")
    story.retry()
    story.fail("HOST_LOST", 1, host="gpu-9", agent_id="agent_9")
    story.fail("HOST_LOST", 2, host="gpu-2")

    assert story.retry().avoid_hosts == ("gpu-2", "gpu-1")


def test_the_measurement_says_what_was_predicted_and_what_it_was_measured_on() -> None:
    """Without it nobody knows what the predictions are worth."""
    story = Story(execution_task(work=Work(frames=190, predicted_ms=3100)))
    story.report(
        succeeded=True, host="gpu-1", gpu_type="L4", cold_start=True, cached=True, duration_ms=2900
    )
    sample = story.sample()

    assert (sample.predicted_ms, sample.duration_ms) == (3100, 2900)
    assert (sample.host, sample.gpu_type, sample.cold_start, sample.cached) == (
        ("gpu-1", "L4", True, True)
    )


def test_the_measurement_says_what_work_its_nodes_took_their_time_for() -> None:
    """A class adds up, and a node that the host had in its cache took no time."""
    work = Work(frames=190, pixels=720 * 404, steps=20)
    story = Story(execution_task(work=work))
    timings = [("1", "Blur", 30, False), ("2", "Blur", 50, False), ("3", "Blur", 0, True)]
    nodes = tuple(
        NodeTiming(node_id=name, class_type=kind, ms=ms, cached=cached)
        for name, kind, ms, cached in (*timings, ("4", "Loader", 0, True))
    )
    story.report(succeeded=True, frames=380, nodes=nodes)
    sample = story.sample()

    assert (sample.input_frames, sample.pixels, sample.steps) == (190, 720 * 404, 20)
    assert sample.nodes == {"Blur": 80, "Loader": 0}
    assert sample.node_runs == {"Blur": 2}


@pytest.mark.parametrize(
    ("lane", "sent"),
    [("batch", "batch"), ("interactive", "interactive"), ("standard", "interactive")],
)
def test_a_task_is_sent_in_a_lane_that_agents_look_into(lane: str, sent: str) -> None:
    """A saga from before there were two lanes goes on."""
    [order] = Story(execution_task(lane=lane)).orders()

    assert order.task.lane == sent


def test_how_often_a_task_was_throttled_is_told_even_when_it_succeeded() -> None:
    """The Economic Engine holds a provider back before its tasks fail."""
    story = Story()
    story.fail("THROTTLED", 1)
    story.retry()
    story.report(2, succeeded=True)

    assert story.sample().throttled == 1
    assert story.sample().succeeded
