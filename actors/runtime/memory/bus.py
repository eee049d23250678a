"""A connection to a broker in memory, with the promises of ``actors.runtime.bus``.

It waits as long and tries as often as that one, on the broker's clock: an acknowledgement that is
lost is noticed when somebody moves the time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, NamedTuple, TypeVar

import anyio
import msgspec
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from msgspec import Struct
from nats.errors import MaxPayloadError

from actors.runtime.bus import (
    ACK_TIMEOUT_S,
    API_TIMEOUT_S,
    ASK_ERROR,
    ASK_RETRY_AFTER,
    ASK_TIMEOUT_S,
    NO_RESPONDERS,
    PENDING_BYTES,
    PUBLISH_TRIES,
    RECONNECT_WAIT_S,
    PubAck,
    pub_ack,
)
from actors.runtime.errors import (
    ApiError,
    AskError,
    BusUnavailableError,
    NotPermittedError,
)
from actors.runtime.memory.broker import API, DIRECT, VERSION, MemoryBroker
from actors.runtime.memory.consumers import Arrived
from actors.runtime.memory.listeners import Subscription, TryAgain, Waiter
from actors.runtime.tracing import carried
from actors.runtime.transport import Handler
from actors.runtime.wire import Outgoing, Sayable, encode, outgoing
from subjects import build

T = TypeVar("T")

MAX_PAYLOAD: Final = 1024 * 1024


class MemoryBus:
    """One connection. Made by ``connected``."""

    def __init__(self, *, broker: MemoryBroker, name: str, tasks: TaskGroup) -> None:
        self.name = name
        self.last_error = ""
        self._broker = broker
        self._tasks = tasks
        self._up = True
        self._closed = False
        self._prefix = broker.new_inbox()
        self._count = 0
        self._waiting: dict[str, Waiter] = {}
        self._unsent: list[_Unsent] = []
        self._on_reconnect: list[Callable[[], Awaitable[None]]] = []

    @property
    def alive(self) -> bool:
        """True while the connection is up."""
        return self._up

    @property
    def server_version(self) -> str:
        """The broker's version."""
        return VERSION

    # -- the connection itself ------------------------------------------------------------------

    def disconnect(self) -> None:
        """Lose the connection: nothing arrives, and what is sent is kept until ``reconnect``."""
        self._up = False

    async def reconnect(self) -> None:
        """Come back: subscriptions stand again, what was kept is sent, open publishes are too."""
        self._up = True
        unsent, self._unsent = self._unsent, []
        for each in unsent:
            self._write_out(*each)
        self._broker.wake()
        for waiter in tuple(self._waiting.values()):
            waiter.fail(TryAgain())
        for call in tuple(self._on_reconnect):
            await call()

    def close(self) -> None:
        """Say and hear nothing more."""
        self._up, self._closed = False, True

    # -- saying ---------------------------------------------------------------------------------

    async def say(self, said: Iterable[Sayable]) -> None:
        """Store everything, in this order, and return when it is stored.

        Raises:
            BusUnavailableError: no acknowledgement came.
            NotPermittedError: a fault forbids it.
            NoStreamError: nothing stores it.
            ApiError: the stream refused it.
        """
        opened: list[tuple[Outgoing, Waiter]] = []
        try:
            for order in [outgoing(each) for each in said]:
                if order.purge:
                    await self._confirm(opened)
                    opened.clear()
                    await self.api(f"STREAM.PURGE.{order.purge}", {"filter": order.subject})
                    continue
                waiter = self._open(order.subject, bytes(order.data), order.headers)
                opened.append((order, waiter))
            await self._confirm(opened)
        finally:
            for _, waiter in opened:
                self._forget(waiter)

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> PubAck:
        """Store one message and return where it is.

        Raises:
            WrongLastSequenceError: an expected sequence in the headers was not the last one.
            BusUnavailableError, NotPermittedError, NoStreamError, ApiError: as ``say``.
        """
        headers = {**carried(), **headers}
        for _ in range(PUBLISH_TRIES):
            try:
                answer = await self._answer(self._open(subject, data, headers), ACK_TIMEOUT_S)
            except TryAgain:
                continue
            return pub_ack(subject, answer.data, answer.headers)
        raise BusUnavailableError(subject, after_s=PUBLISH_TRIES * ACK_TIMEOUT_S)

    async def send(
        self, subject: str, data: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Write one message and wait for nothing.

        Raises:
            BusUnavailableError: the connection is closed.
        """
        with suppress(NotPermittedError):  # nobody is told, as on the wire
            self._put(subject, data, headers or {}, reply)
        await checkpoint()

    async def _confirm(self, opened: Iterable[tuple[Outgoing, Waiter]]) -> None:
        for order, waiter in opened:
            try:
                answer = await self._answer(waiter, ACK_TIMEOUT_S)
            except TryAgain:
                await self.publish(order.subject, bytes(order.data), order.headers)
            else:
                pub_ack(order.subject, answer.data, answer.headers)

    def _put(self, subject: str, data: bytes, headers: dict[str, str], reply: str) -> None:
        if self._closed:
            raise BusUnavailableError(subject, after_s=0)
        if len(data) > MAX_PAYLOAD:
            raise MaxPayloadError
        if self._up:
            self._broker.publish(subject, data, dict(headers), reply)
        elif sum(len(each.data) for each in self._unsent) + len(data) <= PENDING_BYTES:
            self._unsent.append(_Unsent(subject, data, dict(headers), reply))

    def _write_out(self, subject: str, data: bytes, headers: dict[str, str], reply: str) -> None:
        """Write what was kept, now that the broker is back."""
        try:
            self._broker.publish(subject, data, headers, reply)
        except NotPermittedError as refused:
            if reply in self._waiting:
                self._waiting[reply].fail(refused)

    # -- waiting for an answer ------------------------------------------------------------------

    def _open(self, subject: str, data: bytes, headers: dict[str, str]) -> Waiter:
        """Write a message, and listen for the answer."""
        self._count += 1
        waiter = Waiter(self, f"{self._prefix}.{self._count}")
        self._waiting[waiter.subject] = waiter
        self._broker.listen(waiter, wake=False)
        try:
            self._put(subject, data, headers, waiter.subject)
        except BaseException:
            self._forget(waiter)
            raise
        return waiter

    async def _answer(self, waiter: Waiter, within_s: float) -> Arrived:
        timer = self._broker.clock.call_in(within_s, lambda: waiter.fail(TryAgain(late=True)))
        try:
            return await waiter.answer()
        finally:
            timer.cancel()
            self._forget(waiter)

    def _forget(self, waiter: Waiter) -> None:
        if self._waiting.pop(waiter.subject, None) is not None:
            self._broker.unlisten(waiter)

    # -- asking ---------------------------------------------------------------------------------

    async def ask(self, question: Struct, answer: type[T], *, timeout: float = ASK_TIMEOUT_S) -> T:
        """Put a question to the module that answers it.

        Raises:
            AskError: nobody answered, in time or at all, or the module could not answer now.
        """
        reply = await self._request(
            build.ask(type(question)), encode(question), timeout=timeout, headers=dict(carried())
        )
        headers = reply.headers or {}
        if why := headers.get(ASK_ERROR):
            later = headers.get(ASK_RETRY_AFTER)
            raise AskError(why, retry_after=float(later) if later else None)
        return msgspec.json.decode(reply.data, type=answer)

    async def api(self, call: str, body: object = None) -> dict[str, Any]:
        """Call the API and return its JSON answer.

        Raises:
            ApiError: the broker refused.
            AskError: the broker is away.
            NotPermittedError: a fault forbids it.
        """
        data = b"" if body is None else msgspec.json.encode(body)
        reply = await self._request(API + call, data, timeout=API_TIMEOUT_S)
        answer: dict[str, Any] = msgspec.json.decode(reply.data)
        if error := answer.get("error"):
            raise ApiError(call, error["err_code"], error["description"])
        return answer

    async def last(self, stream: str, subject: str) -> tuple[int, bytes] | None:
        """Return sequence and body of the newest message on a subject, or nothing."""
        reply = await self._request(f"{DIRECT}{stream}.{subject}", b"", timeout=API_TIMEOUT_S)
        headers = reply.headers or {}
        if headers.get("Status") == "404":
            return None
        return int(headers["Nats-Sequence"]), reply.data

    async def _request(
        self, subject: str, data: bytes, *, timeout: float, headers: dict[str, str] | None = None
    ) -> Arrived:
        try:
            reply = await self._answer(self._open(subject, data, headers or {}), timeout)
        except TryAgain as none:
            if none.late:
                why = f"no answer to {subject} in {timeout:g} s"
                raise AskError(why, retry_after=1.0) from None
            why = f"the connection was lost before {subject} was answered"
            raise AskError(why, retry_after=RECONNECT_WAIT_S) from None
        if _nobody(reply):
            raise AskError(f"nobody answers {subject}", retry_after=1.0)
        return reply

    # -- hearing --------------------------------------------------------------------------------

    def new_inbox(self) -> str:
        """Return a subject of our own."""
        return self._broker.new_inbox()

    @asynccontextmanager
    async def subscribed(
        self, subject: str, handle: Handler, *, queue: str = ""
    ) -> AsyncIterator[None]:
        """Call ``handle`` for every message, one after the other, until the block is left."""
        subscription = Subscription(
            self, subject, queue=queue, handle=handle, clock=self._broker.clock
        )
        self._broker.listen(subscription)
        self._tasks.start_soon(subscription.run)
        try:
            yield
        finally:
            self._broker.unlisten(subscription)
            subscription.scope.cancel()

    @contextmanager
    def reconnecting(self, call: Callable[[], Awaitable[None]]) -> Iterator[None]:
        """Call ``call`` after every ``reconnect`` until the block is left."""
        self._on_reconnect.append(call)
        try:
            yield
        finally:
            self._on_reconnect.remove(call)

    async def barrier(self) -> None:
        """Return when the broker has seen everything written so far: it has."""
        await checkpoint()


class _Unsent(NamedTuple):
    subject: str
    data: bytes
    headers: dict[str, str]
    reply: str


@asynccontextmanager
async def connected(broker: MemoryBroker, *, name: str) -> AsyncIterator[MemoryBus]:
    """Yield a connection to a broker in memory, and close it afterwards."""
    try:
        async with anyio.create_task_group() as tasks:
            bus = MemoryBus(broker=broker, name=name, tasks=tasks)
            broker.attach(bus.disconnect)
            try:
                yield bus
            finally:
                broker.detach(bus.disconnect)
                bus.close()
                tasks.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        # What went wrong in the block goes on as it was; subscriptions never raise.
        [only] = group.exceptions
        raise only from None


def _nobody(answer: Arrived) -> bool:
    return not answer.data and (answer.headers or {}).get("Status") == NO_RESPONDERS
