"""Answers one message: let the actor decide, say, and then acknowledge, put off or bury.

A message is acknowledged after everything its handler said is stored, so a crash at any point
leads to a redelivery, and the redelivery says the same under the same ids.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct, structs
from nats.aio.msg import Msg

from actors.runtime import reports
from actors.runtime.contract import GiveUp, SystemClock, TryLater
from actors.runtime.envelope import UNREADABLE, mismatch
from actors.runtime.errors import BusError
from actors.runtime.logs import About, ActionLog, Counted, Tally
from actors.runtime.tracing import UNTRACED, Tracer, current
from actors.runtime.transport import Transport
from actors.runtime.wire import MSG_ID, SCHEMA, Delivery, Sayable
from schemas.base import Module
from subjects import build
from subjects.template import place
from subjects.topology import Consumer

Away = tuple[type[Exception], ...]
"""Errors that say that something the actor needs does not answer."""
Receive = Callable[[Any], Awaitable[Sequence[Sayable]]]

NAK_BASE_S: Final = 0.5
NAK_CAP_S: Final = 30.0
AWAY_S: Final = 2.0
"""How long a message waits for a store that does not answer."""
LETTER_BYTES: Final = 768 * 1024
"""The largest dead letter; the broker takes 1 MiB."""
ERROR_CHARACTERS: Final = 4096
FAILURES_KEPT: Final = 1024
"""Messages whose failures are counted at once."""
ACK: Final = b"+ACK"
IN_PROGRESS: Final = b"+WPI"
TERMINATE: Final = b"+TERM"


class DeadLetter(Struct, frozen=True, kw_only=True):
    """What is kept of a message that nobody could answer."""

    module: str
    stream: str
    consumer: str
    sequence: int
    subject: str
    delivered: int
    error: str
    reason: str
    """``poison``, ``misaddressed``, ``gave_up`` or ``exhausted``."""
    headers: dict[str, str]
    body: str
    cut: bool = False
    """True when the body was too large for a letter and lost its end."""


class Decode(Protocol):
    """Turns a body into one of the messages the actor hears."""

    def decode(self, data: bytes, /) -> Struct:
        """Return the message.

        Raises:
            msgspec.DecodeError: it is none of them.
        """
        ...


class Report(Protocol):
    """Says that messages were put off."""

    def __call__(self, journal: ActionLog, counted: Counted, /, *, why: str) -> None:
        """Say it."""
        ...


class Answering:
    """What is under way for one actor, and how each message ends."""

    def __init__(
        self,
        *,
        bus: Transport,
        module: Module,
        decoder: Decode,
        receive: Receive,
        dice: random.Random,
        away: Away = (),
        tracer: Tracer = UNTRACED,
        log: ActionLog | None = None,
    ) -> None:
        self._bus = bus
        self._module = module
        self._decoder = decoder
        self._receive = receive
        self._dice = dice
        self._away = away
        self._tracer = tracer
        self.log = log or ActionLog(module=module, clock=SystemClock())
        self._stores = Tally()
        self._words = Tally()
        self._failures: dict[int, int] = {}
        self._beaten: dict[str, float] = {}
        self.done = 0
        self.failed = 0

    @property
    def under_way(self) -> int:
        """How many messages are being answered."""
        return len(self._beaten)

    def begin(self, message: Msg) -> None:
        """Count a message as under way, from now on until ``answer`` is over."""
        self._beaten[message.reply] = time.monotonic()

    def forget(self) -> None:
        """Nothing is under way any more: those who did it were ended."""
        self._beaten.clear()

    async def answer(self, message: Msg, consumer: Consumer) -> None:
        """Answer a message that ``begin`` was called for."""
        span = self._tracer.processing(message, module=self._module, consumer=consumer.name)
        try:
            with span:
                verdict = await self._verdict(message, consumer)
                span.settled(verdict)
            await self._bus.send(message.reply, verdict)
            self.done += 1
        finally:
            self._beaten.pop(message.reply, None)

    async def beat(self, every_s: float) -> None:
        """Tell the server which messages are still being worked on."""
        now = time.monotonic()
        for reply, since in tuple(self._beaten.items()):
            if now - since >= every_s:
                self._beaten[reply] = now
                await self._bus.send(reply, IN_PROGRESS)

    async def _verdict(self, message: Msg, consumer: Consumer) -> bytes:
        if Delivery.count(message.reply) > consumer.patience:
            return await self._bury(message, "exhausted", "delivered too often")
        try:
            heard = self._decoder.decode(message.data)
        except UNREADABLE as poison:
            return await self._bury(message, "poison", str(poison))
        current().about(heard)
        if wrong := mismatch(message.subject, heard, (message.headers or {}).get(SCHEMA, "")):
            return await self._bury(message, "misaddressed", wrong)
        try:
            await self._bus.say(await self._receive(heard))
        except TryLater as later:
            return nak(later.retry_after)
        except GiveUp as gave_up:
            return await self._bury(message, "gave_up", str(gave_up))
        except BusError as away:
            self._put_off(self._words, reports.saying_failed, message, str(away))
            return nak(NAK_BASE_S)
        except self._away as away:
            # What the actor needs is away, which is no fault of the message: it is not counted.
            why = f"{type(away).__name__}: {away}"
            self._put_off(self._stores, reports.store_away, message, why)
            return nak(AWAY_S)
        except Exception as bug:
            current().failed(f"{type(bug).__name__}: {bug}")
            reports.handler_failed(self.log, about(message), subject=message.subject, bug=bug)
            return await self._again(message, consumer, bug)
        return ACK

    async def _again(self, message: Msg, consumer: Consumer, bug: Exception) -> bytes:
        self.failed += 1
        sequence = Delivery.of(message.reply).sequence
        failures = self._failures.pop(sequence, 0) + 1
        if failures >= consumer.max_deliver:
            return await self._bury(message, "exhausted", f"{type(bug).__name__}: {bug}")
        self._failures[sequence] = failures
        if len(self._failures) > FAILURES_KEPT:
            self._failures.pop(next(iter(self._failures)))
        ceiling = min(NAK_CAP_S, NAK_BASE_S * 2.0**failures)
        return nak(self._dice.uniform(NAK_BASE_S, ceiling))

    async def _bury(self, message: Msg, reason: str, why: str) -> bytes:
        origin = Delivery.of(message.reply)
        letter = DeadLetter(
            module=self._module,
            stream=origin.stream,
            consumer=origin.consumer,
            sequence=origin.sequence,
            subject=message.subject,
            delivered=origin.delivered,
            error=why[:ERROR_CHARACTERS],
            reason=reason,
            headers=dict(message.headers or {}),
            body=message.data.decode("utf-8", "replace"),
        )
        current().failed(f"{reason}: {why}")
        try:
            await self._bus.publish(
                build.dead_letter(self._module),
                _sealed(letter),
                {MSG_ID: f"dlq:{origin.stream}:{origin.consumer}:{origin.sequence}"},
            )
        except BusError as away:
            reports.letter_not_stored(
                self.log, about(message), subject=message.subject, why=str(away)
            )
            return nak(NAK_BASE_S)
        reports.dead_letter(
            self.log, about(message), subject=message.subject, why=letter.error, reason=reason
        )
        return TERMINATE

    def _put_off(self, tally: Tally, report: Report, message: Msg, why: str) -> None:
        if counted := tally.add(about(message)):
            report(self.log, counted, why=why)


def about(message: Msg) -> About:
    """Return the job and tenant that a message's subject names."""
    where = place(message.subject)
    return About(where.job, where.tenant)


def _sealed(letter: DeadLetter) -> bytes:
    """Return a letter as JSON, small enough to be stored."""
    sealed = msgspec.json.encode(letter)
    while len(sealed) > LETTER_BYTES and letter.body:
        half = letter.body[: len(letter.body) // 2]
        letter = structs.replace(letter, body=half, cut=True)
        sealed = msgspec.json.encode(letter)
    return sealed


def nak(after_s: float) -> bytes:
    """Return the answer that asks for a redelivery after so many seconds."""
    return b'-NAK {"delay": %d}' % int(max(after_s, 0.001) * 1_000_000_000)
