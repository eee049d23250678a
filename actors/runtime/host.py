"""Runs actors in one process: a worker for each of their consumers, their answers, and a drain.

What breaks is started again, later each time; what keeps breaking ends the process, loudly.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import anyio
import msgspec
from msgspec import Struct

from actors.runtime.answering import Away, Decode, Receive
from actors.runtime.answers import serve_answers
from actors.runtime.bus import Bus
from actors.runtime.contract import Answerer
from actors.runtime.errors import DriftError
from actors.runtime.ordering import in_turn
from actors.runtime.worker import SlotPuller, Worker
from schemas.base import Message, Module
from schemas.commands import Wake
from subjects.topology import HEARS, OBEYS, SLOW, WAKES, Consumer, Topology

log = logging.getLogger("effectmesh.host")

CONCURRENCY: Final = 64
"""Messages of one actor under way at once, unless ``SLOW`` says fewer."""
RESTART_WAIT_S: Final = 0.5
RESTART_CAP_S: Final = 15.0
QUIET_S: Final = 60.0
"""After so long without a failure the count of restarts starts anew."""
RESTARTS: Final = 8
"""Failures in a row after which the process gives up, loudly."""


class Hosted(Struct, frozen=True, kw_only=True):
    """One module's actor, ready to run."""

    module: Module
    receive: Receive | None = None
    answerers: Mapping[type[Struct], Answerer] = {}


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
    bus: Bus,
    hosted: Sequence[Hosted],
    declared: Topology,
    dice: random.Random,
    stopping: anyio.Event,
    away: Away = (),
) -> None:
    """Run every module until ``stopping``, then drain. ``away`` are the errors of absent stores.

    Raises:
        DriftError: a consumer is missing or differs.
        GaveUpError: something kept failing.
    """
    hearing = [
        (each.module, in_turn(each.module, each.receive))
        for each in hosted
        if each.receive is not None
    ]
    workers = [
        Worker(
            bus=bus,
            module=module,
            consumer=consumer,
            decoder=decoder_of(module),
            receive=receive,
            concurrency=SLOW.get(module, CONCURRENCY),
            dice=dice,
            away=away,
        )
        for module, receive in hearing
        for consumer in consumers_of(module, declared)
    ]
    async with anyio.create_task_group() as answering:
        for each in hosted:
            if each.answerers:
                serve = partial(
                    serve_answers,
                    bus=bus,
                    module=each.module,
                    answerers=each.answerers,
                    away=away,
                )
                answering.start_soon(supervised, f"answers of {each.module}", serve)
        await run_workers(workers, stopping)
        answering.cancel_scope.cancel()


async def run_workers(workers: Sequence[Worker | SlotPuller], stopping: anyio.Event) -> None:
    """Run workers until ``stopping``, then let each finish what it has.

    Raises:
        DriftError: a consumer is missing.
        GaveUpError: a worker kept failing.
    """
    async with anyio.create_task_group() as working:
        for worker in workers:
            working.start_soon(supervised, worker.name, worker.run)
        await stopping.wait()
        for worker in workers:
            worker.stop()


async def supervised(what: str, run: Callable[[], Awaitable[None]]) -> None:
    """Run something again when it fails, later each time; return when it returns.

    Raises:
        DriftError: trying again cannot help.
        GaveUpError: it failed ``RESTARTS`` times with less than ``QUIET_S`` in between.
    """
    failures = 0
    while True:
        started = anyio.current_time()
        try:
            await run()
        except DriftError:
            raise
        except Exception as failure:
            quiet = anyio.current_time() - started > QUIET_S
            failures = 1 if quiet else failures + 1
            log.exception("%s failed", what)
            if failures >= RESTARTS:
                raise GaveUpError(what, failures) from failure
            await anyio.sleep(min(RESTART_CAP_S, RESTART_WAIT_S * 2.0 ** (failures - 1)))
        else:
            return
