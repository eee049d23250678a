"""Subscribe, say ready, answer: does a request from another connection find the subscription."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final

import nats
from nats.aio.client import Client
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from actors.runtime.bus import Bus, connected
from benchmarks.results import Outcome, Seen, row
from benchmarks.running import ROUNDS, broker, spread

TIMES: Final = 400
WITHIN_S: Final = 1.0

Answering = Callable[[str], AbstractAsyncContextManager[None]]
"""Subscribes and answers until the block is left."""


async def run() -> Outcome:
    """Count the answers of both in turn, several times."""
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        with broker() as server:
            other = await nats.connect(server.url)
            async with connected(server.url, name="bench") as bus:
                ours.append(await answered(other, partial(_ours, bus)))
            client = await nats.connect(server.url)
            theirs.append(await answered(other, partial(_theirs, client)))
            await client.close()
            await other.close()
    seen = [
        Seen(what="subscribe + barrier", wall=spread(ours, f"of {TIMES}")),
        Seen(what="nats-py subscribe + flush", wall=spread(theirs, f"of {TIMES}")),
    ]
    return Outcome(rows=[row("subscribe.answered", ours, peer=theirs, worst=True)], seen=seen)


async def answered(other: Client, answering: Answering) -> float:
    """Return how many of ``TIMES`` requests are answered."""
    count = 0
    for number in range(TIMES):
        subject = f"bench.ask.{number}"
        async with answering(subject):
            try:
                await other.request(subject, b"?", timeout=WITHIN_S)
            except (NoRespondersError, NatsTimeoutError):
                continue
            count += 1
    return float(count)


@asynccontextmanager
async def _ours(bus: Bus, subject: str) -> AsyncIterator[None]:
    async def answer(message: Any) -> None:
        await bus.send(message.reply, b"!")

    async with bus.subscribed(subject, answer):
        await bus.barrier()
        yield


@asynccontextmanager
async def _theirs(client: Client, subject: str) -> AsyncIterator[None]:
    async def answer(message: Any) -> None:
        await message.respond(b"!")

    subscription = await client.subscribe(subject, cb=answer)
    await client.flush()
    yield
    await subscription.unsubscribe()
