"""What the engine is told, one builder for each message."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from schemas.base import EventId, JobId, ProviderId, TaskId, TenantId, UserId
from schemas.commands import (
    HoldOrder,
    HoldTokens,
    ReleaseOrder,
    ReleaseTokens,
    SettleOrder,
    SettleTokens,
    TopUp,
    TopUpWallet,
)
from schemas.events import LateAttempt, LateAttemptPriced, TaskSucceeded
from schemas.telemetry import ChargeMeasured, Sample, TelemetryPacket
from tests.builders import JOB, NOON, TASK, TENANT, USER, WARM, header, task_succeeded


def hold_tokens(
    event_id: str = "evt_hold",
    *,
    hold_id: str = "h1",
    job_id: JobId = JOB,
    tenant_id: TenantId = TENANT,
    effect_type: str = "color_correction",
    priority: str = "cost",
    budget: int | None = None,
) -> HoldTokens:
    """Ask for twelve tokens, at the cheapest priority."""
    return HoldTokens(
        **header(event_id, job_id, tenant_id),  # type: ignore[arg-type]
        payload=HoldOrder(
            hold_id=hold_id,
            user_id=USER,
            effect_type=effect_type,
            priority=priority,
            budget_microtokens=budget,
        ),
    )


def settle_tokens(
    event_id: str = "evt_settle",
    *,
    hold_id: str = "h1",
    job_id: JobId = JOB,
    task_id: TaskId = TASK,
) -> SettleTokens:
    """Charge the hold."""
    return SettleTokens(
        **header(event_id, job_id),  # type: ignore[arg-type]
        payload=SettleOrder(hold_id=hold_id, user_id=USER, winning_task_id=task_id),
    )


def release_tokens(event_id: str = "evt_release", *, job_id: JobId = JOB) -> ReleaseTokens:
    """Give the hold back."""
    return ReleaseTokens(
        **header(event_id, job_id),  # type: ignore[arg-type]
        payload=ReleaseOrder(hold_id="h1", user_id=USER, reason="rejected by an admin"),
    )


def top_up(amount: int = 20_000_000, *, name: str = "t1") -> TopUpWallet:
    """Pay tokens in."""
    return TopUpWallet(
        **header(f"evt_{name}", JobId("topup")),  # type: ignore[arg-type]
        payload=TopUp(topup_id=name, amount_microtokens=amount, by=UserId("usr_admin")),
    )


def exploration(event_id: str = "evt_explored", *, task_id: str = "task_x") -> TaskSucceeded:
    """Tell of a render that explored."""
    told = task_succeeded(event_id, task_id=task_id, provider_id="fx-other")
    return replace(told, payload=replace(told.payload, role="exploration"))


def late_attempt(
    event_id: str = "evt_late", *, attempt: int = 1, agent_id: str = "agent_1", cost: int = 700_000
) -> LateAttemptPriced:
    """Tell of a render that was reported after its task had ended."""
    return LateAttemptPriced(
        **header(event_id),  # type: ignore[arg-type]
        task_id=TASK,
        payload=LateAttempt(
            attempt=attempt,
            agent_id=agent_id,
            provider_id=WARM,
            effect_type="color_correction",
            cost_microtokens=cost,
        ),
    )


def packet(*samples: Sample, at: datetime = NOON) -> TelemetryPacket:
    """Pack samples."""
    return TelemetryPacket(
        event_id=EventId("evt_packet"),
        timestamp=at,
        correlation_id=JOB,
        tenant_id=TENANT,
        module="execution",
        samples=samples,
    )


def charge(
    number: int, at: datetime, *, charged: int, cost: int, name: str = "a"
) -> ChargeMeasured:
    """Return the measurement of one charge."""
    return ChargeMeasured(
        at=at,
        task_id=TaskId(f"task_{number}"),
        job_id=JobId(f"job_{number}"),
        tenant_id=TENANT,
        provider_id=ProviderId(name),
        effect_type="style_transfer",
        charged_microtokens=charged,
        cost_microtokens=cost,
    )
