"""Provider records in Postgres: one row for each revision, and a status beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from actors.provider_registry import core
from actors.provider_registry.changing import Known
from actors.provider_registry.ports import HISTORY_LIMIT, Decide
from actors.runtime.contract import Clock
from actors.runtime.queries import named_queries
from schemas.asks import ProviderChange, ProviderRevision
from schemas.base import EventId, ProviderId, UserId
from schemas.routing import ProviderHealth, ProviderRecord

_SQL: Final = named_queries(Path(__file__).with_name("queries.sql"))


class PostgresRecords:
    """``Records`` on tables of which only the status is ever changed."""

    def __init__(self, *, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def current(self) -> tuple[ProviderRecord, ...]:
        """Return the newest revision of every provider, with status and health, sorted by id."""
        return tuple(_record(row) for row in await self._pool.fetch(_SQL["current"]))

    async def ship(self, record: ProviderRecord, *, digest: str) -> ProviderRecord | None:
        """Store shipped content as a new revision, unless it was shipped or edited before."""
        async with self._pool.acquire() as connection, connection.transaction():
            # two processes that start together must not both count to the same revision
            await connection.execute(_SQL["lock"], record.provider_id)
            row = await connection.fetchrow(_SQL["next_revision"], record.provider_id, digest)
            if row["known"] or row["edited"]:
                return None
            stored = msgspec.structs.replace(record, revision=row["revision"])
            await self._insert(connection, stored, origin="shipped", digest=digest)
            found = await connection.fetchrow(_SQL["one"], record.provider_id, 0)
        return _record(found)

    async def change(
        self, change_id: EventId, provider_id: ProviderId, decide: Decide
    ) -> ProviderChange:
        """Decide about one order and store what was decided, at once."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["lock"], provider_id)
            if (row := await connection.fetchrow(_SQL["find_change"], change_id)) is not None:
                return _change(row)
            validated = await _validated(connection)
            decision = decide(await _known(connection, provider_id, validated), validated)
            now = self._clock.now()
            if decision.record is not None:
                digest = core.digest(decision.record)
                await self._insert(
                    connection,
                    decision.record,
                    origin="admin",
                    digest=digest,
                    by=decision.change.by,
                )
            if decision.status:
                await connection.execute(_SQL["set_status"], provider_id, decision.status, now)
            body = msgspec.json.encode(decision.change).decode()
            await connection.execute(_SQL["insert_change"], change_id, provider_id, now, body)
        return decision.change

    async def find(self, provider_id: ProviderId, *, revision: int = 0) -> ProviderRecord | None:
        """Return a provider's newest revision or another one, with today's status and health."""
        row = await self._pool.fetchrow(_SQL["one"], provider_id, revision)
        return _record(row) if row else None

    async def known(self, provider_id: ProviderId) -> Known | None:
        """Return what decisions about a provider are made of."""
        async with self._pool.acquire() as connection:
            return await _known(connection, provider_id, await _validated(connection))

    async def revisions(self, provider_id: ProviderId) -> Sequence[ProviderRevision]:
        """Return the newest revisions first."""
        rows = await self._pool.fetch(_SQL["revisions"], provider_id, HISTORY_LIMIT)
        return [
            ProviderRevision(
                revision=row["revision"],
                origin=row["origin"],
                created_at=row["created_at"],
                by=UserId(row["changed_by"]),
            )
            for row in rows
        ]

    async def changes(self, provider_id: ProviderId) -> Sequence[ProviderChange]:
        """Return what became of the newest orders first."""
        rows = await self._pool.fetch(_SQL["changes"], provider_id, HISTORY_LIMIT)
        return [_change(row) for row in rows]

    async def find_change(self, change_id: EventId) -> ProviderChange | None:
        """Return what became of one order; nothing while it waits."""
        row = await self._pool.fetchrow(_SQL["find_change"], change_id)
        return _change(row) if row else None

    async def validate(self, graph_digest: str, *, host: str, at: datetime) -> None:
        """Remember that a host can run a graph."""
        await self._pool.execute(_SQL["validate"], graph_digest, host, at)

    async def _insert(
        self,
        connection: asyncpg.Connection,
        record: ProviderRecord,
        *,
        origin: str,
        digest: str,
        by: str = "",
    ) -> None:
        await connection.execute(
            _SQL["insert"],
            record.provider_id,
            record.revision,
            origin,
            digest,
            msgspec.json.encode(record).decode(),
            self._clock.now(),
            by,
        )


async def _known(
    connection: asyncpg.Connection, provider_id: ProviderId, validated: frozenset[str]
) -> Known | None:
    row = await connection.fetchrow(_SQL["one"], provider_id, 0)
    if row is None:
        return None
    return Known(record=_record(row), stored_at=row["created_at"], validated=validated)


async def _validated(connection: asyncpg.Connection) -> frozenset[str]:
    return frozenset(row["graph_digest"] for row in await connection.fetch(_SQL["validations"]))


def _record(row: asyncpg.Record) -> ProviderRecord:
    record = msgspec.json.decode(row["record"], type=ProviderRecord)
    health = row["health"] and msgspec.json.decode(row["health"], type=ProviderHealth)
    return msgspec.structs.replace(
        record, status=row["status"] or record.status, health=health or None
    )


def _change(row: asyncpg.Record) -> ProviderChange:
    return msgspec.json.decode(row["change"], type=ProviderChange)
