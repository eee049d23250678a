"""One durable consumer, pulled without pause.

Messages are asked for only as there are free slots, or soon will be, so none waits here while its
acknowledgement time runs out, and a slow one holds up nobody.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from actors.runtime.answering import Answering, Away, Decode, Receive, nak
from actors.runtime.errors import ApiError, BusError, DriftError
from actors.runtime.logs import ActionLog
from actors.runtime.pulling import InTurn, Plan, Pull
from actors.runtime.slots import Slots
from actors.runtime.tracing import UNTRACED, Tracer
from actors.runtime.transport import Received, Transport
from schemas.base import Module
from subjects.topology import Consumer

PULL_EXPIRES_S: Final = 30
PULL_BEAT_S: Final = 1
"""How often the server says that it still knows of a pull request."""
PULL_DEAF_S: Final = 3 * PULL_BEAT_S
"""Silence after which a pull request is taken for lost and made again. A consumer's leader that
steps down in a cluster may forget one and say nothing."""
PULL_HEARTBEAT_S: Final = 5
"""How long a free slot waits for the answer to a pull."""
BRISK_S: Final = 0.02
"""When a share of the slots is done in that time, some messages may wait here for the next free
one: they would hardly wait longer, and without them the slots would wait for the server."""
LOOK_WAIT_S: Final = 0.25
"""How long a consumer that does not answer is left alone before it is looked for."""
HEARTBEAT: Final = "100"
NO_RESPONDERS: Final = "503"
MISSING: Final = frozenset({10014, 10059})
"""What the API answers when there is no such consumer, and when there is no such stream."""
CONSUMER_DELETED: Final = "Consumer Deleted"
DRAIN_S: Final = 25.0
"""How long what is under way may take after a stop was asked for."""
ANSWERS_KEPT: Final = 16
POLL_S: Final = 0.15
"""How often a free slot looks for work when there was none."""


class Worker:
    """Pulls one consumer for one actor."""

    def __init__(
        self,
        *,
        bus: Transport,
        module: Module,
        consumer: Consumer,
        decoder: Decode,
        receive: Receive,
        concurrency: int,
        dice: random.Random,
        away: Away = (),
        tracer: Tracer = UNTRACED,
        log: ActionLog | None = None,
    ) -> None:
        self._bus = bus
        self._consumer = consumer
        self._concurrency = concurrency
        self._answering = Answering(
            bus=bus,
            module=module,
            decoder=decoder,
            receive=receive,
            dice=dice,
            away=away,
            tracer=tracer,
            log=log,
        )
        self._share = max(1, concurrency // 4)
        self._asked = 0
        self._asked_at = 0.0
        self._answered = 0
        """How many were answered when it was asked last."""
        self._heard_at = 0.0
        self._stopping = anyio.Event()
        self._woken = anyio.Event()
        """Set to stop, or to look whether the consumer is still there."""
        self._slots: Slots[Received] | None = None
        self._next = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
        self._inbox = ""

    @property
    def name(self) -> str:
        """Which consumer this is, for logs."""
        return f"{self._consumer.stream}/{self._consumer.name}"

    @property
    def log(self) -> ActionLog:
        """Where it says what goes wrong."""
        return self._answering.log

    async def run(self) -> None:
        """Work until ``stop``, then let what is under way finish, at most ``DRAIN_S``.

        Raises:
            DriftError: the consumer does not exist, or was taken away.
        """
        await self._check()
        self._inbox = self._bus.new_inbox()
        self._answering.forget()
        async with anyio.create_task_group() as watching:
            async with anyio.create_task_group() as tasks:
                self._slots = slots = Slots(tasks, self._answer, limit=self._concurrency)
                async with self._bus.subscribed(self._inbox, self._on_message):
                    with self._bus.reconnecting(self._pull_again):
                        watching.start_soon(self._keep_alive)
                        drift = await self._work()
                slots.close()
                tasks.cancel_scope.deadline = anyio.current_time() + DRAIN_S
            watching.cancel_scope.cancel()
        if drift is not None:
            raise drift

    def stop(self) -> None:
        """Take no more messages; ``run`` returns when the last one is answered."""
        self._stopping.set()
        self._woken.set()

    async def _work(self) -> DriftError | None:
        """Return when a stop was asked for, or with the reason why there is nothing to pull."""
        await self._pull_again()
        while not self._stopping.is_set():
            await self._woken.wait()
            if self._stopping.is_set():
                break
            with anyio.move_on_after(LOOK_WAIT_S):
                await self._stopping.wait()
            self._woken = anyio.Event()
            try:
                await self._check()
            except DriftError as drift:
                return drift
            except BusError:
                self._woken.set()
            else:
                await self._pull_again()
        return None

    async def _check(self) -> None:
        try:
            await self._bus.api(f"CONSUMER.INFO.{self._consumer.stream}.{self._consumer.name}")
        except ApiError as missing:
            if missing.code not in MISSING:
                raise  # a cluster that elects a leader says so; that is no reason to end
            raise DriftError([f"consumer {self.name}: {missing.description}"]) from missing

    async def _pull_again(self) -> None:
        """Forget what was asked for; after a reconnect the server has forgotten it too."""
        self._asked = 0
        await self._top_up()

    async def _top_up(self) -> None:
        now = time.monotonic()
        answered = self._answering.done - self._answered
        brisk = answered >= self._share and now - self._asked_at < BRISK_S
        room = self._concurrency + (self._concurrency // 2 if brisk else 0)
        free = room - self._answering.under_way - self._asked
        if self._stopping.is_set() or free <= 0:
            return
        # A request for some of the slots at least: one message each would double the traffic.
        if self._asked and free < self._share:
            return
        self._asked += free
        self._answered += answered
        self._asked_at = self._heard_at = now
        group = self._consumer.priority_group
        request = b'{"batch":%d,"expires":%d,"idle_heartbeat":%d%s}' % (
            free,
            PULL_EXPIRES_S * 1_000_000_000,
            PULL_BEAT_S * 1_000_000_000,
            b',"group":"%s"' % group.encode() if group else b"",
        )
        await self._bus.send(self._next, request, reply=self._inbox)

    async def _on_message(self, message: Received) -> None:
        self._heard_at = time.monotonic()
        headers = message.headers or {}
        if "Status" in headers and not message.data:
            await self._on_status(headers)
            return
        self._asked = max(0, self._asked - 1)
        if self._stopping.is_set() or self._slots is None:
            await self._bus.send(message.reply, nak(0))
            return
        self._answering.begin(message)
        self._slots.take(message)

    async def _on_status(self, headers: Mapping[str, str]) -> None:
        status, why = headers["Status"], headers.get("Description", "")
        if status == HEARTBEAT:
            return
        self._asked = max(0, self._asked - int(headers.get("Nats-Pending-Messages", self._asked)))
        if status == NO_RESPONDERS or why == CONSUMER_DELETED:
            # Pulling again at once would be answered the same at once, for ever.
            self._woken.set()
            return
        await self._top_up()

    async def _answer(self, message: Received) -> None:
        await self._answering.answer(message, self._consumer)
        if self._asked < self._concurrency:
            await self._top_up()

    async def _keep_alive(self) -> None:
        """Beat for long handlers, and ask again when a pull request went silent."""
        every = self._consumer.ack_wait_s / 3
        while True:
            await anyio.sleep(min(every, PULL_BEAT_S))
            await self._answering.beat(every)
            if self._asked and time.monotonic() - self._heard_at > PULL_DEAF_S:
                await self._pull_again()


class SlotPuller:
    """Takes one message per free slot from whichever of several consumers its plan names.

    For work that occupies a machine: nothing is fetched before it can begin, so what one host
    cannot start yet is free for another. Without a plan the consumers are served in turn.
    """

    def __init__(
        self,
        *,
        bus: Transport,
        module: Module,
        consumers: Callable[[], Sequence[Consumer]],
        decoder: Decode,
        receive: Receive,
        slots: int,
        beat_s: float,
        dice: random.Random,
        plan: Plan | None = None,
        tracer: Tracer = UNTRACED,
        log: ActionLog | None = None,
    ) -> None:
        self._bus = bus
        self._consumers = consumers
        self._plan = plan or InTurn(lambda: self._consumers())
        self._answering = Answering(
            bus=bus,
            module=module,
            decoder=decoder,
            receive=receive,
            dice=dice,
            tracer=tracer,
            log=log,
        )
        self._slots = slots
        self._beat_s = beat_s
        self._stopping = anyio.Event()

    @property
    def name(self) -> str:
        """What this is, for logs."""
        return "gpu work"

    @property
    def log(self) -> ActionLog:
        """Where it says what goes wrong."""
        return self._answering.log

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
        """Pull, render, pull again. Every slot has an inbox, so an answer cannot go astray.

        An inbox that a pull went unanswered on is given up: what still came there would be a
        second render that waits behind the first, and nothing is pulled while the broker is away.
        """
        while not self._stopping.is_set():
            inbox = self._bus.new_inbox()
            send, answers = anyio.create_memory_object_stream[Received | None](ANSWERS_KEPT)
            with send, answers, self._bus.reconnecting(partial(_say_lost, send)):
                async with self._bus.subscribed(inbox, send.send):
                    await self._serve(inbox, answers)

    async def _serve(self, inbox: str, answers: MemoryObjectReceiveStream[Received | None]) -> None:
        """Return when a stop was asked for or a pull went unanswered."""
        free_since = anyio.current_time()
        while not self._stopping.is_set():
            began = anyio.current_time()
            pulls = await self._offers(free_since)
            try:
                worked = self._bus.alive and await self._try(pulls, inbox, answers)
            except TimeoutError:
                return
            if worked:
                free_since = anyio.current_time()
            else:
                # a pull that waits has taken that time already, unless the server refused it
                with anyio.move_on_after(POLL_S - (anyio.current_time() - began)):
                    await self._stopping.wait()

    async def _offers(self, free_since: float) -> Sequence[Pull]:
        try:
            return await self._plan.offers(free_since=free_since)
        except BusError:
            return ()  # nobody knows how the queues stand while the broker is away

    async def _try(
        self, pulls: Sequence[Pull], inbox: str, answers: MemoryObjectReceiveStream[Received | None]
    ) -> bool:
        """Pull one after the other until one gives a message, and answer that."""
        for pull in pulls:
            if self._stopping.is_set():
                return False
            consumer = pull.consumer
            subject = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
            while answers.statistics().current_buffer_used:
                answers.receive_nowait()  # the connection was replaced during the last render
            await self._bus.send(subject, pull.body(), reply=inbox)
            with anyio.fail_after(PULL_HEARTBEAT_S + pull.wait_s):
                message = await answers.receive()
            if message is None:
                raise TimeoutError
            if "Status" in (message.headers or {}):
                continue
            if pull.wait_s and self._stopping.is_set():
                await self._bus.send(message.reply, nak(0))  # it came while we were told to stop
                return False
            self._plan.took(pull)
            self._answering.begin(message)
            await self._answering.answer(message, consumer)
            return True
        return False

    async def _beat(self) -> None:
        while True:
            await anyio.sleep(self._beat_s)
            await self._answering.beat(self._beat_s / 2)


async def _say_lost(answers: MemoryObjectSendStream[Received | None]) -> None:
    """Tell a slot that the pull it waits for was lost with the connection."""
    with suppress(anyio.WouldBlock):
        answers.send_nowait(None)
