"""Module 6: the attempts of a job's tasks."""

from __future__ import annotations

from actors.execution import core
from actors.execution.core import Tasks
from actors.execution.ports import Pricer
from actors.runtime.contract import Clock, Step
from schemas.commands import CancelTasks, Wake
from schemas.events import AttemptFinished, TestBatchDispatched

Heard = TestBatchDispatched | AttemptFinished | CancelTasks | Wake


class Execution:
    """Module 6: sends tasks to the agents and says how each of them ended.

    Hears:    TestBatchDispatched, AttemptFinished, CancelTasks, its own Wake
    Says:     RunAttempt, TaskSucceeded, TaskFailed, TelemetryPacket, cancel.<job> in CONTROL;
              LateAttemptPriced for a report that came after the outcome
    Owns:     the record ``tasks_<job>``
    Repeats:  harmless; late and repeated reports are fenced by attempt number, and each is
              counted once
    """

    state_type = Tasks

    def __init__(self, *, pricer: Pricer, clock: Clock) -> None:
        self._pricer = pricer
        self._clock = clock

    def key(self, heard: Heard) -> str:
        """Return the name of the job's record, beside the orchestrator's own."""
        return f"tasks_{heard.correlation_id}"

    async def step(self, state: Tasks | None, heard: Heard) -> Step[Tasks] | None:
        """Decide what becomes of the job's tasks."""
        at = self._clock.now()
        if isinstance(heard, TestBatchDispatched):
            return core.dispatch(state, heard, at=at)
        if isinstance(heard, AttemptFinished):
            return core.report(state, heard, self._pricer.price(heard.payload), at=at)
        if isinstance(heard, CancelTasks):
            return core.cancel(state, heard, at=at)
        return core.wake(state, heard, at=at)
