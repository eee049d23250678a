"""Packed measurements for the dedicated telemetry stream; never on the critical path."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.base import JobId, Message, MicroTokens, ProviderId, TaskId, TenantId
from schemas.failures import FailureClass
from schemas.quality import QualityVector


class TaskMeasured(Struct, frozen=True, kw_only=True, tag_field="kind", tag=str):
    """What one finished task used, whether it succeeded or not."""

    at: datetime
    task_id: TaskId
    job_id: JobId
    tenant_id: TenantId
    provider_id: ProviderId
    effect_type: str
    succeeded: bool
    cost_microtokens: MicroTokens
    gpu_seconds: float
    duration_ms: int
    queue_wait_ms: int = 0
    frames: int = 0
    error_code: str = ""
    role: str = "default"
    nodes: dict[str, int] = {}
    failure_class: FailureClass | None = None
    host: str = ""
    gpu_type: str = ""
    cold_start: bool = False
    cached: bool = False
    """True when it says nothing about how long such a task takes."""
    predicted_ms: int = 0
    """What was expected of ``duration_ms``; 0 when nothing was."""
    input_frames: int = 0
    pixels: int = 0
    """Of one frame of the input; with ``input_frames`` and ``steps`` what was predicted from."""
    steps: int = 1
    node_runs: dict[str, int] = {}
    """How many nodes of each class in ``nodes`` ran; those that were cached did not."""
    throttled: int = 0
    """Attempts whose host said that it is asked too often."""


class QualityMeasured(Struct, frozen=True, kw_only=True, tag_field="kind", tag=str):
    """How good one task's output was."""

    at: datetime
    task_id: TaskId
    job_id: JobId
    tenant_id: TenantId
    provider_id: ProviderId
    effect_type: str
    quality_vector: QualityVector
    composite_score: float
    confidence: float


class ChargeMeasured(Struct, frozen=True, kw_only=True, tag_field="kind", tag=str):
    """What a user paid for a job, credited to the provider that won it."""

    at: datetime
    task_id: TaskId
    job_id: JobId
    tenant_id: TenantId
    provider_id: ProviderId
    effect_type: str
    charged_microtokens: MicroTokens
    cost_microtokens: MicroTokens


Sample = TaskMeasured | QualityMeasured | ChargeMeasured


class TelemetryPacket(Message, frozen=True, kw_only=True):
    """Up to ``PACKET_LIMIT`` samples from one module."""

    module: str
    samples: tuple[Sample, ...]


PACKET_LIMIT = 64
