"""Prices, holds and charges. Money is integers of a named unit."""

from __future__ import annotations

from msgspec import Struct

from schemas.base import JobId, MicroTokens, TaskId, TenantId, UserId


class Price(Struct, frozen=True, kw_only=True):
    """What a user pays: base price + quality premium + speed premium."""

    effect_base_price: MicroTokens
    quality_premium: MicroTokens
    speed_premium: MicroTokens
    price_version: str = "v1"

    @property
    def total(self) -> MicroTokens:
        """The sum that is held, in micro-tokens."""
        return self.effect_base_price + self.quality_premium + self.speed_premium


class Hold(Struct, frozen=True, kw_only=True):
    """The payload of ``TokensHeld``."""

    hold_id: str
    user_id: UserId
    price: Price
    amount_microtokens: MicroTokens


class Charge(Struct, frozen=True, kw_only=True):
    """The payload of ``TokensCharged``."""

    hold_id: str
    user_id: UserId
    amount_microtokens: MicroTokens
    cost_microtokens: MicroTokens
    """What all candidates of the job cost, the losing ones too."""
    marginality: float | None
    """(charged - cost) / charged; null when nothing was charged."""


class Release(Struct, frozen=True, kw_only=True):
    """The payload of ``TokensReleased``: every held token went back."""

    hold_id: str
    user_id: UserId
    amount_microtokens: MicroTokens
    reason: str


class QuotaRefusal(Struct, frozen=True, kw_only=True):
    """The payload of ``UserQuotaExceeded``."""

    user_id: UserId
    reason: str
    """``insufficient_balance`` or ``user_quota``."""
    required_microtokens: MicroTokens
    available_microtokens: MicroTokens


class LedgerLine(Struct, frozen=True, kw_only=True):
    """One transfer, as a person reads it."""

    transfer_id: str
    kind: str
    debit: str
    credit: str
    amount_microtokens: MicroTokens
    job_id: JobId
    tenant_id: TenantId
    at: str
    task_id: TaskId = TaskId("")
    memo: str = ""
