"""What a client sends, and the views it gets back. Costs are null for whoever may not see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from media.store import PartTag, PartUrl
from schemas.base import EventId, JobId, MicroTokens, ProviderId, TaskId, TenantId, UserId, VideoId
from schemas.jobs import JobState, Published
from schemas.money import LedgerLine
from schemas.quality import QualityVector
from schemas.routing import CostModel, ProviderHealth, ProviderRecord
from schemas.video import Analysis, VideoMetadata

WISH_LIMIT: Final = 500
"""Characters of a wish."""
REASON_LIMIT: Final = 500
TOPUP_LIMIT: Final = 1_000_000_000_000_000
"""A billion tokens: anything above is a slip of the hand."""

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,128}$")]


class Preferences(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What matters most to the user."""

    priority: Literal["quality", "speed", "cost", "balanced"] = "balanced"


class OrderBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An order for an effect."""

    video_id: VideoId
    effect_type: Name
    effect_subtype: Annotated[str, Meta(max_length=128)] = ""
    wish: Annotated[str, Meta(max_length=WISH_LIMIT)] = ""
    user_preferences: Preferences = Preferences()
    budget_tokens: Annotated[int, Meta(ge=1, le=1_000_000_000)] | None = None
    providers: Annotated[tuple[Name, ...], Meta(max_length=16)] = ()


class CancelBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a job is cancelled."""

    reason: Annotated[str, Meta(max_length=REASON_LIMIT)] = ""


class RejectBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why an effect is not published; its user reads this."""

    reason: Annotated[str, Meta(min_length=1, max_length=REASON_LIMIT, pattern=r"\S")]


class TopUpBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is paid into a wallet. The same ``topup_id`` is paid in once."""

    amount_microtokens: Annotated[int, Meta(ge=1, le=TOPUP_LIMIT)]
    topup_id: Name


class CallerView(Struct, frozen=True, kw_only=True):
    """Whom a token belongs to; tenant ``*`` is the platform operator's."""

    name: str
    tenant_id: TenantId
    user_id: UserId
    role: str


class UploadView(Struct, frozen=True, kw_only=True):
    """A video that can be worked on."""

    video_id: VideoId
    metadata: VideoMetadata


class DirectPlanBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many bytes a browser wants to put into the store by itself."""

    size: Annotated[int, Meta(ge=0)]


class DirectPlanView(Struct, frozen=True, kw_only=True):
    """Where they go: each part by PUT, with its headers; its ETag is needed to complete."""

    video_id: VideoId
    upload_id: str
    part_bytes: int
    parts: tuple[PartUrl, ...]
    expires_in_s: int


class DirectCompleteBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the store answered to each part; ``upload_id`` as it was planned."""

    upload_id: Annotated[str, Meta(max_length=1024)] = ""
    parts: Annotated[tuple[PartTag, ...], Meta(max_length=1000)] = ()


class ReviewBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An admin's answer about an upload that screening held."""

    approve: bool
    note: Annotated[str, Meta(max_length=500)] = ""


class AcceptedView(Struct, frozen=True, kw_only=True):
    """A job as it was accepted, or as a repeat of the request finds it."""

    job_id: JobId
    state: JobState
    links: dict[str, str]


class CandidateView(Struct, frozen=True, kw_only=True):
    """One provider's try at a job."""

    task_id: TaskId
    provider_id: ProviderId
    role: str
    state: str
    """``running``, ``succeeded``, ``failed`` or ``scored``."""
    quality_vector: QualityVector | None = None
    composite_score: float | None = None
    confidence: float | None = None
    duration_ms: int | None = None
    cost_microtokens: MicroTokens | None = None
    attempts: int = 0
    error_code: str = ""
    message: str = ""
    video: str = ""


class RankView(Struct, frozen=True, kw_only=True):
    """A line of the comparison."""

    task_id: TaskId
    provider_id: ProviderId
    rank: int
    score: float
    composite_score: float
    quality_vector: QualityVector | None
    duration_ms: int
    outcome: str
    reason: str = ""
    cost_microtokens: MicroTokens | None = None


class SelectionView(Struct, frozen=True, kw_only=True):
    """Which candidate won, and over whom."""

    winning_task_id: TaskId
    winning_provider_id: ProviderId
    composite_score: float
    quality_vector: QualityVector
    comparison_summary: str
    ranking: tuple[RankView, ...] = ()
    cost_tokens: int | None = None


