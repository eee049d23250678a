"""What becomes of a job's tasks. Pure: time is an argument, ids come from what was heard.

A task is ``running`` (an attempt is out), ``waiting`` (a retry is set) or ``closed``. Only the
report of the attempt that is out moves a running task; a report of an older attempt, of a closed
task, or the second report of one attempt moves nothing. So a task is closed once, and every
task of a heard batch is: by its report, by the cancellation of the job, or by its deadline.

What an attempt cost is counted once, whatever it was good for: the fleet has spent it. It goes with
the outcome of its task, or by itself, as ``LateAttemptPriced``, when the outcome has been said.

    running --report, good----------------------> closed, TaskSucceeded
    running --report, bad, tries and time left--> waiting
    running --report, bad, otherwise------------> closed, TaskFailed
    waiting --Wake retry------------------------> running, next attempt
    either  --CancelTasks or Wake deadline------> closed, TaskFailed
    closed  --report, not counted yet-----------> closed, LateAttemptPriced
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.runtime.contract import Later, Put, Said, Step
from actors.runtime.follow import follow
from economics.rounding import divide
from schemas.base import EPOCH, MICRO, Message, MicroTokens, MicroUsd, Module, TaskId
from schemas.commands import CancelTasks, RunAttempt, Wake
from schemas.events import (
    AttemptFinished,
    LateAttempt,
    LateAttemptPriced,
    TaskFailed,
    TaskSucceeded,
    TestBatchDispatched,
)
from schemas.tasks import (
    AttemptOrder,
    AttemptReport,
    ExecutionTask,
    ExecutionTelemetry,
    NodeTiming,
    TaskFailure,
    TaskResult,
)
from schemas.telemetry import PACKET_LIMIT, TaskMeasured, TelemetryPacket
from subjects.topology import CONTROL

DEADLINE: Final = "deadline"
RETRY: Final = "retry"
CANCELLED: Final = "CANCELLED"
TIMED_OUT: Final = "TIMED_OUT"
BACKOFF_LIMIT: Final = timedelta(minutes=2)
"""No retry waits longer than this, however often the task failed."""


class TaskPhase(StrEnum):
    """Where a task is."""

    RUNNING = "running"
    WAITING = "waiting"
    CLOSED = "closed"


class AttemptCost(Struct, frozen=True, kw_only=True):
    """What one attempt cost the platform."""

    cost_microtokens: MicroTokens = 0
    cost_microusd: MicroUsd = 0


class OpenTask(Struct, frozen=True, kw_only=True):
    """One task, and what its attempts used up to now."""

    task: ExecutionTask
    deadline: datetime
    phase: TaskPhase = TaskPhase.RUNNING
    attempt: int = 1
    cost_microtokens: MicroTokens = 0
    cost_microusd: MicroUsd = 0
    gpu_seconds: float = 0.0
    counted: tuple[str, ...] = ()
    """The reports in the sums, by attempt and agent; tries and deliveries bound their number."""


class Tasks(Struct, frozen=True, kw_only=True):
    """The state of the saga: the tasks of one job."""

    tasks: dict[TaskId, OpenTask] = {}
    cancelled: bool = False
    """A batch that comes after its job's cancellation is closed at once."""


class _Move(Struct, frozen=True):
    """What became of one task, and what is said about it."""

    open_task: OpenTask
    said: tuple[Said, ...] = ()
    sample: TaskMeasured | None = None


def dispatch(state: Tasks | None, heard: TestBatchDispatched, *, at: datetime) -> Step[Tasks]:
    """Send every new task of a batch out, or close it when the job is cancelled already."""
    known = state or Tasks()
    moves = [
        _start(_opened(task, closes_at=heard.payload.closes_at, at=at), heard, at=at)
        for task in heard.payload.tasks
        if task.task_id not in known.tasks
    ]
    if known.cancelled:
        moves = [
            _fail(move.open_task, heard, CANCELLED, "the job was cancelled", at=at)
            for move in moves
        ]
    return _step(known, moves, heard, at=at)


def report(
    state: Tasks | None, heard: AttemptFinished, cost: AttemptCost, *, at: datetime
) -> Step[Tasks] | None:
    """Draw the conclusion from an agent's report.

    ``None`` when it is a repetition, or comes after the outcome and cost nothing.
    """
    told = heard.payload
    found = state.tasks.get(heard.task_id) if state else None
    report_id = f"{told.attempt}:{told.agent_id}"
    if state is None or found is None or report_id in found.counted:
        return None
    if found.phase is TaskPhase.CLOSED and cost == AttemptCost():
        return None
    metered = replace(
        found,
        cost_microtokens=found.cost_microtokens + cost.cost_microtokens,
        cost_microusd=found.cost_microusd + cost.cost_microusd,
        gpu_seconds=found.gpu_seconds + told.gpu_seconds,
        counted=(*found.counted, report_id),
    )
    if found.phase is TaskPhase.CLOSED:
        move = _price_late(metered, heard, cost, at=at)
    elif found.phase is TaskPhase.WAITING or told.attempt != found.attempt:
        move = _Move(metered)
    elif told.succeeded:
        move = _succeed(metered, heard, at=at)
    elif retry_at(metered, told, at=at) is not None:
        move = _wait(metered, heard, at=at)
    else:
        move = _fail(metered, heard, told.error_code, told.message, at=at)
    return _step(state, [move], heard, at=at)


