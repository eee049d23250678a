"""What becomes of tasks: one outcome for each, whatever order things are heard in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from actors.execution import core
from actors.execution.core import AttemptCost, TaskPhase, Tasks
from actors.runtime.contract import Later, Put, Said
from schemas.base import TaskId, UserId
from schemas.commands import Cancellation, CancelTasks, RunAttempt, Wake
from schemas.events import LateAttemptPriced, TaskFailed, TaskSucceeded, TestBatchDispatched
from schemas.tasks import NodeTiming, RetryPolicy
from schemas.telemetry import TaskMeasured, TelemetryPacket
from tests.builders import NOON, attempt_finished, batch_dispatched, execution_task, header

COST = AttemptCost(cost_microtokens=1_500_000, cost_microusd=150)
NOTHING = AttemptCost()
SECOND = timedelta(seconds=1)


def sent(heard: TestBatchDispatched | None = None) -> Tasks:
    """Return the state after a batch of one task was sent out."""
    return core.dispatch(None, heard or batch_dispatched(), at=NOON).state


def only(said: Sequence[Said], kind: type) -> Said:
    """Return the one thing of a kind that was said."""
    [found] = [each for each in said if isinstance(each, kind)]
    return found


def wake(purpose: str, step: int = 1, event_id: str = "evt_wake", task_id: str = "task_1") -> Wake:
    """Return a timer that went off."""
    return Wake(**header(event_id), purpose=purpose, step=step, task_id=TaskId(task_id))  # type: ignore[arg-type]


def cancel_tasks() -> CancelTasks:
    """Return the orchestrator's order to stop."""
    return CancelTasks(**header("evt_cancel"), payload=Cancellation(by=UserId("usr_1")))  # type: ignore[arg-type]


def test_every_task_of_a_batch_gets_one_attempt_and_one_deadline() -> None:
    """A task without a deadline could stay open for ever."""
    batch = batch_dispatched(tasks=(execution_task("task_1"), execution_task("task_2")))
    step = core.dispatch(None, batch, at=NOON)

    orders = [each for each in step.said if isinstance(each, RunAttempt)]
    timers = [each for each in step.said if isinstance(each, Later)]
    assert [order.payload.task.task_id for order in orders] == ["task_1", "task_2"]
    assert [order.payload.attempt for order in orders] == [1, 1]
    assert len({order.event_id for order in orders}) == 2
    assert [timer.name for timer in timers] == ["deadline_task_1", "deadline_task_2"]
    assert all(
        order.payload.not_after == timer.at for order, timer in zip(orders, timers, strict=True)
    )


def test_a_batch_heard_again_sends_nothing() -> None:
    """The orchestrator may say its batch twice; nobody wants to pay twice."""
    again = core.dispatch(sent(), batch_dispatched("evt_other"), at=NOON)

    assert again.said == ()


def test_the_deadline_has_room_for_every_try_and_pause() -> None:
    """Else the last retry would be cut off."""
    task = execution_task(
        timeout_ms=10_000, retry_policy=RetryPolicy(max_retries=2, backoff_ms=1000)
    )

    assert core.deadline_of(task, closes_at=NOON + 90 * SECOND, at=NOON) == NOON + 33 * SECOND


def test_no_deadline_is_later_than_the_batch_is_open() -> None:
    """A result after that would have no reader."""
    task = execution_task(timeout_ms=10_000)

    assert core.deadline_of(task, closes_at=NOON + 5 * SECOND, at=NOON) == NOON + 5 * SECOND


def test_a_good_report_becomes_a_priced_success_and_a_measurement() -> None:
    """The agent meters, this module prices."""
    step = core.report(sent(), attempt_finished(), COST, at=NOON)

    assert step is not None
    success = only(step.said, TaskSucceeded)
    assert isinstance(success, TaskSucceeded)
    telemetry = success.payload.execution_telemetry
    assert (telemetry.cost_microtokens, telemetry.cost_microusd) == (1_500_000, 150)
    assert telemetry.actual_cost_tokens == 2
    assert telemetry.comfyui_node_timings == {"ImageBlend": 1800}
    assert success.payload.output_video_uri == "s3://output/task_1/1/result.mp4"
    packet = only(step.said, TelemetryPacket)
    assert isinstance(packet, TelemetryPacket)
    [sample] = packet.samples
    assert isinstance(sample, TaskMeasured)
    assert (sample.succeeded, sample.cost_microtokens, sample.frames) == (True, 1_500_000, 190)


