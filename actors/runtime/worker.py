"""One durable consumer, pulled without pause.

Messages are asked for only as there are free slots, so none waits here while its acknowledgement
time runs out, and a slow one holds up nobody.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream
from nats.aio.msg import Msg

from actors.runtime.answering import Answering, Decode, Receive, nak
from actors.runtime.bus import Bus
from actors.runtime.errors import ApiError, DriftError
from schemas.base import Module
from subjects.topology import Consumer

PULL_EXPIRES_S: Final = 30
PULL_HEARTBEAT_S: Final = 5
PULL_DEAF_S: Final = 3 * PULL_HEARTBEAT_S
"""Silence after which a pull request is taken for lost and made again."""
DRAIN_S: Final = 25.0
"""How long what is under way may take after a stop was asked for."""
ONE_NOW: Final = b'{"batch":1,"no_wait":true}'
ANSWERS_KEPT: Final = 16
POLL_S: Final = 0.15
"""How often a free slot looks for work when there was none."""


class Worker:
    """Pulls one consumer for one actor."""

    def __init__(
        self,
        *,
        bus: Bus,
        module: Module,
        consumer: Consumer,
        decoder: Decode,
        receive: Receive,
        concurrency: int,
        dice: random.Random,
    ) -> None:
        self._bus = bus
        self._consumer = consumer
        self._concurrency = concurrency
        self._answering = Answering(
            bus=bus, module=module, decoder=decoder, receive=receive, dice=dice
        )
        self._asked = 0
        self._heard_at = 0.0
        self._stopping = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
        self._inbox = ""

    @property
    def name(self) -> str:
        """Which consumer this is, for logs."""
        return f"{self._consumer.stream}/{self._consumer.name}"

    async def run(self) -> None:
        """Work until ``stop``, then let what is under way finish, at most ``DRAIN_S``.

        Raises:
            DriftError: the consumer does not exist.
        """
        await self._check()
        self._inbox = self._bus.new_inbox()
        async with anyio.create_task_group() as watching:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                async with self._bus.subscribed(self._inbox, self._on_message):
                    with self._bus.reconnecting(self._pull_again):
                        watching.start_soon(self._keep_alive)
                        await self._pull_again()
                        await self._stopping.wait()
                tasks.cancel_scope.deadline = anyio.current_time() + DRAIN_S
            watching.cancel_scope.cancel()

    def stop(self) -> None:
        """Take no more messages; ``run`` returns when the last one is answered."""
        self._stopping.set()

    async def _check(self) -> None:
        try:
            await self._bus.api(f"CONSUMER.INFO.{self._consumer.stream}.{self._consumer.name}")
        except ApiError as missing:
            raise DriftError([f"consumer {self.name}: {missing.description}"]) from missing

    async def _pull_again(self) -> None:
        """Forget what was asked for; after a reconnect the server has forgotten it too."""
        self._asked = 0
        await self._top_up()

    async def _top_up(self) -> None:
        free = self._concurrency - self._answering.under_way - self._asked
        if self._stopping.is_set() or free <= 0:
            return
        # A request for half of the slots at least: one message each would double the traffic.
        if self._asked and free < max(1, self._concurrency // 2):
            return
        self._asked += free
        self._heard_at = time.monotonic()
        request = b'{"batch":%d,"expires":%d,"idle_heartbeat":%d}' % (
            free,
            PULL_EXPIRES_S * 1_000_000_000,
            PULL_HEARTBEAT_S * 1_000_000_000,
        )
        await self._bus.send(self._next, request, reply=self._inbox)

    async def _on_message(self, message: Msg) -> None:
        self._heard_at = time.monotonic()
        headers = message.headers or {}
        if "Status" in headers and not message.data:
            if headers["Status"] != "100":
                self._asked -= int(headers.get("Nats-Pending-Messages", self._asked))
                self._asked = max(0, self._asked)
                await self._top_up()
            return
        self._asked = max(0, self._asked - 1)
        if self._stopping.is_set() or self._tasks is None:
            await self._bus.send(message.reply, nak(0))
            return
        self._answering.begin(message)
        self._tasks.start_soon(self._answer, message)

    async def _answer(self, message: Msg) -> None:
        await self._answering.answer(message, self._consumer)
        await self._top_up()

    async def _keep_alive(self) -> None:
        """Beat for long handlers, and ask again when a pull request went silent."""
        every = max(1.0, self._consumer.ack_wait_s / 3)
        while True:
            await anyio.sleep(min(every, PULL_HEARTBEAT_S))
            await self._answering.beat(every)
            if self._asked and time.monotonic() - self._heard_at > PULL_DEAF_S:
                await self._pull_again()


class SlotPuller:
    """Takes one message per free slot from whichever of several consumers has one, in turn.

    For work that occupies a machine: nothing is fetched before it can begin, so what one host
    cannot start yet is free for another.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        module: Module,
        consumers: Callable[[], Sequence[Consumer]],
        decoder: Decode,
        receive: Receive,
        slots: int,
        beat_s: float,
        dice: random.Random,
    ) -> None:
        self._bus = bus
        self._consumers = consumers
        self._answering = Answering(
            bus=bus, module=module, decoder=decoder, receive=receive, dice=dice
        )
        self._slots = slots
        self._beat_s = beat_s
        self._turn = 0
        self._stopping = anyio.Event()

    @property
    def name(self) -> str:
        """What this is, for logs."""
        return "gpu work"

    def stop(self) -> None:
        """Take no more work; ``run`` returns when the last render is over."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until ``stop``, then let what is under way finish, at most ``DRAIN_S``."""
        async with anyio.create_task_group() as beating:
            beating.start_soon(self._beat)
            async with anyio.create_task_group() as tasks:
                for _ in range(self._slots):
                    tasks.start_soon(self._slot)
                await self._stopping.wait()
                tasks.cancel_scope.deadline = anyio.current_time() + DRAIN_S
            beating.cancel_scope.cancel()

    async def _slot(self) -> None:
        """Pull, render, pull again. Every slot has an inbox, so an answer cannot go astray."""
        inbox = self._bus.new_inbox()
        send, answers = anyio.create_memory_object_stream[Msg](ANSWERS_KEPT)
        with send, answers:
            async with self._bus.subscribed(inbox, send.send):
                while not self._stopping.is_set():
                    if not await self._one(inbox, answers):
                        with anyio.move_on_after(POLL_S):
                            await self._stopping.wait()

    async def _one(self, inbox: str, answers: MemoryObjectReceiveStream[Msg]) -> bool:
        consumers = self._consumers()
        for _ in consumers:
            self._turn += 1
            consumer = consumers[self._turn % len(consumers)]
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
            await self._bus.send(subject, ONE_NOW, reply=inbox)
            message = None
            with anyio.move_on_after(PULL_HEARTBEAT_S):
                message = await answers.receive()
            if message is not None and "Status" not in (message.headers or {}):
                self._answering.begin(message)
                await self._answering.answer(message, consumer)
                return True
        return False

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(self._beat_s)
            await self._answering.beat(self._beat_s / 2)
