"""What an actor is, and the few things it may use: a clock, the two refusals, what it may say.

An ``Actor`` hears one message and returns what it says. A ``Saga`` is an actor with a memory: its
state and what a step says are stored in one record, so a step happens once however often its
message is delivered. An ``Answerer`` answers questions at once and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from msgspec import Struct

from schemas.base import Message, Module
from schemas.progress import JobProgressed

Heard = TypeVar("Heard", bound=Message, contravariant=True)


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        return datetime.now(UTC)


class FrozenClock:
    """A clock that moves only when told to."""

    def __init__(self, at: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self.at = at

    def now(self) -> datetime:
        """Return the time it was set to."""
        return self.at


class Later(Struct, frozen=True, kw_only=True):
    """A timer: ``message`` comes back to ``module`` at ``at``.

    The same ``key`` and ``name`` set again replace the older timer; ``at=None`` takes it away.
    """

    key: str
    name: str
    module: Module
    at: datetime | None
    message: Message


class Put(Struct, frozen=True, kw_only=True):
    """A value for a key-value bucket, stored before the message that caused it is acknowledged."""

    bucket: str
    key: str
    value: bytes


Said = Message | Later | Put


class Actor(Protocol[Heard]):
    """Hears a message, decides, says messages. Never publishes by itself."""

    async def receive(self, heard: Heard) -> Sequence[Said]:
        """Answer one message.

        Raises:
            TryLater: not now; deliver it again after a while.
            GiveUp: never; make it a dead letter.
        """
        ...


State = TypeVar("State", bound=Struct)


class Step(Struct, Generic[State], frozen=True):
    """The outcome of one step: the new state, and what is said because of it."""

    state: State
    said: tuple[Said, ...] = ()


class Saga(Protocol[State, Heard]):
    """A state machine whose every step is one stored record.

    The runtime loads the state, asks for the step, stores state and words together under the last
    sequence it read, and only then says them. A message that was already applied says its words
    again and changes nothing. When somebody else stored a step first, the step is asked for anew,
    so ``step`` must have no effect of its own that may not be repeated.
    """

    state_type: type[State]

    def key(self, heard: Heard) -> str:
        """Return the name of the record, one subject token, such as the job id."""
        ...

    async def step(self, state: State | None, heard: Heard) -> Step[State] | None:
        """Decide. ``None`` means that this message changes nothing and says nothing.

        Raises:
            TryLater: not now; deliver it again after a while.
            GiveUp: never; make it a dead letter.
        """
        ...


class Answerer(Protocol):
    """Answers questions over request/reply."""

    async def answer(self, question: Struct) -> Struct:
        """Return the answer, a struct of ``schemas.asks``.

        Raises:
            TryLater: the answer cannot be had now.
        """
        ...


class Progress(Protocol):
    """Where live progress goes. Saying never blocks and may lose a line."""

    def say(self, line: JobProgressed) -> None:
        """Publish one line; forget it."""
        ...


class TryLater(Exception):
    """The message cannot be answered now."""

    def __init__(self, why: str, *, retry_after: float = 1.0) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        """Seconds."""


class GiveUp(Exception):
    """The message can never be answered; it goes to the dead letters."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
