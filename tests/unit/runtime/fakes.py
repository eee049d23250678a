"""A saga that counts, a log in memory, and whoever it speaks to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import anyio
from msgspec import Struct

from actors.runtime.contract import Step
from actors.runtime.errors import BusUnavailableError, WrongLastSequenceError
from actors.runtime.follow import follow
from actors.runtime.wire import Outgoing
from schemas.commands import Wake
from schemas.progress import JobProgressed
from tests.builders import JOB, NOON, header


class Count(Struct, frozen=True, kw_only=True):
    """What the counting saga remembers."""

    total: int
    heard: tuple[str, ...] = ()


def wake(event_id: str, *, step: int = 1, purpose: str = "count") -> Wake:
    """Return something to hear; ``step`` is what is added."""
    return Wake(**header(event_id), purpose=purpose, step=step)  # type: ignore[arg-type]


def words_of(order: Outgoing) -> str:
    """Return the id of a said thing."""
    return order.headers["Nats-Msg-Id"]


class Counting:
    """Adds up what it hears and says one line for each. ``meanwhile`` runs inside every step."""

    state_type = Count

    def __init__(self, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        self._meanwhile = meanwhile
        self.steps = 0

    def key(self, heard: Wake) -> str:
        """One record a job."""
        return heard.correlation_id

    async def step(self, state: Count | None, heard: Wake) -> Step[Count] | None:
        """Add; ``ignore`` changes nothing."""
        self.steps += 1
        if self._meanwhile is not None:
            await self._meanwhile()
        if heard.purpose == "ignore":
            return None
        before = state or Count(total=0)
        after = Count(total=before.total + heard.step, heard=(*before.heard, heard.event_id))
        line = JobProgressed(
            **follow(heard, JobProgressed, at=NOON), stage="count", detail=str(after.total)
        )
        return Step(after, (line,))


class MemoryLog:
    """The SAGA stream, as far as a saga record needs it."""

    def __init__(self) -> None:
        self.records: dict[str, list[tuple[int, bytes]]] = {}
        self.sequence = 0
        self.loads = 0
        self.before_append: Callable[[], Awaitable[None]] | None = None

    async def last(self, key: str) -> tuple[int, bytes] | None:
        """Return the newest record."""
        self.loads += 1
        await anyio.lowlevel.checkpoint()
        stored = self.records.get(key)
        return stored[-1] if stored else None

    async def append(self, key: str, body: bytes, *, after: int) -> int:
        """Store behind ``after`` or refuse."""
        if self.before_append is not None:
            hook, self.before_append = self.before_append, None
            await hook()
        await anyio.lowlevel.checkpoint()
        stored = self.records.setdefault(key, [])
        if (stored[-1][0] if stored else 0) != after:
            raise WrongLastSequenceError(key)
        self.sequence += 1
        stored.append((self.sequence, body))
        return self.sequence


class Ears:
    """Hears everything, in order, and may be deaf for a while."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.deaf = 0
        """So many calls fail."""

    async def say(self, orders: Sequence[Outgoing]) -> None:
        """Take it, or fail as a broker that is away."""
        await anyio.lowlevel.checkpoint()
        if self.deaf:
            self.deaf -= 1
            raise BusUnavailableError("prog", after_s=1)
        self.heard.extend(words_of(order) for order in orders)

    @property
    def kept(self) -> list[str]:
        """Return what a stream with deduplication would have stored."""
        return list(dict.fromkeys(self.heard))


def line_of(event_id: str) -> str:
    """Return the id of the line that the saga says about this message."""
    return follow(wake(event_id), JobProgressed, at=NOON)["event_id"]


KEY = JOB
