"""Records spans: what they are called, where they belong, and what they say.

A job's trace and its first span have ids that are made of the job id. So a decision that comes
days after the order is put into the same tree without anybody having kept anything, and whoever
knows a job can open its trace.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Mapping
from contextvars import Token
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

from msgspec import Struct

from actors.runtime.contract import Clock
from actors.runtime.tracing import (
    NO_SPAN,
    TRACEPARENT,
    TRACESTATE,
    Incoming,
    NoSpan,
    Span,
    begin,
    end,
    passed_on,
)
from actors.runtime.wire import Delivery
from schemas.base import JobId, Message, Module
from schemas.commands import CancelJob, DecideApproval, StartJob
from subjects import build
from subjects.template import Place, place

WHY_CHARACTERS: Final = 256
"""How much of an error a span keeps."""

_FIRST: Final = (StartJob,)
"""Orders that begin a job's trace."""
_LATER: Final = (DecideApproval, CancelJob)
"""Orders about a job that runs; they join its trace."""
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SAMPLED: Final = 1
_TRACE_BITS: Final = 128
_SPAN_BITS: Final = 64
_VERDICTS: Final = {b"+ACK": "done", b"-NAK": "later", b"+TER": "buried"}

Kind = Literal["consumer", "producer", "server"]
Attribute = str | int


class Context(NamedTuple):
    """Where something is in a trace: lower-case hexadecimal, as W3C writes it."""

    trace_id: str
    span_id: str
    state: str = ""
    sampled: bool = True


class Finished(Struct, frozen=True, kw_only=True):
    """One span that is over."""

    module: Module
    name: str
    kind: Kind
    context: Context
    parent: Context | None
    linked: bool
    """True when the parent is the producer of a message, which is a link too."""
    started_ns: int
    ended_ns: int
    attributes: Mapping[str, Attribute]
    error: str | None


class Recorder:
    """A tracer that hands every finished span to ``take``, which must not block."""

    def __init__(
        self, *, clock: Clock, dice: random.Random, take: Callable[[Finished], None]
    ) -> None:
        self._clock = clock
        self._dice = dice
        self._take = take

    def processing(self, message: Incoming, *, module: Module, consumer: str) -> Span:
        """Return the span of answering one message of a consumer."""
        producer = read(message.headers)
        if producer is not None and not producer.sampled:
            return passed_on(message)
        delivery = Delivery.of(message.reply)
        where = place(message.subject)
        span = self._behind(producer, module, where, "process", "consumer")
        span.attributes |= {
            "messaging.consumer.group.name": consumer,
            "nats.stream": delivery.stream,
            "nats.sequence": delivery.sequence,
            "nats.delivery_attempt": delivery.delivered,
        }
        return span

    def replying(self, message: Incoming, *, module: Module) -> Span:
        """Return the span of answering one question that a traced handler asked."""
        asker = read(message.headers)
        if asker is None:
            return NO_SPAN
        if not asker.sampled:
            return passed_on(message)
        return self._behind(asker, module, place(message.subject), "process", "server")

    def sending(self, said: Message, *, module: Module) -> Span:
        """Return the span of a message that no message caused; the first of a job is its root."""
        where = place(build.subject_of(said))
        if isinstance(said, _FIRST):
            root = root_of(said.correlation_id)
            return _Recording(self, module, where, "send", "producer", root, None)
        parent = root_of(said.correlation_id) if isinstance(said, _LATER) else None
        return self._behind(parent, module, where, "send", "producer")

    def now(self) -> int:
        """Return the time in nanoseconds."""
        return int(self._clock.now().timestamp() * 1_000_000) * 1000

    def take(self, finished: Finished) -> None:
        """Take a span that is over."""
        self._take(finished)

    def _behind(
        self, parent: Context | None, module: Module, where: Place, does: str, kind: Kind
    ) -> _Recording:
        span_id = f"{self._dice.getrandbits(_SPAN_BITS) or 1:016x}"
        if parent is None:
            context = Context(f"{self._dice.getrandbits(_TRACE_BITS) or 1:032x}", span_id)
        else:
            context = Context(parent.trace_id, span_id, parent.state)
        return _Recording(self, module, where, does, kind, context, parent)


class _Recording(NoSpan):
    """A span that is going on."""

    def __init__(
        self,
        recorder: Recorder,
        module: Module,
        where: Place,
        does: str,
        kind: Kind,
        context: Context,
        parent: Context | None,
    ) -> None:
        self._recorder = recorder
        self._module = module
        self._name = f"{does} {where.template}"
        self._kind = kind
        self._context = context
        self._parent = parent
        self._error: str | None = None
        self._started_ns = 0
        self._token: Token[Span] | None = None
        self.headers = written(context)
        self.attributes: dict[str, Attribute] = {
            "messaging.system": "nats",
            "messaging.operation.type": does,
            "messaging.destination.name": where.template,
        }
        if where.job:
            self._of(where.job, where.tenant)

    def about(self, heard: Struct) -> None:
        """Take job and tenant from a message."""
        if isinstance(heard, Message):
            self.attributes["messaging.message.id"] = heard.event_id
            self._of(heard.correlation_id, heard.tenant_id)

    def failed(self, why: str) -> None:
        """Mark it as failed."""
        self._error = why[:WHY_CHARACTERS]

    def settled(self, verdict: bytes) -> None:
        """Note how the message ended."""
        self.attributes["nats.verdict"] = _VERDICTS.get(verdict[:4], "")

    def __enter__(self) -> Self:
        self._started_ns = self._recorder.now()
        self._token = begin(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._token is not None:
            end(self._token)
        if kind is not None and self._error is None:
            self.failed(f"{kind.__name__}: {error}")
        self._recorder.take(
            Finished(
                module=self._module,
                name=self._name,
                kind=self._kind,
                context=self._context,
                parent=self._parent,
                linked=self._kind == "consumer" and self._parent is not None,
                started_ns=self._started_ns,
                ended_ns=self._recorder.now(),
                attributes=self.attributes,
                error=self._error,
            )
        )

    def _of(self, job: str, tenant: str) -> None:
        self.attributes["effectmesh.job.id"] = job
        self.attributes["effectmesh.tenant.id"] = tenant


def root_of(job: JobId) -> Context:
    """Return the first span of a job's trace; its trace id is where the job is found."""
    digest = hashlib.sha256(b"trace\x1f" + job.encode()).hexdigest()
    return Context(digest[:32], digest[32:48])


def read(headers: Mapping[str, str] | None) -> Context | None:
    """Return the span that a message was said in, or nothing. What is malformed is ignored."""
    if not headers:
        return None
    found = _TRACEPARENT.match(headers.get(TRACEPARENT, ""))
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    sampled = bool(int(found[3], 16) & _SAMPLED)
    return Context(found[1], found[2], headers.get(TRACESTATE, ""), sampled)


def written(context: Context) -> Mapping[str, str]:
    """Return the headers that ``read`` reads."""
    headers = {TRACEPARENT: f"00-{context.trace_id}-{context.span_id}-01"}
    if context.state:
        headers[TRACESTATE] = context.state
    return headers
