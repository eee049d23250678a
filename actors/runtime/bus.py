"""The one place that holds a NATS connection: publish with acknowledgement, request, subscribe.

Built on nats-py's core connection. All publish acknowledgements come back through one wildcard
inbox, so that a publish costs one message each way and no subscription of its own. After a
reconnect every open publish is sent again at once under the same ``Nats-Msg-Id``; the stream drops
what it already has.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Struct
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import BadSubscriptionError, ConnectionClosedError, OutboundBufferLimitError
from nats.errors import Error as NatsError

from actors.runtime.client import QuickClient
from actors.runtime.errors import (
    ApiError,
    AskError,
    BusUnavailableError,
    CannotConnectError,
    NoStreamError,
    NotLetInError,
    NotPermittedError,
    WrongLastSequenceError,
)
from actors.runtime.tracing import carried
from actors.runtime.wire import Outgoing, Sayable, encode, outgoing
from subjects import build

T = TypeVar("T")
Handler = Callable[[Msg], Awaitable[None]]

CONNECT_TIMEOUT_S: Final = 5.0
INBOX_PREFIX: Final = "_INBOX"
RECONNECT_WAIT_S: Final = 0.25
ACK_TIMEOUT_S: Final = 5.0
"""How long one try of a publish waits for its acknowledgement, give or take the next."""
EXPIRE_EVERY_S: Final = 0.25
PUBLISH_TRIES: Final = 6
LEADER_TIMEOUT_S: Final = 1.0
"""The same for the first try in a cluster: a leader that steps down takes some with it."""
ELECTION_WAIT_S: Final = 0.1
ELECTION_TRIES: Final = 150
"""How long a cluster may take to elect a leader, the seconds in which it notices included."""
ASK_TIMEOUT_S: Final = 5.0
LEAVE_S: Final = 1.0
"""How long what was sent before a subscription ended may take to be handled."""
API_TIMEOUT_S: Final = 5.0
PENDING_BYTES: Final = 64 * 1024 * 1024
"""What is kept to be sent while the broker is away."""
AUTHORIZATION: Final = "authorization"
WRONG_LAST_SEQUENCE: Final = 10071
NO_RESPONDERS: Final = "503"
ASK_ERROR: Final = "Ask-Error"
ASK_RETRY_AFTER: Final = "Ask-Retry-After"

_REFUSED: Final = "authorization violation"
_VIOLATION: Final = re.compile(r"permissions violation for publish to \"([^\"]+)\"", re.IGNORECASE)


class PubAck(Struct, frozen=True):
    """What a stream answers: where the message is, or that it was there before."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False


class _Refusal(Struct, frozen=True):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Answer(Struct, frozen=True):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Refusal | None = None


_answers: Final = msgspec.json.Decoder(_Answer)


