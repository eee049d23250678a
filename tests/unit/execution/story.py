"""Tells the history of one task to the saga, and gathers what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from actors.execution import core
from actors.execution.core import AttemptCost, OpenTask, Tasks
from actors.execution.words import DEADLINE, RETRY
from actors.runtime.contract import Later, Said, Step
from schemas.base import TaskId, UserId
from schemas.commands import Cancellation, CancelTasks, RunAttempt, Wake
from schemas.events import LateAttemptPriced, TaskFailed, TaskSucceeded
from schemas.failures import FailureClass
from schemas.tasks import AttemptOrder, ExecutionTask
from schemas.telemetry import TaskMeasured, TelemetryPacket
from tests.builders import NOON, attempt_finished, batch_dispatched, execution_task, header

PRICE = 1_000_000
"""Micro-tokens of one GPU second."""


class Story:
    """One task and everything that was said about it. Its state goes through the wire each time."""

    def __init__(self, task: ExecutionTask | None = None) -> None:
        self.at = NOON
        self.said: list[Said] = []
        self._number = 0
        self._state = Tasks()
        batch = batch_dispatched(tasks=(task or execution_task(),))
        self._take(core.dispatch(None, batch, at=self.at))

    # -- what happens ---------------------------------------------------------------------------

    def report(self, attempt: int = 1, *, succeeded: bool = False, **changes: object) -> bool:
        """Let an agent report; say whether that changed anything. A GPU second costs one token."""
        self._number += 1
        heard = attempt_finished(
            f"evt_report_{self._number}", attempt=attempt, succeeded=succeeded, **changes
        )
        seconds = heard.payload.gpu_seconds
        cost = AttemptCost(
            cost_microtokens=round(seconds * PRICE), cost_microusd=round(seconds * 100)
        )
        return self._take(core.report(self._state, heard, cost, at=self.at))

    def fail(self, failure_class: str, attempt: int = 1, **changes: object) -> bool:
        """Let an agent report a failure of a class."""
        known: dict[str, object] = {
            "failure_class": FailureClass(failure_class),
            "error_code": failure_class,
        }
        return self.report(attempt, **(known | changes))

    def retry(self) -> AttemptOrder:
        """Let the pause pass; return the order of the next attempt."""
        pause = self.pauses()[-1]
        self.at = pause.at or self.at
        assert isinstance(pause.message, Wake)
        heard = msgspec.structs.replace(pause.message, event_id=self._id("retry"))
        assert self._take(core.wake(self._state, heard, at=self.at))
        return self.orders()[-1]

    def expire(self) -> None:
        """Let the deadline pass."""
        self.at = self.task.deadline
        wake = Wake(**header(self._id("due")), purpose=DEADLINE, task_id=TaskId("task_1"))  # type: ignore[arg-type]
        self._take(core.wake(self._state, wake, at=self.at))

    def cancel(self) -> None:
        """Let the user give up."""
        order = Cancellation(by=UserId("usr_1"))
        heard = CancelTasks(**header(self._id("cancel")), payload=order)  # type: ignore[arg-type]
        self._take(core.cancel(self._state, heard, at=self.at))

    # -- what came of it ------------------------------------------------------------------------

    @property
    def task(self) -> OpenTask:
        """The task as it is remembered."""
        return self._state.tasks[TaskId("task_1")]

    def orders(self) -> list[AttemptOrder]:
        """Return every attempt that was ordered."""
        return [each.payload for each in self.said if isinstance(each, RunAttempt)]

    def pauses(self) -> list[Later]:
        """Return every retry that was set."""
        return [
            each
            for each in self.said
            if isinstance(each, Later) and each.name.startswith(RETRY) and each.at is not None
        ]

    def outcomes(self) -> list[TaskSucceeded | TaskFailed]:
        """Return how the task ended: once, if all is well."""
        return [each for each in self.said if isinstance(each, TaskSucceeded | TaskFailed)]

    def failure(self) -> TaskFailed:
        """Return the one outcome, a failure."""
        [found] = self.outcomes()
        assert isinstance(found, TaskFailed)
        return found

    def sample(self) -> TaskMeasured:
        """Return the one measurement."""
        [sample] = [
            sample
            for each in self.said
            if isinstance(each, TelemetryPacket)
            for sample in each.samples
        ]
        assert isinstance(sample, TaskMeasured)
        return sample

    def billed(self) -> int:
        """Return the micro-tokens that the ledger would book: of the outcome, and of late ones."""
        late = [each.payload for each in self.said if isinstance(each, LateAttemptPriced)]
        outcome = [
            each.payload.cost_microtokens
            if isinstance(each, TaskFailed)
            else each.payload.execution_telemetry.cost_microtokens
            for each in self.outcomes()
        ]
        return sum(outcome) + sum(each.cost_microtokens for each in late)

    def _take(self, step: Step[Tasks] | None) -> bool:
        if step is None:
            return False
        self._state = msgspec.json.decode(msgspec.json.encode(step.state), type=Tasks)
        self.said += step.said
        return True

    def _id(self, what: str) -> str:
        self._number += 1
        return f"evt_{what}_{self._number}"


def seconds_until(later: Later, at: datetime) -> float:
    """Return how long a pause is."""
    assert later.at is not None
    return (later.at - at) / timedelta(seconds=1)


def hosts_of(orders: Sequence[AttemptOrder]) -> list[tuple[str, ...]]:
    """Return which hosts each order asks to leave out."""
    return [each.avoid_hosts for each in orders]
