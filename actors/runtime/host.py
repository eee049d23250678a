"""Runs actors in one process: a worker for each of their consumers, their answers, and a drain.

What breaks is started again, later each time; what keeps breaking ends the process, loudly.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import anyio
import msgspec
from msgspec import Struct

from actors.runtime import reports
from actors.runtime.answering import Away, Decode, Receive
from actors.runtime.answers import serve_answers
from actors.runtime.contract import Answerer, SystemClock
from actors.runtime.errors import DriftError
from actors.runtime.logs import ActionLog
from actors.runtime.micro import About, Endpoint, Meter, Service, asked, pulling
from actors.runtime.ordering import in_turn
from actors.runtime.tracing import UNTRACED, Tracer
from actors.runtime.transport import Transport
from actors.runtime.worker import SlotPuller, Worker
from schemas.base import Message, Module
from schemas.commands import Wake
from subjects.topology import HEARS, OBEYS, SLOW, WAKES, Consumer, Topology

log = logging.getLogger("effectmesh.host")

CONCURRENCY: Final = 64
"""Messages of one actor under way at once, unless ``SLOW`` says fewer."""
RESTART_WAIT_S: Final = 0.5
"""The first wait; each further one is twice as long, and each is cut short by chance."""
RESTART_CAP_S: Final = 15.0
QUIET_S: Final = 60.0
"""After so long without a failure the count of restarts starts anew."""
STARTING: Final = "modules"
"""What stands among the failing parts until the modules run, for a process that says so."""
RESTARTS: Final = 8
"""Failures in a row after which the process gives up, loudly."""


class Hosted(Struct, frozen=True, kw_only=True):
    """One module's actor, ready to run."""

    module: Module
    receive: Receive | None = None
    answerers: Mapping[type[Struct], Answerer] = {}
    bus: Transport | None = None
    """Its own connection, when it has one; else it shares that of the process."""


class GaveUpError(Exception):
    """A part of the process kept failing; the process must end so that somebody notices."""

    def __init__(self, what: str, failures: int) -> None:
        super().__init__(f"{what} failed {failures} times in a row")


def consumers_of(module: Module, declared: Topology) -> Sequence[Consumer]:
    """Return the durable consumers that are named after a module."""
    return [each for each in declared.consumers if each.name == module]


def decoder_of(module: Module) -> Decode:
    """Return a decoder for everything a module hears, obeys and wakes up by."""
    kinds: list[type[Message]] = [*HEARS.get(module, ()), *OBEYS.get(module, ())]
    if module in WAKES:
        kinds.append(Wake)
    union: Any = kinds[0]
    for kind in kinds[1:]:
        union = union | kind
    return msgspec.json.Decoder(union)


async def run_hosted(
    *,
    bus: Transport,
    hosted: Sequence[Hosted],
    declared: Topology,
    dice: random.Random,
    stopping: anyio.Event,
    away: Away = (),
    about: About | None = None,
    failing: MutableMapping[str, str] | None = None,
    tracer: Tracer = UNTRACED,
) -> None:
    """Run every module until ``stopping``, then drain. ``away`` are the errors of absent stores.

    With ``about`` every module also answers ``$SRV``. In ``failing`` stands what broke and waits
    to be started again, and which questions are not answered yet; ``STARTING`` is taken out.

    Raises:
        DriftError: a consumer is missing or differs.
        GaveUpError: something kept failing.
    """
    parts = [_Part(each, each.bus or bus, {} if failing is None else failing) for each in hosted]
    if failing is not None:
        failing.pop(STARTING, None)
    workers = [
        part.worker(consumer, part.receive, dice=dice, away=away, tracer=tracer)
        for part in parts
        if part.receive is not None
        for consumer in consumers_of(part.module, declared)
    ]
    keep = partial(supervised, dice=dice, failing=failing)
    with _unwrapped():
        async with anyio.create_task_group() as answering:
            for part in parts:
                answering.start_soon(keep, f"log of {part.module}", part.log.run)
                reporting = partial(keep, journal=part.log)
                for what, run in part.beside(away=away, about=about, tracer=tracer):
                    answering.start_soon(reporting, f"{what} of {part.module}", run)
            await run_workers(workers, stopping, dice=dice, failing=failing)
            answering.cancel_scope.cancel()


