"""What is remembered of a job's tasks between two messages."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from schemas.base import MicroTokens, MicroUsd, TaskId
from schemas.failures import FailureClass
from schemas.tasks import ExecutionTask


class TaskPhase(StrEnum):
    """Where a task is."""

    RUNNING = "running"
    WAITING = "waiting"
    CLOSED = "closed"


class AttemptCost(Struct, frozen=True, kw_only=True):
    """What one attempt cost the platform."""

    cost_microtokens: MicroTokens = 0
    cost_microusd: MicroUsd = 0


class Failure(Struct, frozen=True, kw_only=True):
    """An attempt that was waited for and failed."""

    host: str
    failure_class: FailureClass


class Run(Struct, frozen=True, kw_only=True):
    """What one report has been counted with."""

    attempt: int
    """Which began what was told of."""
    host: str
    adopted: bool
    cost_microtokens: MicroTokens
    cost_microusd: MicroUsd
    gpu_seconds: float


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
    failures: tuple[Failure, ...] = ()
    """Of the attempts that were waited for, oldest first; tries bound their number."""
    runs: tuple[Run, ...] = ()
    """As many as there are in ``counted``."""


class Tasks(Struct, frozen=True, kw_only=True):
    """The state of the saga: the tasks of one job."""

    tasks: dict[TaskId, OpenTask] = {}
    cancelled: bool = False
    """A batch that comes after its job's cancellation is closed at once."""
