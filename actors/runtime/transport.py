"""What the runtime needs of a connection to the bus, and nothing more.

``bus.Bus`` is a connection to a nats-server, ``memory.MemoryBus`` one to a broker in this process.
Whatever fits here can carry the actors: one contract suite, ``tests/contract/runtime``, holds all
of them to the same behaviour.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from actors.runtime.wire import Sayable

T = TypeVar("T")


class Received(Protocol):
    """A message as it comes in."""

    @property
    def subject(self) -> str:
        """Where it was published; for a status of a pull, the inbox of the pull."""
        ...

    @property
    def reply(self) -> str:
        """Where an answer goes: an inbox, or what is acknowledged; empty for neither."""
        ...

    @property
    def data(self) -> bytes:
        """The body."""
        ...

    @property
    def headers(self) -> dict[str, str] | None:
        """The headers, ``None`` when there are none."""
        ...


class Stored(Protocol):
    """What a stream answers: where the message is, or that it was there before."""

    @property
    def stream(self) -> str:
        """The stream's name."""
        ...

    @property
    def seq(self) -> int:
        """The message's place in it."""
        ...

    @property
    def duplicate(self) -> bool:
        """True when the stream had it already and stored nothing."""
        ...


Handler = Callable[[Received], Awaitable[None]]


class Transport(Protocol):
    """One connection."""

    @property
    def alive(self) -> bool:
        """True while the connection is up."""
        ...

    @property
    def server_version(self) -> str:
        """The broker's version, such as ``2.15.1``."""
        ...

    async def say(self, said: Iterable[Sayable]) -> None:
        """Store everything, in this order, and return when it is stored.

        Raises:
            BusUnavailableError: no acknowledgement came.
            NotPermittedError: this user may not say that.
            NoStreamError: nothing stores it.
            ApiError: the stream refused it, because it is full for instance.
        """
        ...

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> Stored:
        """Store one message and return where it is.

        Raises:
            WrongLastSequenceError: an expected sequence in the headers was not the last one.
            BusUnavailableError, NotPermittedError, NoStreamError, ApiError: as ``say``.
        """
        ...

    async def send(
        self, subject: str, data: bytes, *, reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Write one message and wait for nothing. While the broker is away it is kept or dropped.

        Raises:
            BusUnavailableError: the connection is closed for good.
        """
        ...

    async def ask(self, question: Struct, answer: type[T], *, timeout: float = ...) -> T:
        """Put a question to the module that answers it.

        Raises:
            AskError: nobody answered, in time or at all, or the module could not answer now.
        """
        ...

    async def api(self, call: str, body: object = None) -> dict[str, Any]:
        """Call the JetStream API and return its JSON answer.

        Raises:
            ApiError: the server refused.
            AskError: JetStream is off, or the broker is away.
        """
        ...

    async def last(self, stream: str, subject: str) -> tuple[int, bytes] | None:
        """Return sequence and body of the newest message on a subject, or nothing.

        Raises:
            AskError: nobody answered.
        """
        ...

    def new_inbox(self) -> str:
        """Return a subject of our own."""
        ...

    def subscribed(
        self, subject: str, handle: Handler, *, queue: str = ""
    ) -> AbstractAsyncContextManager[None]:
        """Call ``handle`` for every message, one after the other, until the block is left."""
        ...

    def reconnecting(self, call: Callable[[], Awaitable[None]]) -> AbstractContextManager[None]:
        """Call ``call`` after every reconnect until the block is left."""
        ...

    async def barrier(self) -> None:
        """Return when the broker has seen everything written so far."""
        ...