def test_an_outcome_takes_the_deadline_away() -> None:
    """A timer for a closed task is noise for whoever reads the stream."""
    step = core.report(sent(), attempt_finished(), COST, at=NOON)

    assert step is not None
    timer = only(step.said, Later)
    assert isinstance(timer, Later)
    assert (timer.name, timer.at) == ("deadline_task_1", None)


def test_a_failure_is_tried_again_after_a_pause() -> None:
    """The pause doubles, so that a host in trouble gets some rest."""
    state = sent()
    failed = core.report(state, attempt_finished(succeeded=False), NOTHING, at=NOON)
    assert failed is not None
    timer = only(failed.said, Later)
    assert isinstance(timer, Later)
    assert (timer.name, timer.at) == ("retry_task_1", NOON + 5 * SECOND)

    retried = core.wake(failed.state, wake("retry", step=2), at=NOON + 5 * SECOND)
    assert retried is not None
    order = only(retried.said, RunAttempt)
    assert isinstance(order, RunAttempt)
    assert order.payload.attempt == 2

    second = attempt_finished("evt_a2", attempt=2, succeeded=False)
    later = core.report(retried.state, second, NOTHING, at=NOON + 9 * SECOND)
    assert later is not None
    again = only(later.said, Later)
    assert isinstance(again, Later)
    assert again.at == NOON + 19 * SECOND


def test_the_last_failure_closes_the_task_with_what_all_attempts_cost() -> None:
    """Failed renders cost GPU seconds too, and somebody must pay for them."""
    task = execution_task(retry_policy=RetryPolicy(max_retries=1, backoff_ms=1000))
    state = sent(batch_dispatched(tasks=(task,)))
    first = core.report(state, attempt_finished(succeeded=False), COST, at=NOON)
    assert first is not None
    retried = core.wake(first.state, wake("retry", step=2), at=NOON + SECOND)
    assert retried is not None
    last = core.report(
        retried.state, attempt_finished("evt_2", attempt=2, succeeded=False), COST, at=NOON
    )

    assert last is not None
    failure = only(last.said, TaskFailed)
    assert isinstance(failure, TaskFailed)
    assert failure.payload.attempts == 2
    assert failure.payload.cost_microtokens == 3_000_000
    assert failure.payload.gpu_seconds == 5.0
    assert failure.payload.error_code == "HOST_ERROR"


def test_a_success_after_a_failure_carries_the_cost_of_both() -> None:
    """What the jobs cost must add up to what the fleet cost."""
    first = core.report(sent(), attempt_finished(succeeded=False), COST, at=NOON)
    assert first is not None
    retried = core.wake(first.state, wake("retry", step=2), at=NOON + 5 * SECOND)
    assert retried is not None
    last = core.report(retried.state, attempt_finished("evt_2", attempt=2), COST, at=NOON)

    assert last is not None
    success = only(last.said, TaskSucceeded)
    assert isinstance(success, TaskSucceeded)
    assert success.payload.execution_telemetry.cost_microtokens == 3_000_000
    assert success.payload.attempts == 2


def test_a_failure_that_no_retry_can_mend_is_final() -> None:
    """A refused graph is refused by every host."""
    report = attempt_finished(succeeded=False, retriable=False, error_code="GRAPH_REFUSED")
    step = core.report(sent(), report, NOTHING, at=NOON)

    assert step is not None
    failure = only(step.said, TaskFailed)
    assert isinstance(failure, TaskFailed)
    assert failure.payload.error_code == "GRAPH_REFUSED"


def test_no_retry_is_set_beyond_the_deadline() -> None:
    """The reason of the failure is more use than a time-out later."""
    state = sent(batch_dispatched(tasks=(execution_task(timeout_ms=1000),)))
    late = state.tasks[TaskId("task_1")].deadline - SECOND
    step = core.report(state, attempt_finished(succeeded=False), NOTHING, at=late)

    assert step is not None
    failure = only(step.said, TaskFailed)
    assert isinstance(failure, TaskFailed)
    assert failure.payload.error_code == "HOST_ERROR"


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_report_of_an_older_attempt_changes_nothing(succeeded: bool) -> None:
    """An agent cut off from the bus may come back with an attempt long replaced."""
    first = core.report(sent(), attempt_finished(succeeded=False), NOTHING, at=NOON)
    assert first is not None
    retried = core.wake(first.state, wake("retry", step=2), at=NOON + 5 * SECOND)
    assert retried is not None
    late = attempt_finished("evt_late", attempt=1, succeeded=succeeded)

    assert core.report(retried.state, late, COST, at=NOON) is None


