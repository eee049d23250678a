"""What renders came to and how each provider is, in Postgres."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from actors.provider_registry.health import RECENT, Pulse, Record24h
from actors.provider_registry.ports import Checkup
from actors.runtime.queries import named_queries
from schemas.base import EventId, ProviderId

_SQL: Final = named_queries(Path(__file__).with_name("queries.sql"))


class PostgresVitals:
    """``Vitals`` on a table of renders and one row for each provider."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool

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
        await self._pool.execute(_SQL["note"], event_id, provider_id, at, succeeded, duration_ms)

    async def recent(self, since: datetime) -> Mapping[ProviderId, Record24h]:
        """Return what came of the renders since then; forget what is older."""
        await self._pool.execute(_SQL["forget"], since)
        rows = await self._pool.fetch(_SQL["recent"], since, RECENT)
        return {
            ProviderId(row["provider_id"]): Record24h(
                **{name: row[name] for name in Record24h.__struct_fields__}
            )
            for row in rows
        }

    async def claim(self, window: int) -> bool:
        """Take a check, once among all processes."""
        return await self._pool.fetchrow(_SQL["claim"], window) is not None

    async def pulses(self) -> Mapping[ProviderId, Pulse]:
        """Return what the last checks made of each provider."""
        rows = await self._pool.fetch(_SQL["pulses"])
        return {ProviderId(row["provider_id"]): _checkup(row["checkup"]).pulse for row in rows}

    async def store(self, checkups: Mapping[ProviderId, Checkup]) -> None:
        """Keep what a check found; what crossed and was not said stays to be said."""
        rows = [
            (name, body := msgspec.json.encode(each).decode(), body if each.crossed else None)
            for name, each in sorted(checkups.items())
        ]
        await self._pool.executemany(_SQL["store_health"], rows)

    async def unsaid(self) -> Mapping[ProviderId, Checkup]:
        """Return what crossed and was not said yet."""
        rows = await self._pool.fetch(_SQL["unsaid"])
        return {ProviderId(row["provider_id"]): _checkup(row["unsaid"]) for row in rows}

    async def said(self, windows: Mapping[ProviderId, int]) -> None:
        """Strike out what crossed in these checks: it was said."""
        await self._pool.executemany(_SQL["said"], sorted(windows.items()))


def _checkup(body: str) -> Checkup:
    return msgspec.json.decode(body, type=Checkup)
