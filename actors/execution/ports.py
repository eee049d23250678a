"""What execution needs: a price for a report, the broker's consumers, somebody who starts hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from actors.execution.state import AttemptCost
from schemas.tasks import AttemptReport
from subjects.topology import Consumer


class Pricer(Protocol):
    """Prices what an agent metered. The same report always costs the same."""

    def price(self, report: AttemptReport) -> AttemptCost:
        """Return what an attempt cost, whether it succeeded or not."""
        ...


class ConsumerLimits(Protocol):
    """How many messages of a consumer may be unanswered at once."""

    async def get(self, consumer: Consumer) -> int | None:
        """Return the limit, ``None`` when there is no such consumer.

        Raises:
            BusError: the broker cannot say.
        """
        ...

    async def set(self, consumer: Consumer, limit: int) -> None:
        """Change the limit, and nothing else; it holds from the next message on.

        Raises:
            BusError: the broker did not take it.
        """
        ...


class Entries(Protocol):
    """A local copy of the CONTROL bucket."""

    def get(self, key: str) -> bytes | None:
        """Return a key's newest value."""
        ...

    async def changed(self) -> None:
        """Return after the next change."""
        ...


class Queue(Struct, frozen=True, kw_only=True):
    """How much of one provider's work there is."""

    provider_id: str
    waiting: int
    """Nobody has taken them."""
    running: int


class Backlog(Protocol):
    """How much work there is."""

    async def read(self, provider_ids: Sequence[str]) -> Sequence[Queue]:
        """Return the queues of these providers; one that has none yet is left out.

        Raises:
            BusError: the broker cannot say.
        """
        ...


class Scaler(Protocol):
    """Starts and stops hosts."""

    async def scale(self, desired_hosts: int) -> bool:
        """Ask for so many hosts, within the bounds that are set there; say whether it was asked.

        Raises:
            ScalingFailedError: whoever starts hosts refused or did not answer.
        """
        ...
