"""The shell: the saga's key, its price, and that it says the same again."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from actors.execution.actor import Execution, ExecutionModule, Heard, Limits, Quarantines
from actors.execution.core import AttemptCost, Tasks
from actors.execution.pricing import RatedPricer
from actors.runtime import provision
from actors.runtime.contract import FrozenClock, Step
from actors.runtime.memory import MemoryBroker, MemoryBus, VirtualClock, connected
from actors.runtime.record import Recorded, StreamLog
from actors.runtime.wire import outgoing
from economics.cost import RATES, cost_of
from schemas.base import ProviderId, UserId
from schemas.commands import Cancellation, CancelTasks, SetConcurrency
from schemas.events import TaskSucceeded
from schemas.failures import FailureClass
from schemas.hosts import ConcurrencyLimit
from subjects.topology import CONTROL, EVT, SAGA, TIMER, topology
from tests.builders import NOON, attempt_finished, batch_dispatched, execution_task, header
from tests.integration.runtime.world import stored


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
        "cmd.exec.interactive.fx-warm-grade-v1",
        "evt.execution.TaskSucceeded.tnt_1.job_1",
        "evt.execution.TaskFailed.tnt_1.job_1",
        "evt.execution.LateAttemptPriced.tnt_1.job_1",
        "tlm.execution",
        "timer.tasks_job_1.deadline_task_1",
        "timer.tasks_job_1.retry_task_1",
        "$KV.CONTROL.cancel.job_1",
    } == subjects


@asynccontextmanager
async def module_on_a_broker() -> AsyncIterator[tuple[ExecutionModule, MemoryBus]]:
    """Yield module 6 with its three kinds of records on the broker in memory."""
    broker = MemoryBroker(clock=VirtualClock(), dice=random.Random(1))
    clock = FrozenClock(NOON)
    async with connected(broker, name="execution") as bus:
        await provision.apply(bus, topology([("interactive", "fx-warm-grade-v1")]))

        def receive(saga: Any) -> Any:
            return Recorded(saga=saga, log=StreamLog(bus=bus), say=bus.say).receive

        yield (
            ExecutionModule(
                tasks=receive(Execution(pricer=RatedPricer(), clock=clock)),
                quarantines=receive(Quarantines(clock=clock)),
                limits=receive(Limits()),
            ),
            bus,
        )


async def test_a_report_is_heard_by_the_task_and_by_the_host_and_said_once() -> None:
    """Two records, one message: a redelivery finds both where they were."""
    lost = {"succeeded": False, "failure_class": FailureClass.HOST_LOST, "host": "gpu-1"}
    async with module_on_a_broker() as (module, bus):
        tasks = tuple(execution_task(f"task_{n}") for n in range(3))
        await module.receive(batch_dispatched(tasks=tasks))
        for _ in range(2):
            for n in range(3):
                await module.receive(
                    attempt_finished(f"evt_{n}", task_id=f"task_{n}", **lost)  # type: ignore[arg-type]
                )

        keys = {each.subject for each in await stored(bus, SAGA)}
        facts = [each.subject for each in await stored(bus, EVT)]
        entries = [each.subject for each in await stored(bus, f"KV_{CONTROL}")]
        timers = [each.subject for each in await stored(bus, TIMER, "timer.>")]
    assert keys == {"saga.tasks_job_1", "saga.hosts"}
    assert facts == ["evt.execution.HostQuarantined.tnt_1.job_1"]
    assert set(entries) == {"$KV.CONTROL.quarantine.gpu-1"}
    assert sum("retry" in each for each in timers) == 3


async def test_an_order_to_limit_a_provider_goes_to_its_own_record() -> None:
    """It is about no job."""
    order = ConcurrencyLimit(provider_id=ProviderId("fx-warm-grade-v1"), limit=4)
    async with module_on_a_broker() as (module, bus):
        await module.receive(SetConcurrency(**header("evt_limit"), payload=order))  # type: ignore[arg-type]

        assert {each.subject for each in await stored(bus, SAGA)} == {"saga.limit_fx-warm-grade-v1"}
        [entry] = await stored(bus, f"KV_{CONTROL}")
    assert entry.subject == "$KV.CONTROL.concurrency.fx-warm-grade-v1"
