"""Which transfer a movement of money is, and the rules that an audit checks.

The model is TigerBeetle's: an account has debits and credits, a transfer moves an amount from one
to another and is never changed. A *pending* transfer only reserves; one other transfer *posts* it
(at most its amount, the rest goes back) or *voids* it. The ids are made by whoever asks, so asking
twice changes nothing.

    top-up     platform:grants -> wallet                 transfer
    hold       wallet -> platform:revenue                pending
    settle     wallet -> platform:revenue                post
    release    wallet -> platform:revenue                void
    render     platform:expense -> provider              transfer
    ... that explores or runs on shadow: platform:exploration -> provider

Only wallets are guarded: what is available there (posted less held) is never below zero. The others
have no stored balance, so no row is fought over. The transfers of a tenant form a chain of hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct

from economics.errors import LedgerConflictError
from schemas.base import JobId, MicroTokens, ProviderId, TaskId, TenantId, UserId

GRANTS: Final = "platform:grants"
REVENUE: Final = "platform:revenue"
EXPENSE: Final = "platform:expense"
EXPLORATION: Final = "platform:exploration"

LARGEST: Final = 10**15
"""A billion tokens in micro-tokens: far above any real transfer, far below what a bigint holds."""

_WALLET: Final = "wallet:"
_PROVIDER: Final = "provider:"
_BURNS: Final = frozenset({"exploration", "shadow"})
"""Roles whose renders bring no revenue of their own."""


_NO_TASK: Final = TaskId("")


class Kind(StrEnum):
    """What a transfer does."""

    PENDING = "pending"
    POST = "post"
    VOID = "void"
    TRANSFER = "transfer"


class Transfer(Struct, frozen=True, kw_only=True):
    """One movement of money, as asked for."""

    id: str
    kind: Kind
    debit: str
    credit: str
    amount: MicroTokens
    tenant_id: TenantId
    job_id: JobId
    at: datetime
    pending_id: str = ""
    user_id: UserId = UserId("")
    task_id: TaskId = TaskId("")
    effect_type: str = ""
    memo: str = ""
    detail: str = ""
    """JSON for the machine, such as the price that was quoted."""


class Entry(Struct, frozen=True, kw_only=True):
    """A transfer in the ledger: its place in the tenant's chain, and the seals."""

    transfer: Transfer
    sequence: int
    previous: str
    seal: str


class Change(Struct, frozen=True, kw_only=True):
    """What a transfer does to the balance of one account."""

    account: str
    debits_posted: MicroTokens = 0
    credits_posted: MicroTokens = 0
    debits_pending: MicroTokens = 0

    @property
    def available(self) -> MicroTokens:
        """What may be spent more, or less, after the change."""
        return self.credits_posted - self.debits_posted - self.debits_pending


def wallet_of(tenant_id: TenantId) -> str:
    """Return the account of what a tenant has."""
    return _WALLET + tenant_id


def account_of(provider_id: ProviderId) -> str:
    """Return the account of what a provider has cost."""
    return _PROVIDER + provider_id


def provider_in(account: str) -> ProviderId:
    """Return the provider an account belongs to; empty when it is no provider's."""
    found = account.startswith(_PROVIDER)
    return ProviderId(account.removeprefix(_PROVIDER) if found else "")


def is_cost(transfer: Transfer) -> bool:
    """Say whether a transfer books what a render cost."""
    return transfer.credit.startswith(_PROVIDER)


def guarded(account: str) -> bool:
    """Say whether an account may never be overdrawn."""
    return account.startswith(_WALLET)


def hold_id(name: str) -> str:
    """Return the transfer id of a hold."""
    return f"hold:{name}"


def top_up(
    *, name: str, tenant_id: TenantId, job_id: JobId, user_id: UserId, amount: int, at: datetime
) -> Transfer:
    """Return the transfer that pays tokens into a wallet."""
    return Transfer(
        id=f"topup:{name}",
        kind=Kind.TRANSFER,
        debit=GRANTS,
        credit=wallet_of(tenant_id),
        amount=amount,
        tenant_id=tenant_id,
        job_id=job_id,
        user_id=user_id,
        memo="top-up",
        at=at,
    )


def hold(
    *,
    name: str,
    tenant_id: TenantId,
    job_id: JobId,
    user_id: UserId,
    effect_type: str,
    amount: int,
    at: datetime,
    detail: str = "",
) -> Transfer:
    """Return the transfer that reserves the price of a job."""
    return Transfer(
        id=hold_id(name),
        kind=Kind.PENDING,
        debit=wallet_of(tenant_id),
        credit=REVENUE,
        amount=amount,
        tenant_id=tenant_id,
        job_id=job_id,
        user_id=user_id,
        effect_type=effect_type,
        memo=f"held for {effect_type}",
        detail=detail,
        at=at,
    )


