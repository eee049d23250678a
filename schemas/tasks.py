"""What is asked of a provider, and what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from schemas.base import (
    EPOCH,
    JobId,
    MicroTokens,
    MicroUsd,
    Milliseconds,
    ProviderId,
    TaskId,
    WorkflowId,
)
from schemas.failures import FailureClass


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How often a failed attempt is repeated, and how long after."""

    max_retries: Annotated[int, Meta(ge=0, le=10)] = 2
    backoff_ms: Milliseconds = 5000


class Work(Struct, frozen=True, kw_only=True):
    """How much there is to do, and how long it is expected to take."""

    frames: int = 0
    pixels: int = 0
    """Of one frame."""
    steps: int = 1
    """Sampling steps; 1 for a graph that samples nothing."""
    predicted_ms: Milliseconds = 0
    """0 while nothing is known."""


class ExecutionTask(Struct, frozen=True, kw_only=True):
    """One render, on one provider."""

    task_id: TaskId
    correlation_id: JobId
    provider_id: ProviderId
    workflow_id: WorkflowId
    prompt: str
    input_video_uri: str
    parameters: dict[str, str | int | float | bool | None] = {}
    timeout_ms: Milliseconds = 120_000
    retry_policy: RetryPolicy = RetryPolicy()
    negative_prompt: str = ""
    effect_type: str = ""
    lane: str = "standard"
    """``interactive`` or ``batch``; ``standard`` is ``interactive``."""
    role: str = "default"
    """``default``, ``runner_up``, ``exploration`` or ``shadow``."""
    total_candidates: int = 1
    work: Work = Work()


class NodeTiming(Struct, frozen=True, kw_only=True):
    """One node of a graph: how long it took, or that the host answered from its cache."""

    node_id: str
    class_type: str
    ms: int
    cached: bool = False


def render_uri(task_id: TaskId, attempt: int) -> str:
    """Return where an attempt, counted from 1, stores what it rendered."""
    return f"s3://output/{task_id}/{attempt}/result.mp4"


class RenderMeter(Struct, frozen=True, kw_only=True):
    """What a render took besides GPU time; what the host does not say is 0 or ``None``."""

    upload_ms: Milliseconds = 0
    download_ms: Milliseconds = 0
    verify_ms: Milliseconds = 0
    """Decoding the result to prove that it is a video, and stripping its metadata."""
    input_bytes: int = 0
    model_load_ms: Milliseconds = 0
    """Time in the loaders of a cold start."""
    vram_peak_bytes: int = 0
    vram_growth_bytes: int = 0
    """What the host did not give back when the render was over."""
    ram_peak_bytes: int = 0
    ram_growth_bytes: int = 0
    gpu_utilisation: float | None = None
    """Mean over the render, from 0 to 1."""
    gpu_temperature_c: float | None = None
    """The highest."""
    gpu_power_w: float | None = None
    """Mean over the render."""


class ExecutionTelemetry(Struct, frozen=True, kw_only=True):
    """What a render used. ``actual_cost_tokens`` is the rounded view of the exact integer."""

    actual_cost_tokens: int
    actual_duration_ms: Milliseconds
    gpu_type: str
    gpu_seconds: float
    queue_wait_ms: Milliseconds
    comfyui_node_timings: dict[str, int]
    """Milliseconds by node class; several nodes of one class are added up."""
    cost_microtokens: MicroTokens = 0
    cost_microusd: MicroUsd = 0
    nodes: tuple[NodeTiming, ...] = ()
    output_bytes: int = 0
    frames: int = 0
    cold_start: bool = False
    host: str = ""
    cached: bool = False
    """The host answered from its cache; nothing is to be learnt from the time it took."""
    meter: RenderMeter = RenderMeter()


class TaskResult(Struct, frozen=True, kw_only=True):
    """The payload of ``TaskSucceeded``."""

    provider_id: ProviderId
    workflow_id: WorkflowId
    output_video_uri: str
    execution_telemetry: ExecutionTelemetry
    input_video_uri: str = ""
    effect_type: str = ""
    role: str = "default"
    attempts: int = 1
    total_candidates: int = 1


class TaskFailure(Struct, frozen=True, kw_only=True):
    """The payload of ``TaskFailed``: no attempt is left.

    ``cost_microtokens`` is what the failed attempts used all the same.
    """

    provider_id: ProviderId
    workflow_id: WorkflowId
    error_code: str
    message: str
    attempts: int
    effect_type: str = ""
    role: str = "default"
    gpu_seconds: float = 0.0
    cost_microtokens: MicroTokens = 0
    cost_microusd: MicroUsd = 0
    failure_class: FailureClass | None = None
    """Of the last attempt; decides who pays."""


class AttemptOrder(Struct, frozen=True, kw_only=True):
    """The payload of ``RunAttempt``: one try of a task on whichever host pulls it."""

    task: ExecutionTask
    attempt: int
    provider_revision: int = 1
    not_after: datetime = EPOCH
    avoid_hosts: tuple[str, ...] = ()
    """Hosts that lost an earlier attempt; another takes it if there is one."""


class AttemptReport(Struct, frozen=True, kw_only=True):
    """The payload of ``AttemptFinished``. The agent meters; it does not price."""

    task_id: TaskId
    attempt: int
    agent_id: str
    host: str
    succeeded: bool
    output_video_uri: str = ""
    error_code: str = ""
    message: str = ""
    retriable: bool = True
    gpu_type: str = "cpu"
    gpu_seconds: float = 0.0
    duration_ms: Milliseconds = 0
    queue_wait_ms: Milliseconds = 0
    nodes: tuple[NodeTiming, ...] = ()
    output_bytes: int = 0
    frames: int = 0
    cold_start: bool = False
    failure_class: FailureClass | None = None
    cached: bool = False
    """The host answered from its cache; nothing is to be learnt from the time it took."""
    adopted: bool = False
    """The run was begun by an earlier agent and finished by this one; it is paid for once."""
    adopted_attempt: int = 0
    """Which attempt began the run that was adopted; 0 is this one."""
    meter: RenderMeter = RenderMeter()
    provider_id: ProviderId = ProviderId("")
    """Whose graph it ran: so that one no host survives is told from a host that is ill."""