class Bus:
    """One connection. Made by ``connected``."""

    def __init__(self) -> None:
        self._client = QuickClient(self._acknowledged)
        self._prefix = ""
        self._count = 0
        self._waiting: dict[str, _Waiter] = {}
        self._expiring: asyncio.TimerHandle | None = None
        self._on_reconnect: list[Callable[[], Awaitable[None]]] = []
        self._connected = False
        self._lost: set[str] = set()
        """What waited for an answer when the connection broke."""
        self._clustered = False
        self._first_wait_s = ACK_TIMEOUT_S
        self.last_error = ""

    @property
    def alive(self) -> bool:
        """True while the connection is up."""
        return bool(self._client.is_connected)

    @property
    def server_version(self) -> str:
        """The broker's version, such as ``2.15.1``."""
        return str(self._client._server_info.get("version", "0.0"))  # noqa: SLF001  no other way

    # -- saying -----------------------------------------------------------------------------

    async def say(self, said: Iterable[Sayable]) -> None:
        """Store everything, in this order, and return when it is stored.

        Raises:
            BusUnavailableError: no acknowledgement came.
            NotPermittedError: this user may not say that.
            NoStreamError: nothing stores it.
            ApiError: the stream refused it, because it is full for instance.
        """
        orders = [outgoing(each) for each in said]
        if len(orders) == 1 and not orders[0].purge:
            await self._say_one(orders[0])
            return
        opened: list[tuple[Outgoing, _Waiter]] = []
        try:
            # All are written before the first acknowledgement is awaited: the connection keeps
            # their order and the round trips overlap. Only a purge waits for what is before it.
            for order in orders:
                if order.purge:
                    await self._confirm(opened)
                    opened.clear()
                    await self.api(f"STREAM.PURGE.{order.purge}", {"filter": order.subject})
                    continue
                waiter = await self._write(
                    order.subject, bytes(order.data), order.headers, self._first_wait_s
                )
                opened.append((order, waiter))
            await self._confirm(opened)
        finally:
            for _, waiter in opened:
                self._forget(waiter)

    async def _say_one(self, order: Outgoing) -> None:
        """Do for one message what ``say`` does for several, without the bookkeeping."""
        data = bytes(order.data)
        waiter = await self._write(order.subject, data, order.headers, self._first_wait_s)
        try:
            answer = await waiter.future
        except _TryAgain:
            await self.publish(order.subject, data, order.headers)
        else:
            if self._clustered and _nobody(answer):
                await self.publish(order.subject, data, order.headers)
            else:
                pub_ack(order.subject, answer.data, answer.headers)
        finally:
            self._forget(waiter)

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> PubAck:
        """Store one message and return where it is.

        Raises:
            WrongLastSequenceError: an expected sequence in the headers was not the last one.
            BusUnavailableError, NotPermittedError, NoStreamError, ApiError: as ``say``.
        """
        headers = {**carried(), **headers}
        for number in range(PUBLISH_TRIES):
            try:
                within_s = min(ACK_TIMEOUT_S, self._first_wait_s * 2.0**number)
                answer = await self._led(subject, data, headers, within_s)
            except _TryAgain:
                continue
            return pub_ack(subject, answer.data, answer.headers)
        raise BusUnavailableError(subject, after_s=PUBLISH_TRIES * ACK_TIMEOUT_S)

    async def send(
        self, subject: str, data: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Write one message and wait for nothing. While the broker is away it is kept or dropped.

        Raises:
            BusUnavailableError: the connection is closed for good.
        """
        try:
            await self._client.publish(subject, data, reply=reply, headers=headers)
        except OutboundBufferLimitError:
            return
        except ConnectionClosedError as closed:
            raise BusUnavailableError(subject, after_s=0) from closed

    async def _confirm(self, opened: Iterable[tuple[Outgoing, _Waiter]]) -> None:
        for order, waiter in opened:
            try:
                answer = await self._wait(waiter)
            except _TryAgain:
                await self.publish(order.subject, bytes(order.data), order.headers)
                continue
            if self._clustered and _nobody(answer):
                await self.publish(order.subject, bytes(order.data), order.headers)
            else:
                pub_ack(order.subject, answer.data, answer.headers)

    async def _led(
        self, subject: str, data: bytes, headers: dict[str, str], within_s: float
    ) -> Msg:
        """Write until somebody answers: nobody does while a cluster elects a stream's leader."""
        for _ in range(ELECTION_TRIES if self._clustered else 0):
            answer = await self._wait(await self._write(subject, data, headers, within_s))
            if not _nobody(answer):
                return answer
            await asyncio.sleep(ELECTION_WAIT_S)
        return await self._wait(await self._write(subject, data, headers, within_s))

    async def _write(
        self, subject: str, data: bytes, headers: dict[str, str], within_s: float = ACK_TIMEOUT_S
    ) -> _Waiter:
        self._count += 1
        reply = f"{self._prefix}{self._count}"
        loop = asyncio.get_running_loop()
        waiter = _Waiter(reply, subject, loop.create_future(), loop.time() + within_s)
        self._waiting[reply] = waiter
        if self._expiring is None:
            self._expiring = loop.call_later(EXPIRE_EVERY_S, self._expire)
        try:
            await self.send(subject, data, reply=reply, headers=headers or None)
        except BaseException:
            self._forget(waiter)
            raise
        return waiter

    async def _wait(self, waiter: _Waiter) -> Msg:
        try:
            return await waiter.future
        finally:
            self._forget(waiter)

    def _expire(self) -> None:
        """Wait no longer for what was written too long ago.

        One look at everybody now and then: a timer for each would cost more than the publish.
        """
        self._expiring = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for waiter in self._waiting.values():
            if waiter.until <= now and not waiter.future.done():
                waiter.future.set_exception(_TryAgain())
        if self._waiting:
            self._expiring = loop.call_later(EXPIRE_EVERY_S, self._expire)

    def _forget(self, waiter: _Waiter) -> None:
        """Wait no longer; what an earlier failure left unread is not worth a warning."""
        if self._waiting.pop(waiter.reply, None) is None:
            return  # it has its answer
        if not waiter.future.cancel() and not waiter.future.cancelled():
            waiter.future.exception()

    # -- asking -----------------------------------------------------------------------------

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
        """Call the JetStream API and return its JSON answer.

        Raises:
            ApiError: the server refused.
            AskError: JetStream is off, or the broker is away.
            NotPermittedError: this user may not call that.
        """
        data = b"" if body is None else msgspec.json.encode(body)
        reply = await self._request("$JS.API." + call, data, timeout=API_TIMEOUT_S)
        answer: dict[str, Any] = msgspec.json.decode(reply.data)
        if error := answer.get("error"):
            raise ApiError(call, error.get("err_code", 0), error.get("description", ""))
        return answer

    async def last(self, stream: str, subject: str) -> tuple[int, bytes] | None:
        """Return sequence and body of the newest message on a subject, or nothing."""
        reply = await self._request(
            f"$JS.API.DIRECT.GET.{stream}.{subject}", b"", timeout=API_TIMEOUT_S
        )
        headers = reply.headers or {}
        if headers.get("Status") == "404":
            return None
        return int(headers["Nats-Sequence"]), reply.data

    async def _request(
        self, subject: str, data: bytes, *, timeout: float, headers: dict[str, str] | None = None
    ) -> Msg:
        waiter = await self._write(subject, data, headers or {}, math.inf)
        try:
            async with asyncio.timeout(timeout):
                reply = await waiter.future
        except TimeoutError:
            raise AskError(f"no answer to {subject} in {timeout:g} s", retry_after=1.0) from None
        except _TryAgain:
            why = f"the connection was lost before {subject} was answered"
            raise AskError(why, retry_after=RECONNECT_WAIT_S) from None
        finally:
            self._forget(waiter)
        if _nobody(reply):
            raise AskError(f"nobody answers {subject}", retry_after=1.0)
        return reply

    # -- hearing ----------------------------------------------------------------------------

    def new_inbox(self) -> str:
        """Return a subject of our own."""
        return str(self._client.new_inbox())

    @asynccontextmanager
    async def subscribed(
        self, subject: str, handle: Handler, *, queue: str = ""
    ) -> AsyncIterator[None]:
        """Call ``handle`` for every message until the block is left.

        What the server had sent by then is still handled, unless the block ends with an error: a
        worker that stops can give it back at once.
        """
        subscription = await self._client.subscribe(
            subject, queue=queue, cb=handle, pending_msgs_limit=-1, pending_bytes_limit=-1
        )
        try:
            yield
            await self._drain(subscription)
        finally:
            if not self._client.is_closed:
                with suppress(BadSubscriptionError):  # it was drained
                    await subscription.unsubscribe()

    @contextmanager
    def reconnecting(self, call: Callable[[], Awaitable[None]]) -> Iterator[None]:
        """Call ``call`` after every reconnect until the block is left."""
        self._on_reconnect.append(call)
        try:
            yield
        finally:
            self._on_reconnect.remove(call)

    async def barrier(self) -> None:
        """Return when the server has seen everything written so far.

        Twice, because nats-py's ``flush`` lets its PING overtake what is still in its buffer; the
        first round empties the buffer, the second waits for the server.
        """
        await self._client.flush()
        await self._client.flush()

    async def _drain(self, subscription: Subscription) -> None:
        if not self.alive:
            return
        with suppress(TimeoutError, NatsError):
            async with asyncio.timeout(LEAVE_S):
                # The barrier first: the flush of nats-py's ``drain`` may overtake its request.
                await self._client._send_unsubscribe(subscription._id)  # noqa: SLF001  no other way
                await self.barrier()
                await subscription.drain()

    # -- the connection ---------------------------------------------------------------------

    async def _connect(self, url: str, name: str, inbox_prefix: str) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._client.connect(
                    url.split(","),
                    name=name,
                    inbox_prefix=inbox_prefix,
                    # said for every server: those the cluster tells us of come without
                    **_login(url),
                    connect_timeout=2,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=RECONNECT_WAIT_S,
                    pending_size=PENDING_BYTES,
                    # ``subjects.build`` has checked every token of what we say; what we answer to
                    # came from the server
                    skip_subject_validation=True,
                    ping_interval=20,
                    error_cb=self._error,
                    reconnected_cb=self._reconnected,
                    disconnected_cb=self._disconnected,
                    closed_cb=self._nothing,
                )
        except TimeoutError:
            reason = self.last_error or f"no answer in {CONNECT_TIMEOUT_S:g} s"
            raise CannotConnectError(_without_secret(url), reason) from None
        except _NotLetIn:
            raise NotLetInError(_without_secret(url)) from None
        except (NatsError, OSError) as refused:
            raise CannotConnectError(_without_secret(url), str(refused)) from refused
        self._connected = True
        if self._client._server_info.get("cluster"):  # noqa: SLF001  no other way
            self._clustered, self._first_wait_s = True, LEADER_TIMEOUT_S
        self._prefix = self.new_inbox() + "."
        self._client.quick = self._prefix.encode()
        await self._client.subscribe(
            self._prefix + "*",
            cb=self._answered,
            pending_msgs_limit=-1,
            pending_bytes_limit=-1,
        )

    async def _close(self) -> None:
        if self._expiring is not None:
            self._expiring.cancel()
        if not self._client.is_closed:
            with suppress(OSError):  # the line is cut, and what waits to be sent goes nowhere
                await self._client.close()

    async def _answered(self, answer: Msg) -> None:
        self._acknowledged(answer)

    def _acknowledged(self, answer: Msg) -> None:
        waiter = self._waiting.get(answer.subject)
        if waiter is not None and not waiter.future.done():
            del self._waiting[answer.subject]
            waiter.future.set_result(answer)

    async def _error(self, error: Exception) -> None:
        told = str(error) or type(error).__name__
        if AUTHORIZATION in self.last_error.lower() and not self.alive:
            told = self.last_error  # the reset that follows a refused login explains nothing
        self.last_error = told
        if not self._connected and _REFUSED in str(error).lower():
            # nats-py would try again until the time is up; this raises through its ``connect``.
            raise _NotLetIn
        violation = _VIOLATION.search(self.last_error)
        if violation is None:
            return
        # The server names the subject, not the message: everybody who waits for it is refused.
        for waiter in self._waiting.values():
            if waiter.subject.lower() == violation[1].lower() and not waiter.future.done():
                waiter.future.set_exception(NotPermittedError(waiter.subject))

    async def _disconnected(self) -> None:
        self._lost.update(self._waiting)

    async def _reconnected(self) -> None:
        # What was written since waits in nats-py's buffer or is answered already. To publish it
        # again is harmless; a question is given up only when it went out on the old connection.
        lost, self._lost = self._lost, set()
        for reply, waiter in self._waiting.items():
            if (waiter.until < math.inf or reply in lost) and not waiter.future.done():
                waiter.future.set_exception(_TryAgain())
        for call in tuple(self._on_reconnect):
            await call()

    async def _nothing(self) -> None:
        """Keep nats-py from printing; reconnecting is its business, re-sending ours."""


class _NotLetIn(Exception):
    """The first connection was refused for who we are."""


class _TryAgain(Exception):
    """No acknowledgement, or the connection was replaced: the same message is sent again."""


class _Waiter(NamedTuple):
    reply: str
    subject: str
    future: asyncio.Future[Msg]
    until: float
    """On the loop's clock."""


@asynccontextmanager
async def connected(url: str, *, name: str, inbox_prefix: str = INBOX_PREFIX) -> AsyncIterator[Bus]:
    """Yield a bus on the broker at ``url``, and close it afterwards.

    ``url`` may name several servers of a cluster with commas between. A user that may subscribe to
    inboxes of its own only needs its ``inbox_prefix``.

    Raises:
        CannotConnectError: in ``CONNECT_TIMEOUT_S`` nobody answered.
        NotLetInError: user or password are wrong.
    """
    bus = Bus()
    try:
        await bus._connect(url, name, inbox_prefix)  # noqa: SLF001  the bus is made here and only here
        yield bus
    finally:
        await bus._close()  # noqa: SLF001


def pub_ack(subject: str, data: bytes, headers: Mapping[str, str] | None) -> PubAck:
    """Return what a stream's answer to a publish says.

    Raises:
        NoStreamError: nobody answered, so nothing stores the subject.
        WrongLastSequenceError: an expected sequence was not the last one.
        ApiError: the stream refused the message.
    """
    if not data and (headers or {}).get("Status") == NO_RESPONDERS:
        raise NoStreamError(subject)
    ack = _answers.decode(data)
    if ack.error is None:
        return PubAck(ack.stream, ack.seq, ack.duplicate)
    if ack.error.err_code == WRONG_LAST_SEQUENCE:
        raise WrongLastSequenceError(subject)
    raise ApiError(f"publish {subject}", ack.error.err_code, ack.error.description)


def _nobody(answer: Msg) -> bool:
    return not answer.data and (answer.headers or {}).get("Status") == NO_RESPONDERS


def _login(url: str) -> dict[str, str]:
    """Return user and password, of the first of several servers that has them."""
    for parts in map(urlsplit, url.split(",")):
        if parts.username and parts.password is not None:
            return {"user": unquote(parts.username), "password": unquote(parts.password)}
    return {}


def _without_secret(url: str) -> str:
    parts = [urlsplit(each) for each in url.split(",")]
    return ",".join(f"{each.scheme}://{each.hostname}:{each.port}" for each in parts)
