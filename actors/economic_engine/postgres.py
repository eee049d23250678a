"""The ledger in Postgres. The database itself refuses what must not happen.

Money of one tenant moves under the lock of its chain's row, so two commands for one wallet wait for
each other and two tenants never do. What may not be overdrawn is a check constraint, a second
resolution meets a unique index, and a changed or deleted entry meets a trigger: a bug in this file
costs an error, not money.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import asyncpg

from actors.economic_engine import core
from actors.economic_engine.core import Refusal, Standing
from actors.economic_engine.errors import HoldNotFoundError, LedgerUnavailableError
from actors.runtime.queries import named_queries
from economics.audit import Audit, Head
from economics.errors import LedgerConflictError
from economics.ledger import (
    Change,
    Entry,
    Kind,
    Transfer,
    changes_of,
    guarded,
    same_or_raise,
    sealed,
    wallet_of,
)
from schemas.asks import ANY_TENANT, PAGE_LIMIT, LedgerVerdict, Wallet
from schemas.base import JobId, TaskId, TenantId, UserId

_QUERIES: Final = named_queries(Path(__file__).with_name("queries.sql"))
_PREFETCH: Final = 500
_ACQUIRE_S: Final = 10.0
_PASSING: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    OSError,
    TimeoutError,
)
"""Failures that say nothing about the transfer itself."""


class PostgresLedger:
    """Double-entry and append-only, over a pool that somebody else opens and closes."""

    def __init__(self, *, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def write(self, transfer: Transfer) -> Entry:
        """Store a plain transfer, or return the entry that has its id already."""
        async with self._locked(transfer.tenant_id) as (connection, head):
            known = await _find(connection, transfer.id)
            if known is None:
                return await _append(connection, head, transfer, None)
            same_or_raise(known.transfer, transfer)
            return known

    async def hold(self, transfer: Transfer, *, open_limit: int) -> Standing:
        """Reserve, or refuse."""
        async with self._locked(transfer.tenant_id) as (connection, head):
            before = await _standing(connection, transfer.tenant_id, transfer.id)
            if before.hold:
                same_or_raise(before.hold.transfer, transfer)
            if before != Standing():
                return before
            balance = await _balance(connection, transfer.debit)
            opened = await connection.fetchval(
                _QUERIES["count_open_holds"], transfer.tenant_id, transfer.user_id
            )
            reason = ""
            if opened >= open_limit:
                reason = core.QUOTA
            elif balance.available < transfer.amount:
                reason = core.NO_BALANCE
            if not reason:
                return Standing(hold=await _append(connection, head, transfer, None))
            refusal = core.refusal_of(transfer, reason, balance.available)
            await _insert_refusal(connection, refusal)
            return Standing(refusal=refusal)

    async def refuse(self, refusal: Refusal) -> Standing:
        """Remember that a hold is refused, unless it was made or refused before."""
        async with self._locked(refusal.tenant_id) as (connection, _):
            before = await _standing(connection, refusal.tenant_id, refusal.hold_id)
            if before != Standing():
                return before
            await _insert_refusal(connection, refusal)
            return Standing(refusal=refusal)

    async def resolve(self, transfer: Transfer) -> Entry:
        """Post or void a hold; the first one stays."""
        async with self._locked(transfer.tenant_id) as (connection, head):
            row = await connection.fetchrow(_QUERIES["find_resolution"], transfer.pending_id)
            if row:
                return _entry(row)
            held = await _find(connection, transfer.pending_id)
            if held is None:
                raise HoldNotFoundError(transfer.pending_id)
            return await _append(connection, head, transfer, held.transfer)

    async def standing(self, tenant_id: TenantId, hold_id: str) -> Standing:
        """Return what became of a tenant's hold."""
        async with self._connected() as connection:
            return await _standing(connection, tenant_id, hold_id)

    async def of_job(self, tenant_id: TenantId, job_id: JobId) -> tuple[Entry, ...]:
        """Return every entry of a job."""
        async with self._connected() as connection:
            rows = await connection.fetch(_QUERIES["of_job"], tenant_id, job_id, core.JOB_ENTRIES)
        return tuple(_entry(row) for row in rows)

    async def of_tenant(self, tenant_id: TenantId, *, limit: int) -> tuple[Entry, ...]:
        """Return the newest entries of a tenant, or of everybody."""
        bounded = max(0, min(limit, PAGE_LIMIT))
        async with self._connected() as connection:
            if tenant_id == ANY_TENANT:
                rows = await connection.fetch(_QUERIES["of_everybody"], bounded)
            else:
                rows = await connection.fetch(_QUERIES["of_tenant"], tenant_id, bounded)
        return tuple(_entry(row) for row in rows)

    async def wallet(self, tenant_id: TenantId) -> Wallet:
        """Return what a tenant has."""
        async with self._connected() as connection:
            if tenant_id == ANY_TENANT:
                balances = [_change(row) for row in await connection.fetch(_QUERIES["balances"])]
            else:
                balances = [await _balance(connection, wallet_of(tenant_id))]
        return Wallet(
            tenant_id=tenant_id,
            available_microtokens=sum(each.available for each in balances),
            held_microtokens=sum(each.debits_pending for each in balances),
            spent_microtokens=sum(each.debits_posted for each in balances),
        )

    async def verify(self) -> LedgerVerdict:
        """Add the whole ledger up again, as it stood at one moment."""
        audit = Audit()
        async with (
            self._connected() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            async for row in connection.cursor(_QUERIES["everything"], prefetch=_PREFETCH):
                audit.take(_entry(row))
            balances = [_change(row) for row in await connection.fetch(_QUERIES["balances"])]
            heads = [
                Head(tenant_id=row["tenant_id"], length=row["length"], seal=row["seal"])
                for row in await connection.fetch(_QUERIES["heads"])
            ]
        return audit.close(balances=balances, heads=heads)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        with _translated():
            async with self._pool.acquire(timeout=_ACQUIRE_S) as connection:
                yield connection

    @asynccontextmanager
    async def _locked(self, tenant_id: TenantId) -> AsyncIterator[tuple[asyncpg.Connection, Head]]:
        """Open a transaction that holds the tenant's chain."""
        async with self._connected() as connection, connection.transaction():
            row = await connection.fetchrow(_QUERIES["lock_chain"], tenant_id)
            if row is None:
                await connection.execute(_QUERIES["open_chain"], tenant_id)
                row = await connection.fetchrow(_QUERIES["lock_chain"], tenant_id)
            yield (
                connection,
                Head(tenant_id=tenant_id, length=row["length"], seal=row["seal"]),
            )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _PASSING as error:
        raise LedgerUnavailableError(str(error) or type(error).__name__) from error


async def _append(
    connection: asyncpg.Connection, head: Head, transfer: Transfer, held: Transfer | None
) -> Entry:
    """Write an entry at the end of the chain and move the balances it changes."""
    for account in sorted((transfer.debit, transfer.credit)):
        await connection.execute(_QUERIES["open_account"], account, guarded(account))
    for change in changes_of(transfer, held):
        if guarded(change.account):
            await connection.execute(
                _QUERIES["change_account"],
                change.account,
                change.debits_posted,
                change.credits_posted,
                change.debits_pending,
            )
    entry = sealed(transfer, sequence=head.length + 1, previous=head.seal)
    await connection.execute(_QUERIES["insert_transfer"], *_row(entry))
    await connection.execute(_QUERIES["move_chain"], transfer.tenant_id, entry.sequence, entry.seal)
    return entry


async def _find(connection: asyncpg.Connection, transfer_id: str) -> Entry | None:
    row = await connection.fetchrow(_QUERIES["find_transfer"], transfer_id)
    return _entry(row) if row else None


async def _standing(connection: asyncpg.Connection, tenant_id: TenantId, hold_id: str) -> Standing:
    hold = await _find(connection, hold_id)
    if hold is None:
        row = await connection.fetchrow(_QUERIES["find_refusal"], hold_id)
        if row and row["tenant_id"] != tenant_id:
            raise LedgerConflictError(hold_id, "tenant_id")
        return Standing(refusal=Refusal(**dict(row)) if row else None)
    if hold.transfer.tenant_id != tenant_id:
        raise LedgerConflictError(hold_id, "tenant_id")
    done = await connection.fetchrow(_QUERIES["find_resolution"], hold_id)
    return Standing(hold=hold, resolution=_entry(done) if done else None)


async def _balance(connection: asyncpg.Connection, account: str) -> Change:
    row = await connection.fetchrow(_QUERIES["balance"], account)
    return _change(row) if row else Change(account=account)


async def _insert_refusal(connection: asyncpg.Connection, refusal: Refusal) -> None:
    await connection.execute(
        _QUERIES["insert_refusal"],
        refusal.hold_id,
        refusal.tenant_id,
        refusal.user_id,
        refusal.reason,
        refusal.required,
        refusal.available,
        refusal.at,
    )


def _row(entry: Entry) -> tuple[object, ...]:
    transfer = entry.transfer
    return (
        transfer.id,
        transfer.kind.value,
        transfer.debit,
        transfer.credit,
        transfer.amount,
        transfer.pending_id or None,
        transfer.tenant_id,
        transfer.job_id,
        transfer.user_id,
        transfer.task_id,
        transfer.effect_type,
        transfer.memo,
        transfer.detail,
        transfer.at,
        entry.sequence,
        entry.previous,
        entry.seal,
    )


def _entry(row: asyncpg.Record) -> Entry:
    return Entry(
        transfer=Transfer(
            id=row["id"],
            kind=Kind(row["kind"]),
            debit=row["debit"],
            credit=row["credit"],
            amount=row["amount"],
            pending_id=row["pending_id"] or "",
            tenant_id=TenantId(row["tenant_id"]),
            job_id=JobId(row["job_id"]),
            user_id=UserId(row["user_id"]),
            task_id=TaskId(row["task_id"]),
            effect_type=row["effect_type"],
            memo=row["memo"],
            detail=row["detail"],
            at=row["at"],
        ),
        sequence=row["sequence"],
        previous=row["previous"],
        seal=row["seal"],
    )


def _change(row: asyncpg.Record) -> Change:
    return Change(
        account=row["id"],
        debits_posted=row["debits_posted"],
        credits_posted=row["credits_posted"],
        debits_pending=row["debits_pending"],
    )