class JobView(Struct, frozen=True, kw_only=True):
    """Everything about a job that its caller may see."""

    job_id: JobId
    tenant_id: TenantId
    user_id: UserId
    video_id: VideoId
    effect_type: str
    effect_subtype: str
    wish: str
    state: JobState
    ended: bool
    revision: int
    created_at: datetime
    updated_at: datetime
    metadata: VideoMetadata | None
    analysis: Analysis | None
    candidates: tuple[CandidateView, ...]
    selection: SelectionView | None
    published: Published | None
    held_microtokens: MicroTokens
    charged_microtokens: MicroTokens
    code: str
    reason: str
    links: dict[str, str]


class AccountView(Struct, frozen=True, kw_only=True):
    """What a job brought; what it cost and earned only for admins."""

    job_id: JobId
    charged_microtokens: MicroTokens
    lines: tuple[LedgerLine, ...]
    cost_microtokens: MicroTokens | None = None
    marginality: float | None = None
    cost_by_task: dict[TaskId, MicroTokens] | None = None


class EffectProviderView(Struct, frozen=True, kw_only=True):
    """A provider that offers an effect."""

    provider_id: ProviderId
    subtypes: tuple[str, ...]
    expected_quality_score: dict[str, float]
    expected_duration_ms: int
    confidence: str


class EffectView(Struct, frozen=True, kw_only=True):
    """An effect that can be ordered now."""

    effect_type: str
    default_provider_id: ProviderId
    providers: tuple[EffectProviderView, ...]


class EffectsView(Struct, frozen=True, kw_only=True):
    """Sorted by effect type."""

    effects: tuple[EffectView, ...]


class ProviderView(Struct, frozen=True, kw_only=True):
    """A provider, without its graph."""

    provider_id: ProviderId
    display_name: str
    status: str
    lane: str
    revision: int
    capabilities: tuple[str, ...]
    supported_effect_types: tuple[str, ...]
    health: ProviderHealth | None
    cost_model: CostModel | None = None


class ProvidersView(Struct, frozen=True, kw_only=True):
    """Sorted by provider id."""

    providers: tuple[ProviderView, ...]


class StatusBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a provider is to be given jobs. ``force`` where no host is known that can run it."""

    status: Literal["active", "shadow", "draining", "disabled", "draft"]
    reason: Annotated[str, Meta(max_length=REASON_LIMIT)] = ""
    force: bool = False


class ImportBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A graph as ComfyUI exports it for its API, and what a host says of its node classes."""

    graph: dict[str, object]
    title: Annotated[str, Meta(max_length=200)] = ""
    provider_id: Annotated[str, Meta(max_length=100)] = ""
    object_info: dict[str, object] = {}


class ValidateBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A record, or the id of a stored one, and what a host says of its node classes."""

    object_info: dict[str, object]
    record: ProviderRecord | None = None
    provider_id: Annotated[str, Meta(max_length=128)] = ""
    host: Annotated[str, Meta(max_length=200)] = ""


class ChangeView(Struct, frozen=True, kw_only=True):
    """What became of an order to the provider registry."""

    provider_id: str
    outcome: str
    """``done``, ``unchanged``, or ``pending`` when the registry has not answered yet."""
    change_id: EventId
    revision: int = 0
    status: str = ""
    previous: str = ""
    reason: str = ""
    links: dict[str, str] = {}


class DecisionView(Struct, frozen=True, kw_only=True):
    """What was decided. ``state`` is ``pending`` until the approval module has taken it."""

    job_id: JobId
    decision: str
    state: str


class TopUpView(Struct, frozen=True, kw_only=True):
    """A payment that is on its way into the ledger."""

    tenant_id: TenantId
    topup_id: str
    amount_microtokens: MicroTokens


class PartView(Struct, frozen=True, kw_only=True):
    """One thing the gateway needs."""

    ok: bool
    detail: str


class ReadyView(Struct, frozen=True, kw_only=True):
    """Whether requests can be served."""

    status: str
    parts: dict[str, PartView]


class LiveView(Struct, frozen=True, kw_only=True):
    """The process answers."""

    status: str = "alive"


class VersionView(Struct, frozen=True, kw_only=True):
    """What runs here."""

    name: str
    version: str
