"""Adds a whole ledger up again and says what is wrong with it.

It is given every entry, tenant by tenant in the order of the chain, then what the store claims the
balances and the chains' heads are. It trusts nothing the store says about itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from economics.ledger import Change, Entry, Kind, Transfer, apply, changes_of, guarded, seal_of
from schemas.asks import LedgerVerdict
from schemas.base import TenantId

PROBLEM_LIMIT: Final = 100
"""A ledger with so many is broken; a person needs no longer list."""

RULES: Final = (
    "every transfer debits one account and credits another with the same positive amount",
    "the debits of all accounts equal their credits",
    "every stored balance is the sum of its entries",
    "no wallet was ever overdrawn, holds included",
    "every hold is resolved at most once, and nothing else is",
    "no hold is charged above its amount",
    "every transfer id is there once",
    "each tenant's chain of seals is unbroken from its first entry to its head",
)


class Head(Struct, frozen=True, kw_only=True):
    """Where the store says a tenant's chain ends."""

    tenant_id: TenantId
    length: int
    seal: str


class Audit:
    """One pass over a ledger: ``take`` every entry, then ``close``."""

    def __init__(self) -> None:
        self._problems: list[str] = []
        self._ids: set[str] = set()
        self._open: dict[str, Transfer] = {}
        self._resolved: set[str] = set()
        self._balances: dict[str, Change] = {}
        self._heads: dict[TenantId, Head] = {}
        self._entries = 0

    def take(self, entry: Entry) -> None:
        """Check the next entry."""
        transfer = entry.transfer
        self._entries += 1
        self._check_fields(transfer)
        self._check_chain(entry)
        held = self._held(transfer)
        changes = changes_of(transfer, held)
        apply(self._balances, changes)
        for change in changes:
            balance = self._balances[change.account]
            if guarded(change.account) and balance.available < 0:
                self._say(f"{transfer.id} overdraws {change.account} by {-balance.available}")

    def close(self, *, balances: Iterable[Change], heads: Iterable[Head]) -> LedgerVerdict:
        """Compare with what the store claims, and judge."""
        stored = {each.account: each for each in balances}
        for name in sorted({*stored, *(name for name in self._balances if guarded(name))}):
            claimed = stored.get(name, Change(account=name))
            added = self._balances.get(name, Change(account=name))
            if guarded(name) and claimed != added:
                self._say(f"{name} is stored as {_figures(claimed)}, its entries {_figures(added)}")
        self._check_heads(heads)
        debited = sum(each.debits_posted for each in self._balances.values())
        credited = sum(each.credits_posted for each in self._balances.values())
        if debited != credited:
            self._say(f"the debits are {debited}, the credits {credited}")
        return LedgerVerdict(
            entries=self._entries,
            accounts=len({*stored, *self._balances}),
            problems=tuple(self._problems),
            checked=RULES,
        )

    def _check_fields(self, transfer: Transfer) -> None:
        if transfer.amount <= 0:
            self._say(f"{transfer.id} moves {transfer.amount}")
        if transfer.debit == transfer.credit:
            self._say(f"{transfer.id} debits and credits {transfer.debit}")
        if transfer.id in self._ids:
            self._say(f"{transfer.id} is there twice")
        self._ids.add(transfer.id)

    def _check_chain(self, entry: Entry) -> None:
        transfer = entry.transfer
        tenant = transfer.tenant_id
        before = self._heads.get(tenant, Head(tenant_id=tenant, length=0, seal=""))
        if entry.sequence != before.length + 1:
            self._say(f"{transfer.id} is entry {entry.sequence} after {before.length} of {tenant}")
        if entry.previous != before.seal:
            self._say(f"{transfer.id} does not follow the entry before it")
        again = seal_of(transfer, sequence=entry.sequence, previous=entry.previous)
        if entry.seal != again:
            self._say(f"{transfer.id} is not what was sealed")
        self._heads[tenant] = Head(tenant_id=tenant, length=entry.sequence, seal=entry.seal)

    def _held(self, transfer: Transfer) -> Transfer | None:
        """Return the hold a transfer resolves, after checking that it may."""
        if transfer.kind is Kind.PENDING:
            self._open[transfer.id] = transfer
            return None
        if transfer.kind is Kind.TRANSFER:
            return None
        held = self._open.pop(transfer.pending_id, None)
        if held is None:
            again = "a second time" if transfer.pending_id in self._resolved else "but it is absent"
            self._say(f"{transfer.id} resolves {transfer.pending_id} {again}")
            return None
        self._resolved.add(held.id)
        if (held.debit, held.credit) != (transfer.debit, transfer.credit):
            self._say(f"{transfer.id} moves money between other accounts than {held.id}")
        if transfer.amount > held.amount:
            self._say(f"{transfer.id} takes {transfer.amount} of the {held.amount} held")
        return held

    def _check_heads(self, heads: Iterable[Head]) -> None:
        claimed = {each.tenant_id: each for each in heads if each.length > 0}
        for tenant in sorted({*claimed, *self._heads}):
            if claimed.get(tenant) != self._heads.get(tenant):
                self._say(f"the chain of {tenant} does not end where its head says")

    def _say(self, problem: str) -> None:
        if len(self._problems) < PROBLEM_LIMIT:
            self._problems.append(problem)


def _figures(balance: Change) -> str:
    return (
        f"{balance.credits_posted} in, {balance.debits_posted} out, {balance.debits_pending} held"
    )
