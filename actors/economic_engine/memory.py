"""The ledger without a store, for unit tests and a dry run. Obeys the real one's suite."""

from __future__ import annotations

from actors.economic_engine import core
from actors.economic_engine.core import Refusal, Standing
from actors.economic_engine.errors import HoldNotFoundError
from economics.audit import Audit, Head
from economics.errors import LedgerConflictError
from economics.ledger import (
    Change,
    Entry,
    Kind,
    Transfer,
    apply,
    changes_of,
    guarded,
    same_or_raise,
    sealed,
    wallet_of,
)
from schemas.asks import ANY_TENANT, LedgerVerdict, Wallet
from schemas.base import JobId, TenantId, UserId


class MemoryLedger:
    """Keeps every entry in a list. One event loop, so no step is ever interrupted."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._by_id: dict[str, Entry] = {}
        self._resolutions: dict[str, Entry] = {}
        self._refusals: dict[str, Refusal] = {}
        self._balances: dict[str, Change] = {}
        self._heads: dict[TenantId, Head] = {}

    async def write(self, transfer: Transfer) -> Entry:
        """Store a plain transfer, or return the entry that has its id already."""
        known = self._by_id.get(transfer.id)
        if known is None:
            return self._append(transfer)
        same_or_raise(known.transfer, transfer)
        return known

    async def hold(self, transfer: Transfer, *, open_limit: int) -> Standing:
        """Reserve, or refuse."""
        before = await self.standing(transfer.tenant_id, transfer.id)
        if before.hold:
            same_or_raise(before.hold.transfer, transfer)
        if before != Standing():
            return before
        available = self._balance(transfer.debit).available
        reason = ""
        if self._open_holds(transfer.tenant_id, transfer.user_id) >= open_limit:
            reason = core.QUOTA
        elif available < transfer.amount:
            reason = core.NO_BALANCE
        if reason:
            return await self.refuse(core.refusal_of(transfer, reason, available))
        return Standing(hold=self._append(transfer))

    async def refuse(self, refusal: Refusal) -> Standing:
        """Remember that a hold is refused, unless it was made or refused before."""
        before = await self.standing(refusal.tenant_id, refusal.hold_id)
        if before != Standing():
            return before
        self._refusals[refusal.hold_id] = refusal
        return Standing(refusal=refusal)

    async def resolve(self, transfer: Transfer) -> Entry:
        """Post or void a hold; the first one stays."""
        if transfer.pending_id in self._resolutions:
            return self._resolutions[transfer.pending_id]
        if transfer.pending_id not in self._by_id:
            raise HoldNotFoundError(transfer.pending_id)
        return self._append(transfer)

    async def standing(self, tenant_id: TenantId, hold_id: str) -> Standing:
        """Return what became of a tenant's hold."""
        found = Standing(
            hold=self._by_id.get(hold_id),
            resolution=self._resolutions.get(hold_id),
            refusal=self._refusals.get(hold_id),
        )
        owner = tenant_id
        if found.hold:
            owner = found.hold.transfer.tenant_id
        elif found.refusal:
            owner = found.refusal.tenant_id
        if owner != tenant_id:
            raise LedgerConflictError(hold_id, "tenant_id")
        return found

    async def of_job(self, tenant_id: TenantId, job_id: JobId) -> tuple[Entry, ...]:
        """Return every entry of a job."""
        found = [e for e in self._of(tenant_id) if e.transfer.job_id == job_id]
        return tuple(found[: core.JOB_ENTRIES])

    async def of_tenant(self, tenant_id: TenantId, *, limit: int) -> tuple[Entry, ...]:
        """Return the newest entries of a tenant, or of everybody."""
        return tuple(self._of(tenant_id)[-limit:]) if limit > 0 else ()

    async def wallet(self, tenant_id: TenantId) -> Wallet:
        """Return what a tenant has."""
        if tenant_id == ANY_TENANT:
            names = [name for name in self._balances if guarded(name)]
        else:
            names = [wallet_of(tenant_id)]
        balances = [self._balance(name) for name in names]
        return Wallet(
            tenant_id=tenant_id,
            available_microtokens=sum(each.available for each in balances),
            held_microtokens=sum(each.debits_pending for each in balances),
            spent_microtokens=sum(each.debits_posted for each in balances),
        )

    async def verify(self) -> LedgerVerdict:
        """Add the whole ledger up again."""
        audit = Audit()
        for entry in self.entries:
            audit.take(entry)
        return audit.close(balances=self._balances.values(), heads=self._heads.values())

    def _append(self, transfer: Transfer) -> Entry:
        head = self._heads.get(transfer.tenant_id)
        entry = sealed(
            transfer,
            sequence=head.length + 1 if head else 1,
            previous=head.seal if head else "",
        )
        held = self._by_id.get(transfer.pending_id)
        apply(self._balances, changes_of(transfer, held.transfer if held else None))
        self.entries.append(entry)
        self._by_id[transfer.id] = entry
        if transfer.pending_id:
            self._resolutions[transfer.pending_id] = entry
        self._heads[transfer.tenant_id] = Head(
            tenant_id=transfer.tenant_id, length=entry.sequence, seal=entry.seal
        )
        return entry

    def _balance(self, account: str) -> Change:
        return self._balances.get(account, Change(account=account))

    def _open_holds(self, tenant_id: TenantId, user_id: UserId) -> int:
        return sum(
            entry.transfer.kind is Kind.PENDING
            and entry.transfer.user_id == user_id
            and entry.transfer.id not in self._resolutions
            for entry in self._of(tenant_id)
        )

    def _of(self, tenant_id: TenantId) -> list[Entry]:
        return [e for e in self.entries if tenant_id in (ANY_TENANT, e.transfer.tenant_id)]
