"""Module 6: the attempts of a job's tasks, the hosts that stand aside, the limits of providers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from actors.execution import core, hosts, limits
from actors.execution.hosts import Hosts
from actors.execution.limits import Limit
from actors.execution.ports import Pricer
from actors.execution.state import Tasks
from actors.runtime.contract import Clock, Step
from actors.runtime.wire import Sayable
from schemas.base import Message
from schemas.commands import CancelTasks, SetConcurrency, Wake
from schemas.events import AttemptFinished, TestBatchDispatched

Heard = TestBatchDispatched | AttemptFinished | CancelTasks | Wake

HOSTS: Final = "hosts"
"""The one record of the hosts in trouble."""


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


class Quarantines:
    """Module 6, of all jobs together: which hosts stand aside for a while.

    Hears:    AttemptFinished
    Says:     HostQuarantined, quarantine.<host> in CONTROL
    Owns:     the record ``hosts``, of hosts in trouble only
    Repeats:  harmless; a task counts once against a host
    """

    state_type = Hosts

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock

    def key(self, heard: AttemptFinished) -> str:
        """Return the name of the one record: a host is judged beside the others."""
        del heard
        return HOSTS

    async def step(self, state: Hosts | None, heard: AttemptFinished) -> Step[Hosts] | None:
        """Decide whether a host has to stand aside."""
        return hosts.hear(state, heard, at=self._clock.now())


class Limits:
    """Module 6, of each provider: how many renders may be under way at once.

    Hears:    SetConcurrency
    Says:     concurrency.<provider> in CONTROL, which ``limits.LimitKeeper`` holds the broker to
    Owns:     the record ``limit_<provider>``
    Repeats:  harmless; an order that is older than the last one changes nothing
    """

    state_type = Limit

    def key(self, heard: SetConcurrency) -> str:
        """Return the name of the provider's record."""
        return f"limit_{heard.payload.provider_id}"

    async def step(self, state: Limit | None, heard: SetConcurrency) -> Step[Limit] | None:
        """Take the newest order."""
        return limits.ordered(state, heard)


Receive = Callable[[Message], Awaitable[Sequence[Sayable]]]


class ExecutionModule:
    """All of module 6 behind one ``receive``: each message goes to the records it concerns.

    A report concerns two. When the second cannot be written the message comes again, and the first
    knows that it was there.
    """

    def __init__(self, *, tasks: Receive, quarantines: Receive, limits: Receive) -> None:
        self._tasks = tasks
        self._quarantines = quarantines
        self._limits = limits

    async def receive(self, heard: Message) -> Sequence[Sayable]:
        """Answer one message."""
        if isinstance(heard, SetConcurrency):
            return await self._limits(heard)
        said = list(await self._tasks(heard))
        if isinstance(heard, AttemptFinished):
            said += await self._quarantines(heard)
        return said
