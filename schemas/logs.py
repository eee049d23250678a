"""The action-oriented log record: what happened, what it costs, what to do.

A record at WARN or above cannot be built without ``economic_impact`` and ``operator_action``.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct


class Category(StrEnum):
    """Where a record may go; the first token of its subject."""

    INFRASTRUCTURE = "infrastructure"
    AWS = "aws"
    BUSINESS = "business"
    """Prices, margins, revenue. For the admin panel only."""
    OPERATIONAL = "operational"
    SECURITY = "security"


class Observed(StrEnum):
    """What a record is about, its ``event_type``."""

    DEAD_LETTER = "DEAD_LETTER"
    LETTER_NOT_STORED = "LETTER_NOT_STORED"
    HANDLER_FAILED = "HANDLER_FAILED"
    STORE_AWAY = "STORE_AWAY"
    SAYING_FAILED = "SAYING_FAILED"
    PART_RESTARTED = "PART_RESTARTED"
    PART_GAVE_UP = "PART_GAVE_UP"


class Runbook(StrEnum):
    """The pages of ``docs/runbooks`` that a record may send somebody to."""

    BROKER_DOWN = "/runbooks/broker-down"
    DATABASE_DOWN = "/runbooks/database-down"
    DEAD_LETTERS = "/runbooks/dead-letters"
    MODULE_FAILING = "/runbooks/module-failing"


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


Detail = str | int | float | bool | None


class Debug(Struct, frozen=True, kw_only=True, tag_field="severity", tag="DEBUG"):
    """Something without an impact."""

    timestamp: datetime
    event_id: str
    source_module: str
    event_type: str
    correlation_id: str = ""
    tenant_id: str = ""
    details: dict[str, Detail] = {}


class Info(Debug, frozen=True, kw_only=True, tag="INFO"):
    """Something worth knowing."""


class Warn(Debug, frozen=True, kw_only=True, tag="WARN"):
    """Something that costs money and can be acted on."""

    economic_impact: EconomicImpact
    operator_action: OperatorAction

    def __post_init__(self) -> None:
        # A type checker sees a missing one; a caller without one must not get by with ``None``.
        for given, kind in (
            (self.economic_impact, EconomicImpact),
            (self.operator_action, OperatorAction),
        ):
            if not isinstance(given, kind):
                raise TypeError(f"{type(self).__name__} needs an {kind.__name__}, not {given!r}")


class Error(Warn, frozen=True, kw_only=True, tag="ERROR"):
    """Something that failed."""


class Critical(Warn, frozen=True, kw_only=True, tag="CRITICAL"):
    """Something that must be acted on now."""


LogRecord = Debug | Info | Warn | Error | Critical
