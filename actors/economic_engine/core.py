"""Which refusal, charge or measurement follows from what the ledger holds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct, structs

from economics import ledger
from economics.cost import marginality
from economics.failures import RULES
from economics.ledger import Entry, Kind, Transfer
from schemas.asks import JobAccount
from schemas.base import JobId, MicroTokens, TaskId, TenantId, UserId
from schemas.commands import HoldTokens, ReleaseTokens, TopUpWallet
from schemas.events import LateAttemptPriced, TaskFailed, TaskSucceeded
from schemas.money import Charge, Hold, LedgerLine, Price, QuotaRefusal, Release
from schemas.tasks import TaskResult
from schemas.telemetry import ChargeMeasured


class Refusal(Struct, frozen=True, kw_only=True):
    """A hold that was not made, remembered so that asking again gives the same answer."""

    hold_id: str
    tenant_id: TenantId
    user_id: UserId
    reason: str
    """``insufficient_balance``, ``user_quota``, or ``released`` before it was asked for."""
    required: MicroTokens
    available: MicroTokens
    at: datetime


class Standing(Struct, frozen=True, kw_only=True):
    """What became of a hold so far. At most one of ``hold`` and ``refusal`` is there."""

    hold: Entry | None = None
    resolution: Entry | None = None
    refusal: Refusal | None = None


NO_BALANCE: Final = "insufficient_balance"
QUOTA: Final = "user_quota"
RELEASED: Final = "released"
"""The reason of a refusal that stands where a hold was given back before it was asked for."""

JOB_ENTRIES: Final = 500
"""Most entries one job has: a hold, its resolution, a booking for each task and late attempt."""


def hold_for(heard: HoldTokens, price: Price, at: datetime) -> Transfer:
    """Return the transfer that reserves a quoted price; the quote travels with it."""
    order = heard.payload
    return ledger.hold(
        name=order.hold_id,
        tenant_id=heard.tenant_id,
        job_id=heard.correlation_id,
        user_id=order.user_id,
        effect_type=order.effect_type,
        amount=price.total,
        detail=msgspec.json.encode(price).decode(),
        at=at,
    )


def over_budget(heard: HoldTokens, price: Price, at: datetime) -> Refusal | None:
    """Return a refusal when the user set a budget below the price; the budget is their quota."""
    budget = heard.payload.budget_microtokens
    if budget is None or price.total <= budget:
        return None
    return Refusal(
        hold_id=ledger.hold_id(heard.payload.hold_id),
        tenant_id=heard.tenant_id,
        user_id=heard.payload.user_id,
        reason=QUOTA,
        required=price.total,
        available=budget,
        at=at,
    )


def never_held(heard: ReleaseTokens, at: datetime) -> Refusal:
    """Return what stands in a hold's place when its release came first."""
    return Refusal(
        hold_id=ledger.hold_id(heard.payload.hold_id),
        tenant_id=heard.tenant_id,
        user_id=heard.payload.user_id,
        reason=RELEASED,
        required=0,
        available=0,
        at=at,
    )


def refusal_of(transfer: Transfer, reason: str, available: MicroTokens) -> Refusal:
    """Return the refusal of a hold that was asked for."""
    return Refusal(
        hold_id=transfer.id,
        tenant_id=transfer.tenant_id,
        user_id=transfer.user_id,
        reason=reason,
        required=transfer.amount,
        available=available,
        at=transfer.at,
    )


def top_up_for(heard: TopUpWallet, at: datetime) -> Transfer:
    """Return the transfer that pays a top-up in."""
    order = heard.payload
    return ledger.top_up(
        name=order.topup_id,
        tenant_id=heard.tenant_id,
        job_id=heard.correlation_id,
        user_id=order.by,
        amount=order.amount_microtokens,
        at=at,
    )


def booking_for(heard: TaskSucceeded | TaskFailed, at: datetime) -> Transfer | None:
    """Return the transfer that books a task's cost; nothing when it cost nothing."""
    payload = heard.payload
    if isinstance(payload, TaskResult):
        cost = payload.execution_telemetry.cost_microtokens
    else:
        cost = payload.cost_microtokens
    if cost == 0:
        return None
    booking = ledger.booking(
        task_id=heard.task_id,
        provider_id=payload.provider_id,
        tenant_id=heard.tenant_id,
        job_id=heard.correlation_id,
        effect_type=payload.effect_type,
        role=payload.role,
        amount=cost,
        at=at,
    )
    if isinstance(payload, TaskResult) or payload.failure_class is None:
        return booking
    bearer = RULES[payload.failure_class].payer
    why = f"failed: {payload.failure_class}, on the account of the {bearer}"
    return structs.replace(booking, memo=f"{booking.memo}, {why}")


def late_booking_for(heard: LateAttemptPriced, at: datetime) -> Transfer:
    """Return the transfer that books an attempt beside what its task was booked with.

    A task may have several; each has the id of its attempt, and says which one it is.
    """
    late = heard.payload
    usual = ledger.booking(
        task_id=heard.task_id,
        provider_id=late.provider_id,
        tenant_id=heard.tenant_id,
        job_id=heard.correlation_id,
        effect_type=late.effect_type,
        role=late.role,
        amount=late.cost_microtokens,
        at=at,
    )
    which = {"attempt": late.attempt, "agent_id": late.agent_id}
    return structs.replace(
        usual,
        id=f"{usual.id}:{late.attempt}:{late.agent_id}",
        memo=f"{usual.memo}, reported late",
        detail=msgspec.json.encode(which).decode(),
    )


