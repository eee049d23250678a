"""Serves questions over request/reply. Several processes of a module share the work."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import anyio
import msgspec
from anyio.abc import TaskGroup
from msgspec import Struct

from actors.runtime.answering import AWAY_S, Away
from actors.runtime.bus import ASK_ERROR, ASK_RETRY_AFTER
from actors.runtime.contract import Answerer, TryLater
from actors.runtime.tracing import UNTRACED, Tracer, current
from actors.runtime.transport import Received, Transport
from actors.runtime.wire import encode
from schemas.base import Module
from subjects import build

log = logging.getLogger("effectmesh.answers")

CONCURRENCY: Final = 16
"""Questions of one module that are worked on at once."""

WHY_CHARACTERS: Final = 1000
"""How much of an error the asker is told."""


async def serve_answers(
    *,
    bus: Transport,
    module: Module,
    answerers: Mapping[type[Struct], Answerer],
    away: Away = (),
    tracer: Tracer = UNTRACED,
    standing: Callable[[], None] = lambda: None,
) -> None:
    """Answer until cancelled. ``away`` are the errors of absent stores: ask again later.

    ``standing`` is called when the server knows that we answer.
    """
    slots = anyio.Semaphore(CONCURRENCY)
    async with anyio.create_task_group() as tasks, AsyncExitStack() as subscriptions:
        for question, answerer in answerers.items():
            answer = partial(_traced, tracer, module, bus, question, answerer, away)
            handle = partial(_begin, tasks, slots, answer)
            await subscriptions.enter_async_context(
                bus.subscribed(build.ask(question), handle, queue=module)
            )
        await bus.barrier()
        standing()
        await anyio.sleep_forever()


async def _begin(
    tasks: TaskGroup,
    slots: anyio.Semaphore,
    answer: Callable[[Received], Awaitable[None]],
    message: Received,
) -> None:
    if not message.reply:
        return
    await slots.acquire()
    tasks.start_soon(_in_slot, slots, answer, message)


async def _in_slot(
    slots: anyio.Semaphore, answer: Callable[[Received], Awaitable[None]], message: Received
) -> None:
    try:
        await answer(message)
    finally:
        slots.release()


async def _traced(
    tracer: Tracer,
    module: Module,
    bus: Transport,
    question: type[Struct],
    answerer: Answerer,
    away: Away,
    message: Received,
) -> None:
    with tracer.replying(message, module=module):
        await _answer(bus, question, answerer, away, message)


async def _answer(
    bus: Transport, question: type[Struct], answerer: Answerer, away: Away, message: Received
) -> None:
    try:
        asked = msgspec.json.decode(message.data, type=question)
        answer = await answerer.answer(asked)
        await bus.send(message.reply, encode(answer))
    except TryLater as later:
        headers = {ASK_ERROR: _one_line(later), ASK_RETRY_AFTER: str(later.retry_after)}
        await bus.send(message.reply, b"", headers=headers)
    except away as absent:
        headers = {ASK_ERROR: _one_line(absent), ASK_RETRY_AFTER: str(AWAY_S)}
        await bus.send(message.reply, b"", headers=headers)
    except Exception as bug:
        # The asker must not wait for a time-out because of a bug here.
        log.exception("%s cannot be answered", question.__name__)
        current().failed(f"{type(bug).__name__}: {bug}")
        why = f"{type(bug).__name__}: {_one_line(bug)}"
        await bus.send(message.reply, b"", headers={ASK_ERROR: why})


def _one_line(error: Exception) -> str:
    """Return what a header can hold; a line break would end it."""
    return " ".join(str(error).split())[:WHY_CHARACTERS] or type(error).__name__
