"""What the engine needs of a ledger."""

from __future__ import annotations

from typing import Protocol

from actors.economic_engine.core import Refusal, Standing
from economics.ledger import Entry, Transfer
from schemas.asks import LedgerVerdict, Wallet
from schemas.base import JobId, TenantId


class Ledger(Protocol):
    """Double-entry and append-only. Every method may raise ``LedgerUnavailableError``."""

    async def write(self, transfer: Transfer) -> Entry:
        """Store a plain transfer, or return the entry that has its id already.

        Raises:
            LedgerConflictError: the stored transfer of this id has other fields.
        """
        ...

    async def hold(self, transfer: Transfer, *, open_limit: int) -> Standing:
        """Reserve, or refuse for want of balance or because the user has too many open holds.

        Asked again, the answer is the same, whatever has changed since.

        Raises:
            LedgerConflictError: the stored transfer of this id has other fields.
        """
        ...

    async def refuse(self, refusal: Refusal) -> Standing:
        """Remember that a hold is refused, unless it was made or refused before."""
        ...

    async def resolve(self, transfer: Transfer) -> Entry:
        """Post or void a hold and return the entry that did; the first one stays.

        Raises:
            HoldNotFoundError: there is no such hold.
        """
        ...

    async def standing(self, tenant_id: TenantId, hold_id: str) -> Standing:
        """Return what became of a tenant's hold; empty when it was never asked for.

        Raises:
            LedgerConflictError: the hold is another tenant's.
        """
        ...

    async def of_job(self, tenant_id: TenantId, job_id: JobId) -> tuple[Entry, ...]:
        """Return every entry of a job in chain order; ``ANY_TENANT`` looks everywhere."""
        ...

    async def of_tenant(self, tenant_id: TenantId, *, limit: int) -> tuple[Entry, ...]:
        """Return the newest entries of a tenant, or of everybody, oldest of them first."""
        ...

    async def wallet(self, tenant_id: TenantId) -> Wallet:
        """Return what a tenant has; ``ANY_TENANT`` adds everybody up."""
        ...

    async def verify(self) -> LedgerVerdict:
        """Add the whole ledger up again."""
        ...
