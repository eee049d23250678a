"""One step under way. Collects what the job becomes and what is said, and knows no rule."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from msgspec import structs

from actors.orchestrator.lifecycle import BOUNDS, NEXT, charge_wait
from actors.runtime.contract import Later, Said, Step
from actors.runtime.follow import Header, follow
from schemas.base import Message, Module, TaskId, UserId
from schemas.commands import Cancellation, CancelTasks, ReleaseOrder, ReleaseTokens, Wake
from schemas.events import JobEnded
from schemas.jobs import ENDINGS, Job, JobEnding, JobState
from schemas.progress import JobProgressed

BATCH: Final = "batch"
"""The timer of a test batch, and the purpose of its wake."""
DEADLINE: Final = "deadline"
"""The timer of a state. The purpose of its wake also names the state."""
SAGA: Final = UserId(Module.ORCHESTRATOR)
"""Who cancels tasks when no person does."""


class Turn:
    """The job as it becomes, and what is said on the way."""

    def __init__(self, job: Job, heard: Message, *, at: datetime) -> None:
        self.job = job
        self.heard = heard
        self.at = at
        self._said: list[Said] = []

    def step(self) -> Step[Job]:
        """Return the finished step."""
        return Step(self.job, tuple(self._said))

    def header(self, kind: type[Message], part: str = "") -> Header:
        """Return the envelope of something this step says."""
        return follow(self.heard, kind, at=self.at, part=part)

    def say(self, message: Said) -> None:
        """Add a message."""
        self._said.append(message)

    def change(self, **fields: object) -> None:
        """Replace fields of the job."""
        self.job = structs.replace(self.job, updated_at=self.at, **fields)

    def enter(self, kind: type[Message], detail: str = "") -> None:
        """Follow the table to the next state, tell the watcher, set the new state's deadline."""
        self.change(state=NEXT[self.job.state, kind])
        self.progress(detail)
        self.set_deadline()

    def end(self, kind: type[Message], *, code: str, reason: str, by: UserId = SAGA) -> None:
        """Follow the table to an ending: stop the work, give the money back, say so once."""
        rendering = self.job.state in (JobState.TESTING, JobState.EVALUATING)
        self.change(state=NEXT[self.job.state, kind], code=code, reason=reason)
        job = self.job
        # later there is a winner, and what was still open was stopped when it was chosen
        if rendering:
            self.cancel_open_tasks(reason=reason, by=by)
        if job.state is not JobState.COMPLETE:
            self.release()
        self.drop_timer(DEADLINE)
        if job.candidates:
            self.drop_timer(BATCH)
        ending = JobEnding(state=job.state, user_id=job.order.user_id, reason=reason, code=code)
        self.say(JobEnded(**self.header(JobEnded), payload=ending))
        self.progress(reason)

    def release(self) -> None:
        """Give back what is held; nothing is held before the hold was answered."""
        job = self.job
        if not job.hold_id:
            return
        order = ReleaseOrder(
            hold_id=job.hold_id, user_id=job.order.user_id, reason=job.reason or job.code
        )
        self.say(ReleaseTokens(**self.header(ReleaseTokens), payload=order))

    def cancel_open_tasks(self, *, reason: str, by: UserId = SAGA) -> None:
        """Stop renders nobody waits for any more."""
        if all(one.result or one.failure for one in self.job.candidates.values()):
            return
        order = Cancellation(by=by, reason=reason)
        self.say(CancelTasks(**self.header(CancelTasks), payload=order))

    def progress(
        self,
        detail: str,
        *,
        part: str = "",
        percent: float | None = None,
        task_id: TaskId | None = None,
        provider_id: str = "",
    ) -> None:
        """Say a line to whoever watches the job."""
        state = self.job.state
        self.say(
            JobProgressed(
                **self.header(JobProgressed, f"{state}{part}"),
                stage=state,
                detail=detail,
                percent=percent,
                task_id=task_id or TaskId(""),
                provider_id=provider_id,
                final=state in ENDINGS,
            )
        )

    def set_deadline(self, *, step: int = 0) -> None:
        """Wake the job when it has been in its state for too long; replaces the older deadline."""
        bound = BOUNDS.get(self.job.state)
        if self.job.published is not None:
            bound = charge_wait(step)
        if bound is None:
            self.drop_timer(DEADLINE)
            return
        self.set_timer(DEADLINE, purpose=deadline_of(self.job.state), after=bound, step=step)

    def set_timer(self, name: str, *, purpose: str, after: timedelta, step: int = 0) -> None:
        """Wake the job after a while; replaces the timer of the same name."""
        wake = Wake(**self.header(Wake, f"{purpose}:{step}"), purpose=purpose, step=step)
        self._forget(name)
        self.say(
            Later(
                key=self.job.order.job_id,
                name=name,
                module=Module.ORCHESTRATOR,
                at=self.at + after,
                message=wake,
            )
        )

    def drop_timer(self, name: str) -> None:
        """Take a timer away."""
        wake = Wake(**self.header(Wake, f"{name}:off"), purpose=name)
        self._forget(name)
        self.say(
            Later(
                key=self.job.order.job_id,
                name=name,
                module=Module.ORCHESTRATOR,
                at=None,
                message=wake,
            )
        )

    def _forget(self, name: str) -> None:
        """Only the last word on a timer in one step is worth saying."""
        self._said = [
            one for one in self._said if not (isinstance(one, Later) and one.name == name)
        ]


def deadline_of(state: JobState) -> str:
    """Return the purpose of the wake that ends a state."""
    return f"{DEADLINE}_{state}"
