"""Reads what a stack knows, running or not: events from the streams, the rest from Postgres.

When nothing runs in this home, the embedded servers are started for as long as it takes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct
from nats.aio.msg import Msg

from actors.economic_engine import core as money
from actors.economic_engine.postgres import PostgresLedger
from actors.orchestrator.postgres import PostgresJobIndex
from actors.provider_registry.postgres import PostgresRecords
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import SystemClock
from actors.runtime.feed import Feed
from actors.runtime.wire import Delivery
from effectmesh.database import migrate, pooled
from effectmesh.servers import servers_of
from effectmesh.settings import Settings
from effectmesh.state import running
from schemas.asks import ANY_TENANT, JobFound, JobSummary, Statement
from schemas.base import JobId, TenantId
from schemas.routing import ProviderRecord, RoutingManifest
from subjects import build
from subjects.topology import EVT, MANIFEST_KEY, ROUTING


class Heard(Struct, frozen=True, kw_only=True):
    """One event of a job, as the stream keeps it."""

    sequence: int
    at: datetime
    module: str
    event_type: str
    body: dict[str, Any]


class Reader:
    """Made by ``reading``."""

    def __init__(self, *, bus: Bus, pool: asyncpg.Pool) -> None:
        self._bus = bus
        self.ledger = PostgresLedger(pool=pool)
        self._index = PostgresJobIndex(pool=pool)
        self._records = PostgresRecords(pool=pool, clock=SystemClock())

    async def jobs(self, *, limit: int) -> Sequence[JobSummary]:
        """Return the newest jobs of every tenant."""
        return await self._index.page(ANY_TENANT, limit=limit)

    async def job(self, job_id: str) -> JobFound:
        """Return one job."""
        return await self._index.find(ANY_TENANT, JobId(job_id))

    async def statement(self, tenant_id: TenantId, job_id: JobId) -> Statement:
        """Return a job's ledger lines and what it earned."""
        entries = await self.ledger.of_job(tenant_id, job_id)
        return Statement(
            lines=tuple(money.line_of(each) for each in entries),
            account=money.account_of(job_id, entries),
        )

    async def events(self, job_id: str) -> Sequence[Heard]:
        """Return every event about a job, in the order they were stored."""
        return await self._events(build.facts_about(job_id))

    async def providers(self) -> Sequence[ProviderRecord]:
        """Return the current revision of every provider."""
        return await self._records.current()

    async def manifest(self) -> RoutingManifest | None:
        """Return the newest routing manifest."""
        found = await self._bus.last(
            build.bucket_stream(ROUTING), build.entry(ROUTING, MANIFEST_KEY)
        )
        return msgspec.json.decode(found[1], type=RoutingManifest) if found else None

    async def _events(self, subject: str) -> Sequence[Heard]:
        found: dict[str, Heard] = {}

        async def take(message: Msg, delivery: Delivery) -> None:
            try:
                envelope = msgspec.json.decode(message.data, type=_Envelope)
                body = msgspec.json.decode(message.data, type=dict[str, Any])
            except ValueError:
                return  # no fact: a trace must be readable whatever somebody put on the subject
            _, module, kind, *_ = message.subject.split(".")
            # a fact that was said again after the stream forgot its id is the same fact
            found.setdefault(
                envelope.event_id,
                Heard(
                    sequence=delivery.sequence,
                    at=envelope.timestamp,
                    module=module,
                    event_type=kind,
                    body=body,
                ),
            )

        await Feed(bus=self._bus, stream=EVT, subject=subject).read(take)
        return tuple(found.values())


class _Envelope(Struct):
    event_id: str
    timestamp: datetime


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Reader]:
    """Yield a reader of the running stack, or of the stopped one's data."""
    now = running(settings)
    if now is not None:
        async with _reader(now.nats_url, now.postgres_url) as reader:
            yield reader
        return
    async with (
        servers_of(settings) as endpoints,
        _reader(endpoints.nats_url, endpoints.postgres_url) as reader,
    ):
        yield reader


@asynccontextmanager
async def _reader(nats_url: str, postgres_url: str) -> AsyncIterator[Reader]:
    async with pooled(postgres_url, size=2) as pool, connected(nats_url, name="reader") as bus:
        await migrate(pool)
        yield Reader(bus=bus, pool=pool)
