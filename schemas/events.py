"""Facts. One class for each, past tense, owned by one module."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.base import (
    EPOCH,
    Event,
    MicroTokens,
    MicroUsd,
    ProviderId,
    TaskId,
    UserId,
    VideoId,
)
from schemas.hosts import Quarantine
from schemas.jobs import JobEnding, JobOrder, Published, Selection
from schemas.money import Charge, Hold, QuotaRefusal, Release
from schemas.quality import Evaluation
from schemas.tasks import AttemptReport, ExecutionTask, TaskFailure, TaskResult
from schemas.video import AnalyzedContent, GeneratedPrompts, Video


class JobStarted(Event, frozen=True, kw_only=True):
    """The orchestrator took an order."""

    payload: JobOrder


class VideoIngested(Event, frozen=True, kw_only=True):
    """Step 1. Video Intake stored and normalised an upload."""

    payload: Video


class Rejection(Struct, frozen=True, kw_only=True):
    """Why a video was refused: a stable code, a sentence, what to do."""

    video_id: VideoId
    user_id: UserId
    code: str
    reason: str
    hint: str = ""


class VideoRejected(Event, frozen=True, kw_only=True):
    """Step 1 failed: the upload cannot be used."""

    payload: Rejection


class ContentAnalyzed(Event, frozen=True, kw_only=True):
    """Step 2. Content Analysis says what is in the video."""

    payload: AnalyzedContent


class AnalysisFailed(Event, frozen=True, kw_only=True):
    """Step 2 failed for good, after its retries."""

    payload: Rejection


class PromptsGenerated(Event, frozen=True, kw_only=True):
    """Step 3. Prompt variants for the wanted effect."""

    payload: GeneratedPrompts


class TestBatch(Struct, frozen=True, kw_only=True):
    """The payload of ``TestBatchDispatched``."""

    __test__ = False

    tasks: tuple[ExecutionTask, ...]
    exploration_mode: bool
    manifest_version: int
    closes_at: datetime = EPOCH


class TestBatchDispatched(Event, frozen=True, kw_only=True):
    """Step 5. The same clip goes to several providers at once."""

    __test__ = False

    payload: TestBatch


class AttemptFinished(Event, frozen=True, kw_only=True):
    """An agent's report of one try. Only the execution module draws conclusions from it."""

    task_id: TaskId
    payload: AttemptReport


class TaskSucceeded(Event, frozen=True, kw_only=True):
    """Step 6. A provider delivered."""

    task_id: TaskId
    payload: TaskResult


class TaskFailed(Event, frozen=True, kw_only=True):
    """Step 6 failed: every attempt of this task did."""

    task_id: TaskId
    payload: TaskFailure


class LateAttempt(Struct, frozen=True, kw_only=True):
    """The payload of ``LateAttemptPriced``: what one attempt used, and on whose account it goes."""

    attempt: int
    agent_id: str
    provider_id: ProviderId
    effect_type: str = ""
    role: str = "default"
    gpu_seconds: float = 0.0
    cost_microtokens: MicroTokens = 0
    cost_microusd: MicroUsd = 0


class LateAttemptPriced(Event, frozen=True, kw_only=True):
    """An attempt was reported after its task had ended, so no outcome holds its cost."""

    task_id: TaskId
    payload: LateAttempt


class HostQuarantined(Event, frozen=True, kw_only=True):
    """A host lost renders that were not to blame, and is given none for a while."""

    payload: Quarantine


class ScaleAdvice(Struct, frozen=True, kw_only=True):
    """The payload of ``ScaleRequested``: how many hosts the work that waits is worth."""

    desired_hosts: int
    hosts: int
    waiting: int
    """Renders that nobody has taken yet."""
    running: int
    predicted_ms: int
    """What the renders that wait are expected to take, one after the other."""
    reason: str
    applied: bool = False
    """Whether somebody was told to; otherwise it is advice."""


class ScaleRequested(Event, frozen=True, kw_only=True):
    """The hosts are too few, or too many, for the work that waits."""

    payload: ScaleAdvice


class QualityEvaluated(Event, frozen=True, kw_only=True):
    """Step 7. How good a result is, as a vector."""

    task_id: TaskId
    payload: Evaluation


class BestResultSelected(Event, frozen=True, kw_only=True):
    """Step 9. The orchestrator ranked the candidates."""

    payload: Selection


class ApprovalRequested(Event, frozen=True, kw_only=True):
    """Step 11 opens: an admin must decide."""

    payload: Selection


class Notice(Struct, frozen=True, kw_only=True):
    """The payload of ``UserNotified``."""

    user_id: UserId
    kind: str
    channel: str
    subject: str
    body: str
    link: str = ""


class UserNotified(Event, frozen=True, kw_only=True):
    """Steps 10 and 13. A person was told."""

    payload: Notice


class Decision(Struct, frozen=True, kw_only=True):
    """The payload of ``AdminApproved`` and ``AdminRejected``."""

    decided_by: UserId
    selection: Selection
    reason: str = ""


class AdminApproved(Event, frozen=True, kw_only=True):
    """Step 11. An admin said yes."""

    payload: Decision


class AdminRejected(Event, frozen=True, kw_only=True):
    """Step 11. An admin said no; the tokens go back."""

    payload: Decision


class EffectPublished(Event, frozen=True, kw_only=True):
    """Step 12. The effect is in the gallery."""

    payload: Published


class JobEnded(Event, frozen=True, kw_only=True):
    """The saga reached an ending, ``COMPLETE`` or another."""

    payload: JobEnding


class TokensHeld(Event, frozen=True, kw_only=True):
    """The price of a job is reserved in the tenant's wallet."""

    payload: Hold


class TokensCharged(Event, frozen=True, kw_only=True):
    """A job was paid for, once."""

    payload: Charge


class TokensReleased(Event, frozen=True, kw_only=True):
    """A job that did not complete cost its user nothing."""

    payload: Release


class UserQuotaExceeded(Event, frozen=True, kw_only=True):
    """The Economic Engine refuses a job: no balance or no quota."""

    payload: QuotaRefusal


class Alert(Struct, frozen=True, kw_only=True):
    """The payload of ``EconomicAlert``."""

    kind: str
    severity: str
    description: str
    provider_id: ProviderId = ProviderId("")
    effect_type: str = ""
    metric_name: str = ""
    metric_value: float | None = None
    baseline_value: float | None = None
    cost_microtokens: MicroTokens = 0
    auto_action: str = ""


class EconomicAlert(Event, frozen=True, kw_only=True):
    """The Economic Engine saw something that costs money."""

    payload: Alert


class PolicyChange(Struct, frozen=True, kw_only=True):
    """The payload of ``RoutingPolicyUpdated``."""

    version: int
    reason: str
    changes: tuple[str, ...] = ()
    """One sentence for each default or weight that moved."""


class RoutingPolicyUpdated(Event, frozen=True, kw_only=True):
    """A new routing manifest is in the key-value store."""

    payload: PolicyChange


class ProviderStatus(Struct, frozen=True, kw_only=True):
    """The payload of ``ProviderStatusChanged``."""

    provider_id: ProviderId
    status: str
    previous: str
    health_score: float
    reason: str = ""
    aspect: str = "status"
    """``status``: whether it is given jobs. ``health``: what the checks found."""


class ProviderStatusChanged(Event, frozen=True, kw_only=True):
    """A provider came, went, or fell ill."""

    payload: ProviderStatus
