"""What execution says of one task: the order, the timers, the outcome, the measurement. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from actors.execution.state import AttemptCost, OpenTask
from actors.runtime.contract import Later
from actors.runtime.follow import follow
from economics.failures import RULES, Retry
from economics.rounding import divide
from schemas.base import MICRO, Message, Module
from schemas.commands import RunAttempt, Wake
from schemas.events import (
    AttemptFinished,
    LateAttempt,
    LateAttemptPriced,
    TaskFailed,
    TaskSucceeded,
)
from schemas.failures import FailureClass
from schemas.lanes import served_lane
from schemas.tasks import (
    AttemptOrder,
    AttemptReport,
    ExecutionTask,
    ExecutionTelemetry,
    NodeTiming,
    TaskFailure,
    TaskResult,
)
from schemas.telemetry import TaskMeasured

DEADLINE: Final = "deadline"
RETRY: Final = "retry"
AVOIDED_LIMIT: Final = 3
"""Hosts an order asks to leave out, those that failed last."""


def order(found: OpenTask, heard: Message, *, at: datetime) -> RunAttempt:
    """Return the order of a task's current attempt."""
    part = f"{found.task.task_id}:{found.attempt}"
    return RunAttempt(
        **follow(heard, RunAttempt, at=at, part=part),
        payload=AttemptOrder(
            task=in_lane(found.task),
            attempt=found.attempt,
            not_after=found.deadline,
            avoid_hosts=avoided(found),
        ),
    )


def in_lane(task: ExecutionTask) -> ExecutionTask:
    """Return a task as it is sent: in a lane that agents look into."""
    lane = served_lane(task.lane)
    return task if lane == task.lane else replace(task, lane=lane)


def avoided(found: OpenTask) -> tuple[str, ...]:
    """Return the hosts that failed this task in a way that another may not, the last ones."""
    failed = dict.fromkeys(
        each.host
        for each in reversed(found.failures)
        if each.host and RULES[each.failure_class].retry is Retry.ELSEWHERE
    )
    return tuple(failed)[:AVOIDED_LIMIT]


def timer(
    purpose: str, found: OpenTask, heard: Message, *, at: datetime | None, now: datetime
) -> Later:
    """Return a timer of a task; ``at=None`` takes it away."""
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


def succeeded(found: OpenTask, heard: AttemptFinished, *, at: datetime) -> TaskSucceeded:
    """Say that a provider delivered."""
    task, told = found.task, heard.payload
    return TaskSucceeded(
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


def failed(
    found: OpenTask,
    heard: Message,
    failure_class: FailureClass,
    *,
    code: str,
    message: str,
    at: datetime,
) -> TaskFailed:
    """Say that no attempt is left."""
    task = found.task
    return TaskFailed(
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
            failure_class=failure_class,
        ),
    )


def late(
    found: OpenTask,
    heard: AttemptFinished,
    cost: AttemptCost,
    *,
    gpu_seconds: float,
    at: datetime,
) -> LateAttemptPriced:
    """Say what a report after the outcome cost."""
    task, told = found.task, heard.payload
    return LateAttemptPriced(
        **follow(heard, LateAttemptPriced, at=at, part=task.task_id),
        task_id=task.task_id,
        payload=LateAttempt(
            attempt=told.attempt,
            agent_id=told.agent_id,
            provider_id=task.provider_id,
            effect_type=task.effect_type,
            role=task.role,
            gpu_seconds=gpu_seconds,
            cost_microtokens=cost.cost_microtokens,
            cost_microusd=cost.cost_microusd,
        ),
    )


def measured(
    found: OpenTask,
    said: TaskSucceeded | TaskFailed,
    told: AttemptReport | None,
    *,
    at: datetime,
) -> TaskMeasured:
    """Return the measurement of a task that is over; ``told`` is the report that ended it."""
    failure = said.payload if isinstance(said, TaskFailed) else None
    return TaskMeasured(
        at=at,
        task_id=found.task.task_id,
        job_id=said.correlation_id,
        tenant_id=said.tenant_id,
        provider_id=found.task.provider_id,
        effect_type=found.task.effect_type,
        succeeded=failure is None,
        cost_microtokens=found.cost_microtokens,
        gpu_seconds=found.gpu_seconds,
        duration_ms=told.duration_ms if told else 0,
        queue_wait_ms=told.queue_wait_ms if told else 0,
        frames=told.frames if told else 0,
        error_code=failure.error_code if failure else "",
        role=found.task.role,
        nodes=by_class(told.nodes) if told else {},
        failure_class=failure.failure_class if failure else None,
        host=told.host if told else "",
        gpu_type=told.gpu_type if told else "",
        cold_start=told.cold_start if told else False,
        cached=told.cached if told else False,
        predicted_ms=found.task.work.predicted_ms,
        input_frames=found.task.work.frames,
        pixels=found.task.work.pixels,
        steps=found.task.work.steps,
        node_runs=Counter(each.class_type for each in told.nodes if not each.cached)
        if told
        else {},
        throttled=sum(each.failure_class is FailureClass.THROTTLED for each in found.failures),
    )


def by_class(nodes: Sequence[NodeTiming]) -> dict[str, int]:
    """Add up the milliseconds of a graph's nodes by class."""
    total: dict[str, int] = {}
    for node in nodes:
        total[node.class_type] = total.get(node.class_type, 0) + node.ms
    return total


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
        cached=told.cached,
        meter=told.meter,
    )
