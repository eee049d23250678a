"""The registry's stores in memory; they pass the same suites as the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from actors.provider_registry.changing import Able, Known
from actors.provider_registry.health import RECENT, Pulse, Record24h
from actors.provider_registry.ports import HISTORY_LIMIT, Checkup, Decide
from actors.runtime.contract import Clock, FrozenClock
from schemas.asks import ProviderChange, ProviderRevision
from schemas.base import EventId, ProviderId, UserId
from schemas.routing import ProviderHealth, ProviderRecord


class MemoryRecords:
    """``Records`` that are gone with the process."""

    def __init__(self, *, clock: Clock | None = None) -> None:
        self._clock = clock or FrozenClock()
        self._stored: dict[ProviderId, list[tuple[ProviderRecord, ProviderRevision]]] = {}
        self._shipped: set[tuple[ProviderId, str]] = set()
        self._standing: dict[ProviderId, str] = {}
        self._changes: dict[EventId, ProviderChange] = {}
        self.validated: dict[str, tuple[str, datetime]] = {}
        self.healths: dict[ProviderId, ProviderHealth] = {}

    async def current(self) -> tuple[ProviderRecord, ...]:
        """Return the newest revision of every provider, with status and health, sorted by id."""
        return tuple(self._shown(self._stored[name][-1][0]) for name in sorted(self._stored))

    async def ship(self, record: ProviderRecord, *, digest: str) -> ProviderRecord | None:
        """Store shipped content as a new revision, unless it was shipped or edited before."""
        known = self._stored.get(record.provider_id, [])
        edited = bool(known) and known[-1][1].origin == "admin"
        if edited or (record.provider_id, digest) in self._shipped:
            return None
        self._shipped.add((record.provider_id, digest))
        stored = msgspec.structs.replace(record, revision=len(known) + 1)
        self._add(stored, origin="shipped")
        return self._shown(stored)

    async def change(
        self, change_id: EventId, provider_id: ProviderId, decide: Decide
    ) -> ProviderChange:
        """Decide about one order and store what was decided, at once."""
        if change_id in self._changes:
            return self._changes[change_id]
        decision = decide(await self.known(provider_id), frozenset(self.validated))
        if decision.record is not None:
            self._add(decision.record, origin="admin", by=decision.change.by)
        if decision.status:
            self._standing[provider_id] = decision.status
        self._changes[change_id] = decision.change
        return decision.change

    async def find(self, provider_id: ProviderId, *, revision: int = 0) -> ProviderRecord | None:
        """Return a provider's newest revision or another one, with today's status and health."""
        stored = self._stored.get(provider_id, [])
        wanted = revision or len(stored)
        return self._shown(stored[wanted - 1][0]) if 0 < wanted <= len(stored) else None

    async def known(self, provider_id: ProviderId) -> Known | None:
        """Return what decisions about a provider are made of."""
        if provider_id not in self._stored:
            return None
        record, line = self._stored[provider_id][-1]
        return Known(
            record=self._shown(record),
            stored_at=line.created_at,
            validated=frozenset(self.validated),
        )

    async def revisions(self, provider_id: ProviderId) -> Sequence[ProviderRevision]:
        """Return the newest revisions first."""
        lines = [line for _, line in self._stored.get(provider_id, [])]
        return lines[::-1][:HISTORY_LIMIT]

    async def changes(self, provider_id: ProviderId) -> Sequence[ProviderChange]:
        """Return what became of the newest orders first."""
        found = [each for each in self._changes.values() if each.provider_id == provider_id]
        return found[::-1][:HISTORY_LIMIT]

    async def find_change(self, change_id: EventId) -> ProviderChange | None:
        """Return what became of one order; nothing while it waits."""
        return self._changes.get(change_id)

    async def validate(self, graph_digest: str, *, host: str, at: datetime) -> None:
        """Remember that a host can run a graph."""
        self.validated[graph_digest] = (host, at)

    def _add(self, record: ProviderRecord, *, origin: str, by: str = "") -> None:
        line = ProviderRevision(
            revision=record.revision, origin=origin, created_at=self._clock.now(), by=UserId(by)
        )
        self._stored.setdefault(record.provider_id, []).append((record, line))

    def _shown(self, record: ProviderRecord) -> ProviderRecord:
        return msgspec.structs.replace(
            record,
            status=self._standing.get(record.provider_id, record.status),
            health=self.healths.get(record.provider_id),
        )


class MemoryVitals:
    """``Vitals`` that are gone with the process; ``records`` are shown what the checks found."""

    def __init__(self, *, records: MemoryRecords | None = None) -> None:
        self._records = records or MemoryRecords()
        self._renders: dict[EventId, tuple[ProviderId, datetime, bool, int | None]] = {}
        self._window = 0
        self._checkups: dict[ProviderId, Checkup] = {}
        self._unsaid: dict[ProviderId, Checkup] = {}

    async def note(
        self,
        event_id: EventId,
        provider_id: ProviderId,
        *,
        succeeded: bool,
        duration_ms: int | None,
        at: datetime,
    ) -> None:
        """Remember a render once."""
        self._renders.setdefault(event_id, (provider_id, at, succeeded, duration_ms))

    async def recent(self, since: datetime) -> Mapping[ProviderId, Record24h]:
        """Return what came of the renders since then; forget what is older."""
        self._renders = {name: each for name, each in self._renders.items() if each[1] >= since}
        newest = sorted(self._renders.items(), key=lambda one: (-one[1][1].timestamp(), one[0]))
        by_provider: dict[ProviderId, list[tuple[bool, int | None]]] = {}
        for _, (provider_id, _, succeeded, duration_ms) in newest:
            by_provider.setdefault(provider_id, []).append((succeeded, duration_ms))
        return {name: _summed(renders) for name, renders in by_provider.items()}

    async def claim(self, window: int) -> bool:
        """Take a check, once among all processes."""
        if window <= self._window:
            return False
        self._window = window
        return True

    async def pulses(self) -> Mapping[ProviderId, Pulse]:
        """Return what the last checks made of each provider."""
        return {name: each.pulse for name, each in self._checkups.items()}

    async def store(self, checkups: Mapping[ProviderId, Checkup]) -> None:
        """Keep what a check found; what crossed and was not said stays to be said."""
        self._checkups |= checkups
        self._unsaid |= {name: each for name, each in checkups.items() if each.crossed}
        self._records.healths |= {name: each.health for name, each in checkups.items()}

    async def unsaid(self) -> Mapping[ProviderId, Checkup]:
        """Return what crossed and was not said yet."""
        return dict(self._unsaid)

    async def said(self, windows: Mapping[ProviderId, int]) -> None:
        """Strike out what crossed in these checks: it was said."""
        for name, window in windows.items():
            if name in self._unsaid and self._unsaid[name].window == window:
                del self._unsaid[name]


class MemoryFleet:
    """``Fleet`` as a test wants it."""

    def __init__(self, **agents: Sequence[Able]) -> None:
        self.agents: dict[str, Sequence[Able]] = dict(agents)

    def able(self, provider_id: ProviderId) -> Sequence[Able]:
        """Return those that were given."""
        return self.agents.get(provider_id, ())


class MemoryQueues:
    """``Queues`` that remember what was asked for."""

    def __init__(self) -> None:
        self.made: list[ProviderId] = []

    async def ensure(self, provider_id: ProviderId) -> None:
        """Remember it."""
        self.made.append(provider_id)


def _summed(renders: Sequence[tuple[bool, int | None]]) -> Record24h:
    recent = renders[:RECENT]
    return Record24h(
        succeeded=sum(good for good, _ in renders),
        failed=sum(not good for good, _ in renders),
        latency_ms=_mean(renders),
        recent_succeeded=sum(good for good, _ in recent),
        recent_failed=sum(not good for good, _ in recent),
        recent_latency_ms=_mean(recent),
    )


def _mean(renders: Sequence[tuple[bool, int | None]]) -> int | None:
    taken = [ms for good, ms in renders if good and ms is not None]
    return round(sum(taken) / len(taken)) if taken else None