def settlement(held: Transfer, *, task_id: TaskId, at: datetime) -> Transfer:
    """Return the transfer that charges a hold, in full: the price was the quote."""
    return _resolution(held, Kind.POST, f"charged for {held.effect_type}", at, task_id)


def release(held: Transfer, *, reason: str, at: datetime) -> Transfer:
    """Return the transfer that gives a hold back."""
    return _resolution(held, Kind.VOID, reason or "released", at)


def booking(
    *,
    task_id: TaskId,
    provider_id: ProviderId,
    tenant_id: TenantId,
    job_id: JobId,
    effect_type: str,
    role: str,
    amount: int,
    at: datetime,
) -> Transfer:
    """Return the transfer that books what a task's renders cost."""
    return Transfer(
        id=f"cost:{task_id}",
        kind=Kind.TRANSFER,
        debit=EXPLORATION if role in _BURNS else EXPENSE,
        credit=account_of(provider_id),
        amount=amount,
        tenant_id=tenant_id,
        job_id=job_id,
        task_id=task_id,
        effect_type=effect_type,
        memo=f"render, {role}",
        at=at,
    )


def changes_of(transfer: Transfer, held: Transfer | None) -> tuple[Change, ...]:
    """Return what a transfer does to each account, in the order of the accounts' names.

    ``held`` is the pending transfer that a post or a void resolves.
    """
    reserved = held.amount if held else 0
    moved = transfer.amount
    match transfer.kind:
        case Kind.PENDING:
            changes = [Change(account=transfer.debit, debits_pending=moved)]
        case Kind.VOID:
            changes = [Change(account=transfer.debit, debits_pending=-reserved)]
        case Kind.POST | Kind.TRANSFER:
            changes = [
                Change(account=transfer.debit, debits_posted=moved, debits_pending=-reserved),
                Change(account=transfer.credit, credits_posted=moved),
            ]
    return tuple(sorted(changes, key=lambda change: change.account))


def sealed(transfer: Transfer, *, sequence: int, previous: str) -> Entry:
    """Return the entry that carries a transfer on a chain after ``previous``."""
    seal = seal_of(transfer, sequence=sequence, previous=previous)
    return Entry(transfer=transfer, sequence=sequence, previous=previous, seal=seal)


def seal_of(transfer: Transfer, *, sequence: int, previous: str) -> str:
    """Return the hash over everything an entry says and the seal before it."""
    fields = (
        previous,
        str(sequence),
        transfer.id,
        transfer.kind.value,
        transfer.debit,
        transfer.credit,
        str(transfer.amount),
        transfer.tenant_id,
        transfer.job_id,
        transfer.pending_id,
        transfer.user_id,
        transfer.task_id,
        transfer.effect_type,
        transfer.memo,
        transfer.detail,
        transfer.at.astimezone(UTC).isoformat(timespec="microseconds"),
    )
    framed = "".join(f"{len(field)}:{field}" for field in fields)
    return hashlib.sha256(framed.encode()).hexdigest()


def same_or_raise(stored: Transfer, asked: Transfer) -> None:
    """Accept a repeated transfer; the time of asking may differ, nothing else.

    Raises:
        LedgerConflictError: another transfer has this id.
    """
    for field in Transfer.__struct_fields__:
        if field != "at" and getattr(stored, field) != getattr(asked, field):
            raise LedgerConflictError(asked.id, field)


def apply(balances: dict[str, Change], changes: Iterable[Change]) -> None:
    """Add changes to the balances they belong to."""
    for change in changes:
        before = balances.get(change.account, Change(account=change.account))
        balances[change.account] = Change(
            account=change.account,
            debits_posted=before.debits_posted + change.debits_posted,
            credits_posted=before.credits_posted + change.credits_posted,
            debits_pending=before.debits_pending + change.debits_pending,
        )


def _resolution(
    held: Transfer, kind: Kind, memo: str, at: datetime, task_id: TaskId = _NO_TASK
) -> Transfer:
    name = held.id.partition(":")[2]
    return Transfer(
        id=f"{kind.value}:{name}",
        kind=kind,
        debit=held.debit,
        credit=held.credit,
        amount=held.amount,
        tenant_id=held.tenant_id,
        job_id=held.job_id,
        pending_id=held.id,
        user_id=held.user_id,
        task_id=task_id,
        effect_type=held.effect_type,
        memo=memo,
        at=at,
    )