def test_a_second_report_of_a_failed_attempt_sets_no_second_retry() -> None:
    """A redelivered attempt is reported by two agents."""
    first = core.report(sent(), attempt_finished(succeeded=False), NOTHING, at=NOON)
    assert first is not None

    assert core.report(first.state, attempt_finished("evt_b"), COST, at=NOON) is None


def test_a_closed_task_has_no_second_outcome() -> None:
    """Neither by a report, nor by a timer, nor by a cancellation."""
    done = core.report(sent(), attempt_finished(), COST, at=NOON)
    assert done is not None

    assert core.report(done.state, attempt_finished("evt_b"), COST, at=NOON) is None
    assert core.wake(done.state, wake("deadline"), at=NOON) is None
    assert core.wake(done.state, wake("retry", step=2), at=NOON) is None
    outcomes = (TaskSucceeded, TaskFailed)
    cancelled = core.cancel(done.state, cancel_tasks(), at=NOON)
    assert not [each for each in cancelled.said if isinstance(each, outcomes)]


@pytest.mark.parametrize("succeeded", [True, False])
@pytest.mark.parametrize("ending", ["cancel", "deadline"])
def test_a_report_after_the_end_is_priced_once_and_moves_nothing(
    ending: str, succeeded: bool
) -> None:
    """The GPU seconds were spent; the sum of what jobs cost is what the fleet cost."""
    task = execution_task(role="exploration")
    state = sent(batch_dispatched(tasks=(task,)))
    closed = (
        core.cancel(state, cancel_tasks(), at=NOON)
        if ending == "cancel"
        else core.wake(state, wake("deadline"), at=NOON)
    )
    assert closed is not None
    late = core.report(closed.state, attempt_finished(succeeded=succeeded), COST, at=NOON)

    assert late is not None
    [said] = late.said
    assert isinstance(said, LateAttemptPriced)
    assert said.task_id == "task_1"
    bill = said.payload
    assert (bill.cost_microtokens, bill.cost_microusd, bill.gpu_seconds) == (1_500_000, 150, 2.5)
    assert (bill.provider_id, bill.effect_type) == ("fx-warm-grade-v1", "color_correction")
    assert (bill.role, bill.attempt, bill.agent_id) == ("exploration", 1, "agent_1")
    assert late.state.tasks[TaskId("task_1")].phase is TaskPhase.CLOSED
    assert core.report(late.state, attempt_finished("evt_b"), COST, at=NOON) is None


def test_a_late_report_that_cost_nothing_is_not_worth_a_word() -> None:
    """An agent that hears of the cancellation in time has rendered nothing."""
    closed = core.cancel(sent(), cancel_tasks(), at=NOON)
    idle = attempt_finished(succeeded=False, gpu_seconds=0.0)

    assert core.report(closed.state, idle, NOTHING, at=NOON) is None


def test_what_is_in_the_outcome_is_not_priced_again() -> None:
    """A failed attempt, a pause, a cancellation: the first report was counted already."""
    waiting = core.report(sent(), attempt_finished(succeeded=False), COST, at=NOON)
    assert waiting is not None
    closed = core.cancel(waiting.state, cancel_tasks(), at=NOON)
    failure = only(closed.said, TaskFailed)
    assert isinstance(failure, TaskFailed)
    assert failure.payload.cost_microtokens == 1_500_000

    again = attempt_finished("evt_b", succeeded=False)
    assert core.report(closed.state, again, COST, at=NOON) is None


@pytest.mark.parametrize("retried", [True, False])
def test_a_second_agents_report_is_counted_with_the_open_task(retried: bool) -> None:
    """Both have rendered the attempt; the outcome carries what it cost twice, and is said once."""
    first = core.report(sent(), attempt_finished(succeeded=False), COST, at=NOON)
    assert first is not None
    state = first.state
    if retried:
        again = core.wake(state, wake("retry", step=2), at=NOON + 5 * SECOND)
        assert again is not None
        state = again.state
    other = attempt_finished("evt_other", agent_id="agent_2")
    counted = core.report(state, other, COST, at=NOON)

    assert counted is not None
    assert counted.said == ()
    assert counted.state.tasks[TaskId("task_1")].phase is state.tasks[TaskId("task_1")].phase
    closed = core.cancel(counted.state, cancel_tasks(), at=NOON)
    failure = only(closed.said, TaskFailed)
    assert isinstance(failure, TaskFailed)
    assert failure.payload.cost_microtokens == 3_000_000


