"""One builder for each message. A test sets only what matters to it."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.base import EventId, JobId, ProviderId, TaskId, TenantId, UserId, VideoId, WorkflowId
from schemas.events import (
    AdminApproved,
    AdminRejected,
    AttemptFinished,
    ContentAnalyzed,
    Decision,
    PromptsGenerated,
    QualityEvaluated,
    TaskFailed,
    TaskSucceeded,
    TestBatch,
    TestBatchDispatched,
    VideoIngested,
)
from schemas.jobs import JobOrder, Selection
from schemas.quality import Evaluation, QualityVector
from schemas.routing import UserPreferences
from schemas.tasks import (
    AttemptReport,
    ExecutionTask,
    ExecutionTelemetry,
    NodeTiming,
    TaskFailure,
    TaskResult,
)
from schemas.video import (
    Analysis,
    AnalyzedContent,
    EffectRequest,
    GeneratedPrompts,
    PromptVariant,
    Scene,
    Video,
    VideoMetadata,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
JOB = JobId("job_1")
TENANT = TenantId("tnt_1")
USER = UserId("usr_1")
VIDEO = VideoId("vid_1")
TASK = TaskId("task_1")
WARM = ProviderId("fx-warm-grade-v1")
VECTOR = QualityVector(
    fidelity=0.91,
    artifacts=0.05,
    style_adherence=0.87,
    temporal_consistency=0.93,
    perceptual_hash_distance=0.12,
)


def header(event_id: str, job_id: JobId = JOB, tenant_id: TenantId = TENANT) -> dict[str, object]:
    """Return an envelope to be spread into any message."""
    return {
        "event_id": EventId(event_id),
        "timestamp": NOON,
        "correlation_id": job_id,
        "tenant_id": tenant_id,
    }


def metadata(**changes: object) -> VideoMetadata:
    """Return what a measured clip looks like."""
    known = {
        "duration_ms": 7600,
        "resolution": "720x404",
        "fps": 25.0,
        "codec": "h264",
        "file_size_bytes": 4_500_000,
        "frame_count": 190,
    }
    return VideoMetadata(**(known | changes))  # type: ignore[arg-type]


def effect_request(effect_type: str = "color_correction", wish: str = "") -> EffectRequest:
    """Return what a user wants done."""
    return EffectRequest(effect_type=effect_type, wish=wish)


def job_order(**changes: object) -> JobOrder:
    """Return an order for a colour correction."""
    known = {
        "job_id": JOB,
        "tenant_id": TENANT,
        "user_id": USER,
        "video_id": VIDEO,
        "source_uri": "s3://intake/raw/tnt_1/vid_1",
        "effect_type": "color_correction",
        "user_preferences": UserPreferences(),
    }
    return JobOrder(**(known | changes))  # type: ignore[arg-type]


def video(request: EffectRequest | None = None) -> Video:
    """Return a normalised clip."""
    return Video(
        video_id=VIDEO,
        user_id=USER,
        tenant_id=TENANT,
        source_uri="s3://intake/raw/tnt_1/vid_1",
        normalized_uri="s3://intake/normalized/tnt_1/vid_1.mp4",
        metadata=metadata(),
        request=request or effect_request(),
    )


def video_ingested(event_id: str = "evt_ingested", **kwargs: EffectRequest) -> VideoIngested:
    """Step 1."""
    return VideoIngested(**header(event_id), payload=video(kwargs.get("request")))  # type: ignore[arg-type]


def analysis(**changes: object) -> Analysis:
    """Return what a calm outdoor clip looks like."""
    known: dict[str, object] = {
        "scenes": (
            Scene(start_ms=0, end_ms=4640, description="city at night", objects=("street",)),
            Scene(start_ms=4640, end_ms=7600, description="city at night", objects=("street",)),
        ),
        "dominant_style": "low_key",
        "motion_pattern": "high_movement",
        "eligible_effect_types": ("color_correction", "style_transfer"),
    }
    return Analysis(**(known | changes))  # type: ignore[arg-type]


def content_analyzed(
    event_id: str = "evt_analyzed",
    *,
    request: EffectRequest | None = None,
    seen: Analysis | None = None,
) -> ContentAnalyzed:
    """Step 2."""
    return ContentAnalyzed(
        **header(event_id),  # type: ignore[arg-type]
        payload=AnalyzedContent(
            video_id=VIDEO, analysis=seen or analysis(), request=request or effect_request()
        ),
    )


def prompts_generated(event_id: str = "evt_prompts", *, variants: int = 2) -> PromptsGenerated:
    """Step 3."""
    return PromptsGenerated(
        **header(event_id),  # type: ignore[arg-type]
        payload=GeneratedPrompts(
            video_id=VIDEO,
            prompt_variants=tuple(
                PromptVariant(
                    prompt_text=f"cinematic warm grade, variant {n}",
                    target_effect_type="color_correction",
                    parameters={"strength": 0.5 + n / 10, "seed": 40 + n},
                )
                for n in range(variants)
            ),
        ),
    )


def execution_task(
    task_id: str = "task_1", provider_id: str = "fx-warm-grade-v1", **changes: object
) -> ExecutionTask:
    """Return one render."""
    known = {
        "task_id": TaskId(task_id),
        "correlation_id": JOB,
        "provider_id": ProviderId(provider_id),
        "workflow_id": WorkflowId("wf_warm_grade_v1"),
        "prompt": "cinematic warm grade",
        "input_video_uri": "s3://intake/normalized/tnt_1/vid_1.mp4",
        "parameters": {"strength": 0.8, "seed": 42},
        "effect_type": "color_correction",
    }
    return ExecutionTask(**(known | changes))  # type: ignore[arg-type]


def batch_dispatched(
    event_id: str = "evt_batch", *, tasks: tuple[ExecutionTask, ...] | None = None
) -> TestBatchDispatched:
    """Step 5."""
    return TestBatchDispatched(
        **header(event_id),  # type: ignore[arg-type]
        payload=TestBatch(
            tasks=tasks or (execution_task(),), exploration_mode=False, manifest_version=1
        ),
    )


def attempt_finished(
    event_id: str = "evt_attempt",
    *,
    task_id: str = "task_1",
    attempt: int = 1,
    succeeded: bool = True,
    **changes: object,
) -> AttemptFinished:
    """Return an agent's report."""
    known = {
        "task_id": TaskId(task_id),
        "attempt": attempt,
        "agent_id": "agent_1",
        "host": "renderer",
        "succeeded": succeeded,
        "output_video_uri": f"s3://output/{task_id}/{attempt}/result.mp4" if succeeded else "",
        "error_code": "" if succeeded else "HOST_ERROR",
        "message": "" if succeeded else "the host refused",
        "gpu_seconds": 2.5,
        "duration_ms": 2900,
        "queue_wait_ms": 40,
        "nodes": (NodeTiming(node_id="3", class_type="ImageBlend", ms=1800),),
        "output_bytes": 900_000,
        "frames": 190,
    }
    return AttemptFinished(
        **header(event_id),  # type: ignore[arg-type]
        task_id=TaskId(task_id),
        payload=AttemptReport(**(known | changes)),  # type: ignore[arg-type]
    )


