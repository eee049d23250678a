"""What the registry needs: records, validations, what renders came to, agents, queues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from msgspec import Struct

from actors.provider_registry.changing import Able, Decision, Known
from actors.provider_registry.health import Pulse, Record24h
from schemas.asks import ProviderChange, ProviderRevision
from schemas.base import EventId, ProviderId
from schemas.routing import ProviderHealth, ProviderRecord

HISTORY_LIMIT: Final = 50
"""Revisions and changes of one provider that are shown."""

Decide = Callable[[Known | None, frozenset[str]], Decision]
"""Given what is stored and the graphs that are validated, says what is to be stored."""


class Records(Protocol):
    """Provider records by revision, and their status. A stored revision never changes."""

    async def current(self) -> Sequence[ProviderRecord]:
        """Return the newest revision of every provider, with status and health, sorted by id."""
        ...

    async def ship(self, record: ProviderRecord, *, digest: str) -> ProviderRecord | None:
        """Store shipped content as a new revision, unless it was shipped before.

        Content that an admin has replaced stays replaced, also by a newer catalog; a status that an
        admin has set stays set. What decides is whether this ``digest`` was ever shipped, not
        whether it is the newest revision.

        Returns:
            The record with its revision, or ``None`` when there was nothing to do.
        """
        ...

    async def change(
        self, change_id: EventId, provider_id: ProviderId, decide: Decide
    ) -> ProviderChange:
        """Decide about one order and store what was decided, at once.

        Orders about one provider are decided one after the other, in all processes. The same
        ``change_id`` again changes nothing and returns what was decided then.
        """
        ...

    async def find(self, provider_id: ProviderId, *, revision: int = 0) -> ProviderRecord | None:
        """Return a provider's newest revision or another one, with today's status and health."""
        ...

    async def known(self, provider_id: ProviderId) -> Known | None:
        """Return what decisions about a provider are made of."""
        ...

    async def revisions(self, provider_id: ProviderId) -> Sequence[ProviderRevision]:
        """Return the newest revisions first, at most ``HISTORY_LIMIT``."""
        ...

    async def changes(self, provider_id: ProviderId) -> Sequence[ProviderChange]:
        """Return what became of the newest orders first, at most ``HISTORY_LIMIT``."""
        ...

    async def find_change(self, change_id: EventId) -> ProviderChange | None:
        """Return what became of one order; nothing while it waits."""
        ...

    async def validate(self, graph_digest: str, *, host: str, at: datetime) -> None:
        """Remember that a host can run a graph."""
        ...


class Checkup(Struct, frozen=True, kw_only=True):
    """What one check found about one provider; ``crossed`` is to be said, once."""

    pulse: Pulse
    health: ProviderHealth
    crossed: str = ""
    """The health before, when this check changed it."""
    window: int = 0
    """The check that it was found in."""


class Vitals(Protocol):
    """What renders came to, and what the checks made of it."""

    async def note(
        self,
        event_id: EventId,
        provider_id: ProviderId,
        *,
        succeeded: bool,
        duration_ms: int | None,
        at: datetime,
    ) -> None:
        """Remember a render once. ``duration_ms`` is null when it says nothing."""
        ...

    async def recent(self, since: datetime) -> Mapping[ProviderId, Record24h]:
        """Return what came of the renders since then; forget what is older."""
        ...

    async def claim(self, window: int) -> bool:
        """Take a check, once among all processes; later than all that were taken before."""
        ...

    async def pulses(self) -> Mapping[ProviderId, Pulse]:
        """Return what the last checks made of each provider."""
        ...

    async def store(self, checkups: Mapping[ProviderId, Checkup]) -> None:
        """Keep what a check found; what crossed and was not said stays to be said."""
        ...

    async def unsaid(self) -> Mapping[ProviderId, Checkup]:
        """Return what crossed and was not said yet."""
        ...

    async def said(self, windows: Mapping[ProviderId, int]) -> None:
        """Strike out what crossed in these checks: it was said."""
        ...


class Fleet(Protocol):
    """The agents that are alive."""

    def able(self, provider_id: ProviderId) -> Sequence[Able]:
        """Return those that say that they can run a provider, sorted by id."""
        ...


class Queues(Protocol):
    """Where the renders of a provider wait."""

    async def ensure(self, provider_id: ProviderId) -> None:
        """Make a provider's queues unless they are there.

        Raises:
            BusError: the broker does not answer.
        """
        ...