def test_a_second_agents_report_after_the_outcome_is_priced_by_itself() -> None:
    """What two agents did for one attempt was paid for twice by us."""
    done = core.report(sent(), attempt_finished(), COST, at=NOON)
    assert done is not None
    late = core.report(done.state, attempt_finished("evt_other", agent_id="agent_2"), COST, at=NOON)

    assert late is not None
    bill = only(late.said, LateAttemptPriced)
    assert isinstance(bill, LateAttemptPriced)
    assert bill.payload.agent_id == "agent_2"


def test_a_report_for_a_task_nobody_dispatched_changes_nothing() -> None:
    """It may belong to a job whose record is gone."""
    assert core.report(None, attempt_finished(), COST, at=NOON) is None
    assert core.report(sent(), attempt_finished(task_id="task_9"), COST, at=NOON) is None


def test_a_deadline_closes_a_task_that_still_runs() -> None:
    """Everything that was dispatched gets an outcome, even when its agent is gone."""
    step = core.wake(sent(), wake("deadline"), at=NOON)

    assert step is not None
    failure = only(step.said, TaskFailed)
    assert isinstance(failure, TaskFailed)
    assert failure.payload.error_code == "TIMED_OUT"
    assert step.state.tasks[TaskId("task_1")].phase is TaskPhase.CLOSED


def test_a_deadline_in_a_pause_takes_the_retry_away() -> None:
    """Else the timer would find a closed task."""
    waiting = core.report(sent(), attempt_finished(succeeded=False), COST, at=NOON)
    assert waiting is not None
    step = core.wake(waiting.state, wake("deadline"), at=NOON)

    assert step is not None
    gone = [each.name for each in step.said if isinstance(each, Later) and each.at is None]
    assert gone == ["deadline_task_1", "retry_task_1"]


@pytest.mark.parametrize("step", [1, 3])
def test_a_retry_timer_of_another_step_is_ignored(step: int) -> None:
    """A timer may go off twice."""
    waiting = core.report(sent(), attempt_finished(succeeded=False), NOTHING, at=NOON)
    assert waiting is not None

    assert core.wake(waiting.state, wake("retry", step=step), at=NOON) is None


def test_a_cancellation_closes_what_is_open_and_tells_the_agents() -> None:
    """A task in a pause and a task on a host both end; a finished one does not end twice."""
    tasks = tuple(execution_task(name) for name in ("task_1", "task_2", "task_3"))
    state = core.dispatch(None, batch_dispatched(tasks=tasks), at=NOON).state
    done = core.report(state, attempt_finished(), COST, at=NOON)
    assert done is not None
    waiting = core.report(
        done.state, attempt_finished("evt_2", task_id="task_2", succeeded=False), COST, at=NOON
    )
    assert waiting is not None
    step = core.cancel(waiting.state, cancel_tasks(), at=NOON)

    notice = step.said[0]
    assert isinstance(notice, Put)
    assert (notice.bucket, notice.key) == ("CONTROL", "cancel.job_1")
    failures = [each for each in step.said if isinstance(each, TaskFailed)]
    assert [each.task_id for each in failures] == ["task_2", "task_3"]
    assert {each.payload.error_code for each in failures} == {"CANCELLED"}
    assert failures[0].payload.cost_microtokens == 1_500_000
    packet = only(step.said, TelemetryPacket)
    assert isinstance(packet, TelemetryPacket)
    assert [sample.succeeded for sample in packet.samples if isinstance(sample, TaskMeasured)] == [
        False,
        False,
    ]


def test_a_batch_that_comes_after_its_cancellation_is_not_rendered() -> None:
    """The two travel on different streams, so they may be heard in either order."""
    cancelled = core.cancel(None, cancel_tasks(), at=NOON)
    step = core.dispatch(cancelled.state, batch_dispatched(), at=NOON)

    assert not [each for each in step.said if isinstance(each, RunAttempt)]
    assert isinstance(only(step.said, TaskFailed), TaskFailed)


def test_nodes_of_one_class_are_added_up() -> None:
    """The specification's view has one figure for each class."""
    nodes = (
        NodeTiming(node_id="4", class_type="ImageBlend", ms=10),
        NodeTiming(node_id="6", class_type="ImageBlend", ms=5),
        NodeTiming(node_id="1", class_type="LoadVideo", ms=0, cached=True),
    )

    assert core.by_class(nodes) == {"ImageBlend": 15, "LoadVideo": 0}