def task_succeeded(
    event_id: str = "evt_succeeded",
    *,
    task_id: str = "task_1",
    provider_id: str = "fx-warm-grade-v1",
    cost_microtokens: int = 1_500_000,
    total_candidates: int = 1,
) -> TaskSucceeded:
    """Step 6."""
    return TaskSucceeded(
        **header(event_id),  # type: ignore[arg-type]
        task_id=TaskId(task_id),
        payload=TaskResult(
            provider_id=ProviderId(provider_id),
            workflow_id=WorkflowId("wf_warm_grade_v1"),
            output_video_uri=f"s3://output/{task_id}/1/result.mp4",
            input_video_uri="s3://intake/normalized/tnt_1/vid_1.mp4",
            effect_type="color_correction",
            total_candidates=total_candidates,
            execution_telemetry=ExecutionTelemetry(
                actual_cost_tokens=round(cost_microtokens / 1_000_000),
                actual_duration_ms=2900,
                gpu_type="cpu",
                gpu_seconds=2.5,
                queue_wait_ms=40,
                comfyui_node_timings={"ImageBlend": 1800},
                cost_microtokens=cost_microtokens,
                cost_microusd=cost_microtokens // 10_000,
                output_bytes=900_000,
                frames=190,
            ),
        ),
    )


def task_failed(
    event_id: str = "evt_failed",
    *,
    task_id: str = "task_1",
    provider_id: str = "fx-warm-grade-v1",
    cost_microtokens: int = 0,
) -> TaskFailed:
    """Step 6, the other way."""
    return TaskFailed(
        **header(event_id),  # type: ignore[arg-type]
        task_id=TaskId(task_id),
        payload=TaskFailure(
            provider_id=ProviderId(provider_id),
            workflow_id=WorkflowId("wf_warm_grade_v1"),
            error_code="HOST_ERROR",
            message="the host refused",
            attempts=3,
            effect_type="color_correction",
            cost_microtokens=cost_microtokens,
        ),
    )


def quality_evaluated(
    event_id: str = "evt_quality",
    *,
    task_id: str = "task_1",
    provider_id: str = "fx-warm-grade-v1",
    composite_score: float = 0.89,
    **changes: object,
) -> QualityEvaluated:
    """Step 7."""
    known: dict[str, object] = {
        "quality_vector": VECTOR,
        "composite_score": composite_score,
        "comparative_rank": 1,
        "total_candidates": 1,
        "provider_id": ProviderId(provider_id),
    }
    return QualityEvaluated(
        **header(event_id),  # type: ignore[arg-type]
        task_id=TaskId(task_id),
        payload=Evaluation(**(known | changes)),  # type: ignore[arg-type]
    )


def selection(**changes: object) -> Selection:
    """Return a winner."""
    known: dict[str, object] = {
        "winning_task_id": TASK,
        "winning_provider_id": WARM,
        "quality_vector": VECTOR,
        "cost_tokens": 2,
        "comparison_summary": "fx-warm-grade-v1 won: 0.89 against nobody",
        "output_video_uri": "s3://output/task_1/1/result.mp4",
        "input_video_uri": "s3://intake/normalized/tnt_1/vid_1.mp4",
        "video_id": VIDEO,
        "user_id": USER,
        "effect_type": "color_correction",
        "composite_score": 0.89,
    }
    return Selection(**(known | changes))  # type: ignore[arg-type]


def admin_approved(event_id: str = "evt_approved") -> AdminApproved:
    """Step 11, yes."""
    return AdminApproved(
        **header(event_id),  # type: ignore[arg-type]
        payload=Decision(decided_by=UserId("usr_admin"), selection=selection()),
    )


def admin_rejected(event_id: str = "evt_rejected", reason: str = "too dark") -> AdminRejected:
    """Step 11, no."""
    return AdminRejected(
        **header(event_id),  # type: ignore[arg-type]
        payload=Decision(decided_by=UserId("usr_admin"), selection=selection(), reason=reason),
    )
