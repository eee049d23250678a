"""The order for a job, and the state its saga keeps."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from schemas.base import EPOCH, JobId, MicroTokens, ProviderId, TaskId, TenantId, UserId, VideoId
from schemas.quality import Evaluation, QualityVector
from schemas.routing import ProviderRecommendation, UserPreferences
from schemas.tasks import ExecutionTask, TaskFailure, TaskResult
from schemas.video import Analysis, PromptVariant, Video


class JobState(StrEnum):
    """Where a job is. The last six and ``COMPLETE`` are endings."""

    INGESTED = "INGESTED"
    ANALYZING = "ANALYZING"
    PROMPTING = "PROMPTING"
    ROUTING = "ROUTING"
    TESTING = "TESTING"
    EVALUATING = "EVALUATING"
    SELECTED = "SELECTED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    PUBLISHING = "PUBLISHING"
    COMPLETE = "COMPLETE"
    ANALYSIS_FAILED = "ANALYSIS_FAILED"
    EXECUTION_FAILED = "EXECUTION_FAILED"
    REJECTED = "REJECTED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


ENDINGS = frozenset(
    {
        JobState.COMPLETE,
        JobState.ANALYSIS_FAILED,
        JobState.EXECUTION_FAILED,
        JobState.REJECTED,
        JobState.QUOTA_EXCEEDED,
        JobState.CANCELLED,
        JobState.TIMED_OUT,
    }
)


class JobOrder(Struct, frozen=True, kw_only=True):
    """What the user ordered. ``providers`` narrows the choice; empty means all."""

    job_id: JobId
    tenant_id: TenantId
    user_id: UserId
    video_id: VideoId
    source_uri: str
    effect_type: str
    effect_subtype: str = ""
    wish: str = ""
    user_preferences: UserPreferences = UserPreferences()
    budget_tokens: int | None = None
    providers: tuple[ProviderId, ...] = ()


class Candidate(Struct, frozen=True, kw_only=True):
    """One provider's try at a job."""

    task: ExecutionTask
    result: TaskResult | None = None
    failure: TaskFailure | None = None
    evaluation: Evaluation | None = None


class RankedCandidate(Struct, frozen=True, kw_only=True):
    """A line of the comparison: why a candidate came where it came."""

    task_id: TaskId
    provider_id: ProviderId
    rank: int
    score: float
    composite_score: float
    quality_vector: QualityVector | None
    cost_microtokens: MicroTokens
    duration_ms: int
    outcome: str
    """``won``, ``lost``, ``failed`` or ``late``."""
    reason: str = ""
    role: str = "default"


class Selection(Struct, frozen=True, kw_only=True):
    """The payload of ``BestResultSelected``."""

    winning_task_id: TaskId
    winning_provider_id: ProviderId
    quality_vector: QualityVector
    cost_tokens: int
    comparison_summary: str
    ranking: tuple[RankedCandidate, ...] = ()
    output_video_uri: str = ""
    input_video_uri: str = ""
    video_id: VideoId = VideoId("")
    user_id: UserId = UserId("")
    effect_type: str = ""
    composite_score: float = 0.0


class Published(Struct, frozen=True, kw_only=True):
    """The payload of ``EffectPublished``."""

    effect_id: str
    revision_id: str
    gallery_url: str
    cdn_urls: tuple[str, ...]
    user_id: UserId = UserId("")
    output_uri: str = ""
    revision: int = 1


class JobEnding(Struct, frozen=True, kw_only=True):
    """The payload of ``JobEnded``."""

    state: JobState
    user_id: UserId
    reason: str = ""
    code: str = ""


class Job(Struct, frozen=True, kw_only=True):
    """What the saga knows of a job after its last step."""

    order: JobOrder
    state: JobState
    created_at: datetime = EPOCH
    updated_at: datetime = EPOCH
    video: Video | None = None
    analysis: Analysis | None = None
    prompts: tuple[PromptVariant, ...] = ()
    recommendation: ProviderRecommendation | None = None
    candidates: dict[TaskId, Candidate] = {}
    selection: Selection | None = None
    published: Published | None = None
    hold_id: str = ""
    held_microtokens: MicroTokens = 0
    """What is reserved now; nothing after the charge or the release."""
    charged_microtokens: MicroTokens = 0
    code: str = ""
    reason: str = ""
    price_microtokens: MicroTokens = 0
    """What was reserved at the order; it stays when the money has moved."""