def wake(state: Tasks | None, heard: Wake, *, at: datetime) -> Step[Tasks] | None:
    """Start the next attempt, or close a task whose time is up."""
    found = state.tasks.get(heard.task_id) if state else None
    if state is None or found is None or found.phase is TaskPhase.CLOSED:
        return None
    if heard.purpose == DEADLINE:
        late = _fail(found, heard, TIMED_OUT, "no result before the deadline", at=at)
        return _step(state, [late], heard, at=at)
    due = found.phase is TaskPhase.WAITING and heard.step == found.attempt + 1
    if heard.purpose != RETRY or not due:
        return None
    again = replace(found, phase=TaskPhase.RUNNING, attempt=heard.step)
    return _step(state, [_Move(again, (_order(again, heard, at=at),))], heard, at=at)


def cancel(state: Tasks | None, heard: CancelTasks, *, at: datetime) -> Step[Tasks]:
    """Close every open task, and tell the agents through the CONTROL bucket."""
    known = replace(state or Tasks(), cancelled=True)
    moves = [
        _fail(found, heard, CANCELLED, "the job was cancelled", at=at)
        for found in known.tasks.values()
        if found.phase is not TaskPhase.CLOSED
    ]
    notice = Put(
        bucket=CONTROL,
        key=f"cancel.{heard.correlation_id}",
        value=msgspec.json.encode(heard.payload),
    )
    step = _step(known, moves, heard, at=at)
    return Step(step.state, (notice, *step.said))


def deadline_of(task: ExecutionTask, *, closes_at: datetime, at: datetime) -> datetime:
    """Return when a task is over whatever happens: all its tries and pauses, or the batch's end."""
    policy = task.retry_policy
    tries = timedelta(milliseconds=task.timeout_ms) * (policy.max_retries + 1)
    pauses = sum((_backoff(task, n) for n in range(1, policy.max_retries + 1)), timedelta())
    own = at + tries + pauses
    return own if closes_at == EPOCH else min(own, closes_at)


def retry_at(found: OpenTask, told: AttemptReport, *, at: datetime) -> datetime | None:
    """Return when the next attempt starts, ``None`` when there is none."""
    if not told.retriable or found.attempt > found.task.retry_policy.max_retries:
        return None
    then = at + _backoff(found.task, found.attempt)
    return then if then < found.deadline else None


def by_class(nodes: Sequence[NodeTiming]) -> dict[str, int]:
    """Add up the milliseconds of a graph's nodes by class."""
    total: dict[str, int] = {}
    for node in nodes:
        total[node.class_type] = total.get(node.class_type, 0) + node.ms
    return total


def _backoff(task: ExecutionTask, failures: int) -> timedelta:
    doubled: int = task.retry_policy.backoff_ms << (failures - 1)
    return min(timedelta(milliseconds=doubled), BACKOFF_LIMIT)


def _opened(task: ExecutionTask, *, closes_at: datetime, at: datetime) -> OpenTask:
    return OpenTask(task=task, deadline=deadline_of(task, closes_at=closes_at, at=at))


def _start(found: OpenTask, heard: Message, *, at: datetime) -> _Move:
    timer = _timer(DEADLINE, found, heard, at=found.deadline, now=at)
    return _Move(found, (_order(found, heard, at=at), timer))


def _order(found: OpenTask, heard: Message, *, at: datetime) -> RunAttempt:
    part = f"{found.task.task_id}:{found.attempt}"
    return RunAttempt(
        **follow(heard, RunAttempt, at=at, part=part),
        payload=AttemptOrder(task=found.task, attempt=found.attempt, not_after=found.deadline),
    )


def _timer(
    purpose: str, found: OpenTask, heard: Message, *, at: datetime | None, now: datetime
) -> Later:
    task_id = found.task.task_id
    return Later(
        key=f"tasks_{heard.correlation_id}",
        name=f"{purpose}_{task_id}",
        module=Module.EXECUTION,
        at=at,
        message=Wake(
            **follow(heard, Wake, at=now, part=f"{purpose}:{task_id}"),
            purpose=purpose,
            step=found.attempt + 1 if purpose == RETRY else found.attempt,
            task_id=task_id,
        ),
    )


def _wait(found: OpenTask, heard: AttemptFinished, *, at: datetime) -> _Move:
    then = retry_at(found, heard.payload, at=at)
    timer = _timer(RETRY, found, heard, at=then, now=at)
    return _Move(replace(found, phase=TaskPhase.WAITING), (timer,))


