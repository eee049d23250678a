"""The action-oriented log record: what happened, what it costs, what to do.

A record at WARN or above cannot be built without ``economic_impact`` and ``operator_action``.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct


class EconomicImpact(Struct, frozen=True, kw_only=True):
    """What it costs whom."""

    type: str
    description: str
    estimated_cost_usd: float = 0.0
    estimated_revenue_impact_usd: float = 0.0
    affected_jobs: int = 0
    affected_users: int = 0


class OperatorAction(Struct, frozen=True, kw_only=True):
    """What to do about it."""

    classification: str
    urgency: str
    suggested_runbook_url: str
    suggested_action: str
    auto_action_taken: str = ""
    escalation_chain: tuple[str, ...] = ("auto_fix", "operator_monitor", "admin_alert_if_critical")


class Debug(Struct, frozen=True, kw_only=True, tag_field="severity", tag="DEBUG"):
    """Something without an impact."""

    timestamp: datetime
    event_id: str
    source_module: str
    event_type: str
    correlation_id: str = ""
    tenant_id: str = ""
    details: dict[str, str | int | float | bool | None] = {}


class Info(Debug, frozen=True, kw_only=True, tag="INFO"):
    """Something worth knowing."""


class Warn(Debug, frozen=True, kw_only=True, tag="WARN"):
    """Something that costs money and can be acted on."""

    economic_impact: EconomicImpact
    operator_action: OperatorAction


class Error(Warn, frozen=True, kw_only=True, tag="ERROR"):
    """Something that failed."""


class Critical(Warn, frozen=True, kw_only=True, tag="CRITICAL"):
    """Something that must be acted on now."""


LogRecord = Debug | Info | Warn | Error | Critical
