"""The shell: the saga's key, its price, and that it says the same again."""

from __future__ import annotations

import msgspec

from actors.execution.actor import Execution, Heard
from actors.execution.core import AttemptCost, Tasks
from actors.execution.pricing import RatedPricer
from actors.runtime.contract import FrozenClock, Step
from actors.runtime.wire import outgoing
from economics.cost import RATES, cost_of
from schemas.base import UserId
from schemas.commands import Cancellation, CancelTasks
from schemas.events import TaskSucceeded
from tests.builders import NOON, attempt_finished, batch_dispatched, header


def execution() -> Execution:
    """Return the saga with the real rate card."""
    return Execution(pricer=RatedPricer(), clock=FrozenClock(NOON))


async def stepped(saga: Execution, *heard: Heard) -> Step[Tasks]:
    """Return the last step of a history; the state goes through the wire between steps."""
    state: Tasks | None = None
    step: Step[Tasks] | None = None
    for each in heard:
        step = await saga.step(state, each)
        assert step is not None
        state = msgspec.json.decode(msgspec.json.encode(step.state), type=Tasks)
    assert step is not None
    return step


async def test_all_messages_of_a_job_share_one_record() -> None:
    """And it is not the orchestrator's, which is named after the job."""
    saga = execution()
    cancel = CancelTasks(**header("evt_c"), payload=Cancellation(by=UserId("usr_1")))  # type: ignore[arg-type]

    keys = {saga.key(each) for each in (batch_dispatched(), attempt_finished(), cancel)}
    assert keys == {"tasks_job_1"}


async def test_a_success_is_priced_by_the_rate_card() -> None:
    """One place prices; a price made elsewhere would not add up."""
    step = await stepped(execution(), batch_dispatched(), attempt_finished())

    [success] = [each for each in step.said if isinstance(each, TaskSucceeded)]
    wanted = cost_of(gpu_type="cpu", gpu_seconds=2.5, output_bytes=900_000, rates=RATES)
    assert success.payload.execution_telemetry.cost_microtokens == wanted.cost_microtokens
    assert success.payload.execution_telemetry.cost_microusd == wanted.cost_microusd


async def test_the_same_step_taken_again_says_the_same_ids() -> None:
    """Two workers may take a step at once; the stream drops what the loser says."""
    first = await stepped(execution(), batch_dispatched(), attempt_finished())
    again = await stepped(execution(), batch_dispatched(), attempt_finished())

    assert first == again


def test_a_gpu_the_card_does_not_know_costs_as_much_as_the_dearest() -> None:
    """A new kind of host must not look free."""
    pricer = RatedPricer()
    unknown = pricer.price(attempt_finished(gpu_type="B300").payload)

    assert unknown == pricer.price(attempt_finished(gpu_type="H100").payload)
    assert unknown.cost_microtokens > 0


def test_an_attempt_that_did_nothing_costs_nothing() -> None:
    """A host that could not be reached used no second and stored no file."""
    report = attempt_finished(succeeded=False, gpu_seconds=0.0, output_bytes=0).payload

    assert RatedPricer().price(report) == AttemptCost()


async def test_everything_it_says_has_a_place_on_the_bus() -> None:
    """A message without a subject would stop the saga for good."""
    cancel = CancelTasks(**header("evt_c"), payload=Cancellation(by=UserId("usr_1")))  # type: ignore[arg-type]
    saga = execution()
    histories: list[tuple[Heard, ...]] = [
        (batch_dispatched(),),
        (batch_dispatched(), attempt_finished()),
        (batch_dispatched(), attempt_finished(succeeded=False)),
        (batch_dispatched(), cancel),
        (batch_dispatched(), cancel, attempt_finished()),
    ]
    said = [each for history in histories for each in (await stepped(saga, *history)).said]

    subjects = {outgoing(each).subject for each in said}
    assert {
        "cmd.exec.standard.fx-warm-grade-v1",
        "evt.execution.TaskSucceeded.tnt_1.job_1",
        "evt.execution.TaskFailed.tnt_1.job_1",
        "evt.execution.LateAttemptPriced.tnt_1.job_1",
        "tlm.execution",
        "timer.tasks_job_1.deadline_task_1",
        "timer.tasks_job_1.retry_task_1",
        "$KV.CONTROL.cancel.job_1",
    } == subjects