class _Part:
    """One module in this process: what it needs to run, and what it did."""

    def __init__(self, hosted: Hosted, bus: Transport, failing: MutableMapping[str, str]) -> None:
        self.module = hosted.module
        self._failing = failing
        self._unanswered = f"questions to {hosted.module}"
        if hosted.answerers:
            failing[self._unanswered] = "not answered yet"
        self.receive = hosted.receive and in_turn(hosted.module, hosted.receive)
        self.log = ActionLog(module=hosted.module, clock=SystemClock(), bus=bus)
        self._bus = bus
        self._endpoints: list[Endpoint] = []
        self._answerers: dict[type[Struct], Answerer] = {}
        for question, answerer in hosted.answerers.items():
            meter = Meter()
            self._endpoints.append(asked(question, hosted.module, meter))
            self._answerers[question] = meter.answering(answerer)

    def worker(
        self,
        consumer: Consumer,
        receive: Receive,
        *,
        dice: random.Random,
        away: Away,
        tracer: Tracer,
    ) -> Worker:
        """Return the worker of one consumer."""
        meter = Meter()
        self._endpoints.append(pulling(consumer, meter))
        return Worker(
            bus=self._bus,
            module=self.module,
            consumer=consumer,
            decoder=meter.decoding(decoder_of(self.module)),
            receive=meter.receiving(receive),
            concurrency=SLOW.get(self.module, CONCURRENCY),
            dice=dice,
            away=away,
            tracer=tracer,
            log=self.log,
        )

    def _answered(self) -> None:
        self._failing.pop(self._unanswered, None)

    def beside(
        self, *, away: Away, about: About | None, tracer: Tracer
    ) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """Yield what runs beside the workers and may report to the log, by name."""
        if self._answerers:
            serve = partial(
                serve_answers,
                bus=self._bus,
                module=self.module,
                answerers=self._answerers,
                away=away,
                tracer=tracer,
                standing=self._answered,
            )
            yield "answers", serve
        if about is not None:
            service = Service(
                bus=self._bus, module=self.module, about=about, endpoints=self._endpoints
            )
            yield "service", service.run


async def run_workers(
    workers: Sequence[Worker | SlotPuller],
    stopping: anyio.Event,
    *,
    dice: random.Random | None = None,
    failing: MutableMapping[str, str] | None = None,
) -> None:
    """Run workers until ``stopping``, then let each finish what it has.

    Raises:
        DriftError: a consumer is missing.
        GaveUpError: a worker kept failing.
    """
    with _unwrapped():
        async with anyio.create_task_group() as working:
            for worker in workers:
                keep = partial(supervised, dice=dice, failing=failing, journal=worker.log)
                working.start_soon(keep, worker.name, worker.run)
            await stopping.wait()
            for worker in workers:
                worker.stop()


async def supervised(
    what: str,
    run: Callable[[], Awaitable[None]],
    *,
    dice: random.Random | None = None,
    failing: MutableMapping[str, str] | None = None,
    journal: ActionLog | None = None,
) -> None:
    """Run something again when it fails, later each time; return when it returns.

    ``dice`` spreads the restarts, so that what broke everywhere at once does not come back at once.
    While it waits, ``failing`` says why. ``journal`` is told of every failure.

    Raises:
        DriftError: trying again cannot help.
        GaveUpError: it failed ``RESTARTS`` times with less than ``QUIET_S`` in between.
    """
    dice = dice or random.Random()  # noqa: S311  it only spreads restarts
    failing = {} if failing is None else failing
    failures = 0
    while True:
        started = anyio.current_time()
        try:
            await run()
        except Exception as failure:
            cause = cause_of(failure)
            if isinstance(cause, DriftError):
                raise cause from None
            quiet = anyio.current_time() - started > QUIET_S
            failures = 1 if quiet else failures + 1
            _report(what, failures, failure, journal)
            if failures >= RESTARTS:
                raise GaveUpError(what, failures) from failure
            failing[what] = f"{type(cause).__name__}: {cause}"
            wait = min(RESTART_CAP_S, RESTART_WAIT_S * 2.0 ** (failures - 1))
            await anyio.sleep(dice.uniform(wait / 2, wait))
            del failing[what]
        else:
            return


def _report(what: str, failures: int, failure: Exception, journal: ActionLog | None) -> None:
    if journal is None:
        log.error("%s failed", what, exc_info=failure)
    elif failures < RESTARTS:
        reports.restarted(journal, what=what, failures=failures, failure=failure)
    else:
        reports.gave_up(journal, what=what, failures=failures, failure=failure)


def cause_of(error: BaseException) -> BaseException:
    """Return what a group of errors comes down to: what ends a process first, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    causes = [cause_of(each) for each in error.exceptions]
    ends = [each for each in causes if isinstance(each, DriftError | GaveUpError)]
    return (ends or causes)[0]


@contextmanager
def _unwrapped() -> Iterator[None]:
    """Raise what a task group raised as what it is, not as a group of one."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise cause_of(group) from None
