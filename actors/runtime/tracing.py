"""Which trace the work belongs to that is being done now, and how it gets onto what is said.

One trace a job. Each message that is answered is one span, opened by the runtime; whatever its
handler says carries that span as W3C headers, so whoever hears it becomes a child and is linked.
No actor opens a span or sees one. ``spans`` records, ``otlp`` exports; without an endpoint neither
is loaded, and what a message brought along is passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Protocol, Self

from msgspec import Struct

from schemas.base import Message, Module

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_NONE: Final[Mapping[str, str]] = {}


class Incoming(Protocol):
    """What a tracer needs of a message."""

    @property
    def subject(self) -> str:
        """Where it was published."""
        ...

    @property
    def reply(self) -> str:
        """What is acknowledged, or where an answer goes."""
        ...

    @property
    def headers(self) -> Mapping[str, str] | None:
        """The headers, ``None`` when there are none."""
        ...


class Span(Protocol):
    """One piece of work, for the length of a ``with`` block."""

    headers: Mapping[str, str]
    """What puts a message into this trace, behind this span."""

    def about(self, heard: Struct) -> None:
        """Take job and tenant from a message; its subject may not name them."""
        ...

    def failed(self, why: str) -> None:
        """Mark it as failed."""
        ...

    def settled(self, verdict: bytes) -> None:
        """Note how the message ended."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Tracer(Protocol):
    """Opens spans. Never blocks and never raises."""

    def processing(self, message: Incoming, *, module: Module, consumer: str) -> Span:
        """Return the span of answering one message of a consumer."""
        ...

    def replying(self, message: Incoming, *, module: Module) -> Span:
        """Return the span of answering one question. One that belongs to no trace has none."""
        ...

    def sending(self, said: Message, *, module: Module) -> Span:
        """Return the span of a message that no message caused, such as a user's order."""
        ...


class NoSpan:
    """Work that belongs to no trace."""

    headers: Mapping[str, str] = _NONE

    def about(self, heard: Struct) -> None:
        """Note nothing."""

    def failed(self, why: str) -> None:
        """Note nothing."""

    def settled(self, verdict: bytes) -> None:
        """Note nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None


NO_SPAN: Final = NoSpan()

_current: ContextVar[Span] = ContextVar("span", default=NO_SPAN)
"""The one that the running task works on. Not a global: every task has its own."""


def current() -> Span:
    """Return the span of the work that is being done now."""
    return _current.get()


def carried() -> Mapping[str, str]:
    """Return the headers that put what is said now into the trace of what is being answered."""
    return _current.get().headers


def begin(span: Span) -> Token[Span]:
    """Make a span the current one."""
    return _current.set(span)


def end(token: Token[Span]) -> None:
    """Make the span before it the current one again."""
    _current.reset(token)


class PassedOn(NoSpan):
    """Work of a trace that is not recorded here, or by nobody."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers

    def __enter__(self) -> Self:
        self._token = begin(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end(self._token)


def passed_on(message: Incoming) -> NoSpan:
    """Return a span that records nothing and passes on what the message brought along."""
    headers = message.headers
    if not headers or TRACEPARENT not in headers:
        return NO_SPAN
    return PassedOn({name: headers[name] for name in (TRACEPARENT, TRACESTATE) if name in headers})


class Untraced:
    """The tracer of a process that records nothing."""

    def processing(self, message: Incoming, *, module: Module, consumer: str) -> Span:  # noqa: ARG002
        """Pass on what the message brought along."""
        return passed_on(message)

    def replying(self, message: Incoming, *, module: Module) -> Span:  # noqa: ARG002
        """Pass on what the question brought along."""
        return passed_on(message)

    def sending(self, said: Message, *, module: Module) -> Span:  # noqa: ARG002
        """Begin nothing."""
        return NO_SPAN


UNTRACED: Final = Untraced()