def _succeed(found: OpenTask, heard: AttemptFinished, *, at: datetime) -> _Move:
    task, told = found.task, heard.payload
    said = TaskSucceeded(
        **follow(heard, TaskSucceeded, at=at, part=task.task_id),
        task_id=task.task_id,
        payload=TaskResult(
            provider_id=task.provider_id,
            workflow_id=task.workflow_id,
            output_video_uri=told.output_video_uri,
            input_video_uri=task.input_video_uri,
            effect_type=task.effect_type,
            role=task.role,
            attempts=found.attempt,
            total_candidates=task.total_candidates,
            execution_telemetry=_telemetry(found, told),
        ),
    )
    return _close(found, said, heard, at=at)


def _telemetry(found: OpenTask, told: AttemptReport) -> ExecutionTelemetry:
    """Cost and GPU seconds are those of every attempt: somebody has to pay for the failed ones."""
    return ExecutionTelemetry(
        actual_cost_tokens=divide(found.cost_microtokens, MICRO),
        actual_duration_ms=told.duration_ms,
        gpu_type=told.gpu_type,
        gpu_seconds=found.gpu_seconds,
        queue_wait_ms=told.queue_wait_ms,
        comfyui_node_timings=by_class(told.nodes),
        cost_microtokens=found.cost_microtokens,
        cost_microusd=found.cost_microusd,
        nodes=told.nodes,
        output_bytes=told.output_bytes,
        frames=told.frames,
        cold_start=told.cold_start,
        host=told.host,
    )


def _fail(found: OpenTask, heard: Message, code: str, message: str, *, at: datetime) -> _Move:
    task = found.task
    said = TaskFailed(
        **follow(heard, TaskFailed, at=at, part=task.task_id),
        task_id=task.task_id,
        payload=TaskFailure(
            provider_id=task.provider_id,
            workflow_id=task.workflow_id,
            error_code=code,
            message=message,
            attempts=found.attempt,
            effect_type=task.effect_type,
            role=task.role,
            gpu_seconds=found.gpu_seconds,
            cost_microtokens=found.cost_microtokens,
            cost_microusd=found.cost_microusd,
        ),
    )
    return _close(found, said, heard, at=at)


def _price_late(
    found: OpenTask, heard: AttemptFinished, cost: AttemptCost, *, at: datetime
) -> _Move:
    """Say what a report after the outcome cost."""
    task, told = found.task, heard.payload
    said = LateAttemptPriced(
        **follow(heard, LateAttemptPriced, at=at, part=task.task_id),
        task_id=task.task_id,
        payload=LateAttempt(
            attempt=told.attempt,
            agent_id=told.agent_id,
            provider_id=task.provider_id,
            effect_type=task.effect_type,
            role=task.role,
            gpu_seconds=told.gpu_seconds,
            cost_microtokens=cost.cost_microtokens,
            cost_microusd=cost.cost_microusd,
        ),
    )
    return _Move(found, (said,))


def _close(
    found: OpenTask, said: TaskSucceeded | TaskFailed, heard: Message, *, at: datetime
) -> _Move:
    timers: tuple[Said, ...] = (_timer(DEADLINE, found, heard, at=None, now=at),)
    if found.phase is TaskPhase.WAITING:
        timers += (_timer(RETRY, found, heard, at=None, now=at),)
    code = said.payload.error_code if isinstance(said, TaskFailed) else ""
    told = heard.payload if isinstance(heard, AttemptFinished) else None
    sample = _sample(found, said, told, code=code, at=at)
    return _Move(replace(found, phase=TaskPhase.CLOSED), (said, *timers), sample)


def _sample(
    found: OpenTask, said: Message, told: AttemptReport | None, *, code: str, at: datetime
) -> TaskMeasured:
    return TaskMeasured(
        at=at,
        task_id=found.task.task_id,
        job_id=said.correlation_id,
        tenant_id=said.tenant_id,
        provider_id=found.task.provider_id,
        effect_type=found.task.effect_type,
        succeeded=isinstance(said, TaskSucceeded),
        cost_microtokens=found.cost_microtokens,
        gpu_seconds=found.gpu_seconds,
        duration_ms=told.duration_ms if told else 0,
        queue_wait_ms=told.queue_wait_ms if told else 0,
        frames=told.frames if told else 0,
        error_code=code,
        role=found.task.role,
        nodes=by_class(told.nodes) if told else {},
    )


def _step(state: Tasks, moves: Sequence[_Move], heard: Message, *, at: datetime) -> Step[Tasks]:
    tasks = state.tasks | {move.open_task.task.task_id: move.open_task for move in moves}
    samples = [move.sample for move in moves if move.sample is not None]
    packets = [
        TelemetryPacket(
            **follow(heard, TelemetryPacket, at=at, part=str(start)),
            module=Module.EXECUTION,
            samples=tuple(samples[start : start + PACKET_LIMIT]),
        )
        for start in range(0, len(samples), PACKET_LIMIT)
    ]
    said = [each for move in moves for each in move.said]
    return Step(replace(state, tasks=tasks), (*said, *packets))