def held(hold: Transfer, name: str) -> Hold:
    """Return what is said of a hold: the price is the one it was made at."""
    return Hold(
        hold_id=name,
        user_id=hold.user_id,
        price=msgspec.json.decode(hold.detail, type=Price),
        amount_microtokens=hold.amount,
    )


def refused(refusal: Refusal) -> QuotaRefusal:
    """Return what is said of a refusal."""
    return QuotaRefusal(
        user_id=refusal.user_id,
        reason=refusal.reason,
        required_microtokens=refusal.required,
        available_microtokens=refusal.available,
    )


def released(void: Transfer, name: str) -> Release:
    """Return what is said of a hold that went back."""
    return Release(
        hold_id=name, user_id=void.user_id, amount_microtokens=void.amount, reason=void.memo
    )


def nothing_released(name: str, user_id: UserId) -> Release:
    """Return what is said of a hold that was given back before it was made."""
    return Release(hold_id=name, user_id=user_id, amount_microtokens=0, reason=RELEASED)


def charged(post: Entry, job: Sequence[Entry], name: str) -> Charge:
    """Return what is said of a charge: its cost is all that was booked before it.

    A booking that comes later is in the ledger all the same, but must not change what a repeated
    command is answered.
    """
    cost = cost_before(post, job)
    return Charge(
        hold_id=name,
        user_id=post.transfer.user_id,
        amount_microtokens=post.transfer.amount,
        cost_microtokens=cost,
        marginality=marginality(post.transfer.amount, cost),
    )


def measured(post: Entry, job: Sequence[Entry]) -> ChargeMeasured | None:
    """Return the measurement of a charge, once the winner's cost says who won.

    Nothing when the winning task is not booked yet; its booking gives the measurement then.
    """
    transfer = post.transfer
    winner = next(
        (
            each
            for each in bookings(job)
            if each.transfer.task_id == transfer.task_id and not _is_late(each.transfer)
        ),
        None,
    )
    if winner is None:
        return None
    return ChargeMeasured(
        at=transfer.at,
        task_id=transfer.task_id,
        job_id=transfer.job_id,
        tenant_id=transfer.tenant_id,
        provider_id=ledger.provider_in(winner.transfer.credit),
        effect_type=winner.transfer.effect_type or transfer.effect_type,
        charged_microtokens=transfer.amount,
        cost_microtokens=cost_before(max(post, winner, key=_sequence), job),
    )


def awaited(booked: Entry, job: Sequence[Entry]) -> Entry | None:
    """Return the charge that waited for this booking to be measured."""
    for entry in job:
        transfer = entry.transfer
        if transfer.kind is Kind.POST and transfer.task_id == booked.transfer.task_id:
            return entry if entry.sequence < booked.sequence else None
    return None


def bookings(job: Sequence[Entry]) -> list[Entry]:
    """Return the entries that book what a render cost."""
    return [entry for entry in job if ledger.is_cost(entry.transfer)]


def cost_before(last: Entry, job: Sequence[Entry]) -> MicroTokens:
    """Return what was booked for the job up to an entry."""
    return sum(e.transfer.amount for e in bookings(job) if e.sequence <= last.sequence)


def account_of(job_id: JobId, job: Sequence[Entry]) -> JobAccount | None:
    """Return what a job brought and cost up to now; nothing when the ledger does not know it."""
    if not job:
        return None
    by_task: dict[TaskId, MicroTokens] = {}
    for booked in (entry.transfer for entry in bookings(job)):
        by_task[booked.task_id] = by_task.get(booked.task_id, 0) + booked.amount
    income = sum(e.transfer.amount for e in job if e.transfer.kind is Kind.POST)
    cost = sum(by_task.values())
    return JobAccount(
        job_id=job_id,
        charged_microtokens=income,
        cost_microtokens=cost,
        marginality=marginality(income, cost),
        cost_by_task=by_task,
    )


def line_of(entry: Entry) -> LedgerLine:
    """Return an entry as a person reads it."""
    transfer = entry.transfer
    return LedgerLine(
        transfer_id=transfer.id,
        kind=transfer.kind,
        debit=transfer.debit,
        credit=transfer.credit,
        amount_microtokens=transfer.amount,
        job_id=transfer.job_id,
        tenant_id=transfer.tenant_id,
        at=transfer.at.isoformat(),
        task_id=transfer.task_id,
        memo=transfer.memo,
    )


def belongs(transfer: Transfer, tenant_id: TenantId, job_id: JobId) -> bool:
    """Say whether a hold was made for this job of this tenant."""
    return transfer.tenant_id == tenant_id and transfer.job_id == job_id


def _is_late(booked: Transfer) -> bool:
    """Say whether a booking is of one late attempt; that of a task's outcome names none."""
    return bool(booked.detail)


def _sequence(entry: Entry) -> int:
    return entry.sequence
