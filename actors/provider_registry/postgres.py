"""Provider records in Postgres, one row for each revision."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from actors.runtime.contract import Clock
from actors.runtime.queries import named_queries
from schemas.routing import ProviderRecord

_SQL: Final = named_queries(Path(__file__).with_name("queries.sql"))


class PostgresRecords:
    """``Records`` on one table that is only ever added to."""

    def __init__(self, *, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def current(self) -> tuple[ProviderRecord, ...]:
        """Return the newest revision of every provider, sorted by provider id."""
        rows = await self._pool.fetch(_SQL["current"])
        return tuple(msgspec.json.decode(row["record"], type=ProviderRecord) for row in rows)

    async def ship(self, record: ProviderRecord, *, digest: str) -> ProviderRecord | None:
        """Store shipped content as a new revision, unless it was shipped before."""
        async with self._pool.acquire() as connection, connection.transaction():
            # two processes that start together must not both count to the same revision
            await connection.execute(_SQL["lock"], record.provider_id)
            row = await connection.fetchrow(_SQL["next_revision"], record.provider_id, digest)
            if row["known"]:
                return None
            stored = msgspec.structs.replace(record, revision=row["revision"])
            await connection.execute(
                _SQL["insert"],
                stored.provider_id,
                stored.revision,
                "shipped",
                digest,
                msgspec.json.encode(stored).decode(),
                self._clock.now(),
            )
        return stored
