"""Serves questions over request/reply. Several processes of a module share the work."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import anyio
import msgspec
from anyio.abc import TaskGroup
from msgspec import Struct
from nats.aio.msg import Msg

from actors.runtime.answering import AWAY_S, Away
from actors.runtime.bus import ASK_ERROR, ASK_RETRY_AFTER, Bus
from actors.runtime.contract import Answerer, TryLater
from actors.runtime.wire import encode
from schemas.base import Module
from subjects import build

log = logging.getLogger("effectmesh.answers")

CONCURRENCY: Final = 16
"""Questions of one module that are worked on at once."""

WHY_CHARACTERS: Final = 1000
"""How much of an error the asker is told."""


async def serve_answers(
    *, bus: Bus, module: Module, answerers: Mapping[type[Struct], Answerer], away: Away = ()
) -> None:
    """Answer until cancelled. ``away`` are the errors of absent stores: ask again later."""
    slots = anyio.Semaphore(CONCURRENCY)
    async with anyio.create_task_group() as tasks, AsyncExitStack() as subscriptions:
        for question, answerer in answerers.items():
            handle = partial(_begin, tasks, slots, bus, question, answerer, away)
            await subscriptions.enter_async_context(
                bus.subscribed(build.ask(question), handle, queue=module)
            )
        await bus.barrier()
        await anyio.sleep_forever()


async def _begin(
    tasks: TaskGroup,
    slots: anyio.Semaphore,
    bus: Bus,
    question: type[Struct],
    answerer: Answerer,
    away: Away,
    message: Msg,
) -> None:
    if not message.reply:
        return
    await slots.acquire()
    tasks.start_soon(_answer, slots, bus, question, answerer, away, message)


async def _answer(
    slots: anyio.Semaphore,
    bus: Bus,
    question: type[Struct],
    answerer: Answerer,
    away: Away,
    message: Msg,
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
        why = f"{type(bug).__name__}: {_one_line(bug)}"
        await bus.send(message.reply, b"", headers={ASK_ERROR: why})
    finally:
        slots.release()


def _one_line(error: Exception) -> str:
    """Return what a header can hold; a line break would end it."""
    return " ".join(str(error).split())[:WHY_CHARACTERS] or type(error).__name__
