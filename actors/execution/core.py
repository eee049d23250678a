"""What becomes of a job's tasks. Pure: time is an argument, ids come from what was heard.

A task is ``running`` (an attempt is out), ``waiting`` (a retry is set) or ``closed``. Only the
report of the attempt that is out moves a running task; a report of an older attempt, of a closed
task, or the second report of one attempt moves nothing. So a task is closed once, and every
task of a heard batch is: by its report, by the cancellation of the job, or by its deadline.

What an attempt cost is counted once, whatever it was good for: the fleet has spent it. It goes with
the outcome of its task, or by itself, as ``LateAttemptPriced``, when the outcome has been said. Two
agents that rendered one attempt have spent twice; two that follow one run, because the second
adopted it from the first, have spent once, and the longer of their two accounts is taken.

    running --report, good----------------------> closed, TaskSucceeded
    running --report, bad, tries and time left--> waiting
    running --report, bad, otherwise------------> closed, TaskFailed
    waiting --Wake retry------------------------> running, next attempt
    either  --CancelTasks or Wake deadline------> closed, TaskFailed
    closed  --report, not counted yet-----------> closed, LateAttemptPriced

Whether a bad report leaves tries, and where the next one runs, is in ``economics.failures``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.execution import words
from actors.execution.state import AttemptCost, Failure, OpenTask, Run, TaskPhase, Tasks
from actors.execution.words import DEADLINE, RETRY, by_class
from actors.runtime.contract import Put, Said, Step
from actors.runtime.follow import follow
from economics.failures import RULES, again, classified, concluded
from schemas.base import EPOCH, Message, Module
from schemas.commands import CancelTasks, Wake
from schemas.events import AttemptFinished, TaskFailed, TaskSucceeded, TestBatchDispatched
from schemas.failures import FailureClass
from schemas.tasks import AttemptReport, ExecutionTask
from schemas.telemetry import PACKET_LIMIT, TaskMeasured, TelemetryPacket
from subjects import build
from subjects.topology import CONTROL

__all__ = ["AttemptCost", "OpenTask", "TaskPhase", "Tasks", "by_class"]

CANCELLED: Final = "CANCELLED"
TIMED_OUT: Final = "TIMED_OUT"
BACKOFF_LIMIT: Final = timedelta(minutes=2)
"""No retry waits longer than this, however often the task failed."""


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
        moves = [_cancelled(move.open_task, heard, at=at) for move in moves]
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
    run = _unpaid(found, told, cost)
    added = AttemptCost(cost_microtokens=run.cost_microtokens, cost_microusd=run.cost_microusd)
    if found.phase is TaskPhase.CLOSED and added == AttemptCost():
        return None
    metered = replace(
        found,
        cost_microtokens=found.cost_microtokens + run.cost_microtokens,
        cost_microusd=found.cost_microusd + run.cost_microusd,
        gpu_seconds=found.gpu_seconds + run.gpu_seconds,
        counted=(*found.counted, report_id),
        runs=(*found.runs, run),
    )
    if found.phase is TaskPhase.CLOSED:
        bill = words.late(metered, heard, added, gpu_seconds=run.gpu_seconds, at=at)
        return _step(state, [_Move(metered, (bill,))], heard, at=at)
    if found.phase is TaskPhase.WAITING or told.attempt != found.attempt:
        return _step(state, [_Move(metered)], heard, at=at)
    return _step(state, [_judged(metered, heard, at=at)], heard, at=at)


def wake(state: Tasks | None, heard: Wake, *, at: datetime) -> Step[Tasks] | None:
    """Start the next attempt, or close a task whose time is up."""
    found = state.tasks.get(heard.task_id) if state else None
    if state is None or found is None or found.phase is TaskPhase.CLOSED:
        return None
    if heard.purpose == DEADLINE:
        return _step(state, [_overdue(found, heard, at=at)], heard, at=at)
    due = found.phase is TaskPhase.WAITING and heard.step == found.attempt + 1
    if heard.purpose != RETRY or not due:
        return None
    next_try = replace(found, phase=TaskPhase.RUNNING, attempt=heard.step)
    ordered = _Move(next_try, (words.order(next_try, heard, at=at),))
    return _step(state, [ordered], heard, at=at)


def cancel(state: Tasks | None, heard: CancelTasks, *, at: datetime) -> Step[Tasks]:
    """Close every open task, and tell the agents through the CONTROL bucket."""
    known = replace(state or Tasks(), cancelled=True)
    moves = [
        _cancelled(found, heard, at=at)
        for found in known.tasks.values()
        if found.phase is not TaskPhase.CLOSED
    ]
    notice = Put(
        bucket=CONTROL,
        key=build.cancel_key(heard.correlation_id),
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
    failure_class = classified(told.failure_class, told.error_code)
    rule = RULES[failure_class]
    before = sum(each.failure_class is failure_class for each in found.failures)
    if not again(rule, failures_alike=before + 1):
        return None
    then = at + min(_backoff(found.task, found.attempt) * rule.pause, BACKOFF_LIMIT)
    return then if then < found.deadline else None


def _unpaid(found: OpenTask, told: AttemptReport, cost: AttemptCost) -> Run:
    """Return what a report adds to the sums: all it says, unless it is of a run counted already.

    A run is on one host, and belongs to the attempt that began it. Two reports tell of one run when
    either agent adopted it.
    """
    began = told.adopted_attempt or told.attempt
    same = [
        run
        for run in found.runs
        if (run.attempt, run.host) == (began, told.host) and (run.adopted or told.adopted)
    ]
    return Run(
        attempt=began,
        host=told.host,
        adopted=told.adopted,
        cost_microtokens=max(0, cost.cost_microtokens - sum(run.cost_microtokens for run in same)),
        cost_microusd=max(0, cost.cost_microusd - sum(run.cost_microusd for run in same)),
        gpu_seconds=max(0.0, told.gpu_seconds - sum(run.gpu_seconds for run in same)),
    )


def _judged(found: OpenTask, heard: AttemptFinished, *, at: datetime) -> _Move:
    """Conclude from the report of the attempt that is out."""
    told = heard.payload
    if told.succeeded:
        return _close(found, words.succeeded(found, heard, at=at), heard, at=at)
    then = retry_at(found, told, at=at)
    last = classified(told.failure_class, told.error_code)
    found = replace(found, failures=(*found.failures, Failure(host=told.host, failure_class=last)))
    if then is not None:
        timer = words.timer(RETRY, found, heard, at=then, now=at)
        return _Move(replace(found, phase=TaskPhase.WAITING), (timer,))
    lost = {each.host for each in found.failures if each.failure_class is FailureClass.HOST_LOST}
    said = words.failed(
        found,
        heard,
        concluded(last, lost),
        code=told.error_code,
        message=told.message,
        at=at,
    )
    return _close(found, said, heard, at=at)


def _overdue(found: OpenTask, heard: Wake, *, at: datetime) -> _Move:
    said = words.failed(
        found,
        heard,
        FailureClass.DEADLINE,
        code=TIMED_OUT,
        message="no result before the deadline",
        at=at,
    )
    return _close(found, said, heard, at=at)


def _cancelled(found: OpenTask, heard: Message, *, at: datetime) -> _Move:
    said = words.failed(
        found,
        heard,
        FailureClass.CANCELLED,
        code=CANCELLED,
        message="the job was cancelled",
        at=at,
    )
    return _close(found, said, heard, at=at)


def _backoff(task: ExecutionTask, failures: int) -> timedelta:
    doubled: int = task.retry_policy.backoff_ms << (failures - 1)
    return min(timedelta(milliseconds=doubled), BACKOFF_LIMIT)


def _opened(task: ExecutionTask, *, closes_at: datetime, at: datetime) -> OpenTask:
    return OpenTask(task=task, deadline=deadline_of(task, closes_at=closes_at, at=at))


def _start(found: OpenTask, heard: Message, *, at: datetime) -> _Move:
    timer = words.timer(DEADLINE, found, heard, at=found.deadline, now=at)
    return _Move(found, (words.order(found, heard, at=at), timer))


def _close(
    found: OpenTask, said: TaskSucceeded | TaskFailed, heard: Message, *, at: datetime
) -> _Move:
    timers: tuple[Said, ...] = (words.timer(DEADLINE, found, heard, at=None, now=at),)
    if found.phase is TaskPhase.WAITING:
        timers += (words.timer(RETRY, found, heard, at=None, now=at),)
    told = heard.payload if isinstance(heard, AttemptFinished) else None
    sample = words.measured(found, said, told, at=at)
    return _Move(replace(found, phase=TaskPhase.CLOSED), (said, *timers), sample)


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
