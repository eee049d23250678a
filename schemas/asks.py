"""Questions that are answered at once, over request/reply. They change nothing that must survive
except what the answer says was stored.

Every question names the tenant it is asked for; ``ANY_TENANT`` is the platform operator's view. A
module answers about another tenant's object exactly as about an absent one.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from schemas.base import (
    EPOCH,
    EventId,
    JobId,
    MicroTokens,
    ProviderId,
    TaskId,
    TenantId,
    UserId,
    VideoId,
)
from schemas.jobs import Job, JobState, Selection
from schemas.money import LedgerLine
from schemas.routing import ProviderRecord, RoutingManifest
from schemas.video import VideoMetadata

ANY_TENANT = TenantId("*")
"""The platform operator sees every tenant; no message is ever published under this name."""

PAGE_LIMIT = 200
"""Most rows one answer holds."""


class InspectUpload(Struct, frozen=True, kw_only=True):
    """To Video Intake: is this stored upload a video we can work on?"""

    video_id: VideoId
    tenant_id: TenantId
    user_id: UserId
    source_uri: str


class UploadInspected(Struct, frozen=True, kw_only=True):
    """Video Intake's answer. When not ``accepted``, nothing was kept."""

    video_id: VideoId
    accepted: bool
    code: str = ""
    reason: str = ""
    hint: str = ""
    metadata: VideoMetadata | None = None
    duplicate_of: VideoId = VideoId("")
    """An earlier upload of this tenant with the same bytes, if there is one."""


class FindUpload(Struct, frozen=True, kw_only=True):
    """To Video Intake: what do you know of this upload?"""

    video_id: VideoId
    tenant_id: TenantId


class UploadFound(Struct, frozen=True, kw_only=True):
    """Video Intake's answer; ``source_uri`` is empty when this tenant has no such upload."""

    video_id: VideoId
    source_uri: str = ""
    metadata: VideoMetadata | None = None
    state: str = ""
    """``accepted``, ``normalized``, ``rejected``, ``held`` for a review, or ``blocked``."""
    duplicate_of: VideoId = VideoId("")
    """An earlier upload of this tenant with the same bytes."""
    similar_to: VideoId = VideoId("")
    """An earlier upload of this tenant that looks the same; known once it is normalised."""


class DeleteUpload(Struct, frozen=True, kw_only=True):
    """To Video Intake: remove this upload and everything that was made of it there."""

    video_id: VideoId
    tenant_id: TenantId


class UploadDeleted(Struct, frozen=True, kw_only=True):
    """Video Intake's answer; ``found`` is false when this tenant has no such upload."""

    video_id: VideoId
    found: bool
    removed: tuple[str, ...] = ()
    """The addresses where something was stored."""


class ForgetAnalysis(Struct, frozen=True, kw_only=True):
    """To Content Analysis: remember nothing of these bytes any more."""

    tenant_id: TenantId
    content_hash: str


class AnalysisForgotten(Struct, frozen=True, kw_only=True):
    """Content Analysis's answer, also when nothing was remembered."""

    content_hash: str


class PendingReview(Struct, frozen=True, kw_only=True):
    """One upload that screening held or blocked."""

    video_id: VideoId
    tenant_id: TenantId
    user_id: UserId
    state: str
    why: str
    nudity: tuple[float, ...] = ()
    """Scores of some pictures, from 0 to 1."""
    video_uri: str = ""
    poster_uri: str = ""
    preview_uri: str = ""
    uploaded_at: datetime = EPOCH
    decided_by: UserId = UserId("")
    decided_at: datetime = EPOCH
    note: str = ""


class ListReviews(Struct, frozen=True, kw_only=True):
    """To Video Intake: what screening held, oldest first; ``state`` may also be ``blocked``."""

    tenant_id: TenantId
    state: str = "held"
    limit: int = 50


class ReviewPage(Struct, frozen=True, kw_only=True):
    """Empty when nothing waits."""

    reviews: tuple[PendingReview, ...]


class DecideReview(Struct, frozen=True, kw_only=True):
    """To Video Intake: an admin's answer to what was held or blocked."""

    video_id: VideoId
    tenant_id: TenantId
    decided_by: UserId
    approve: bool
    note: str = ""


class ReviewDecided(Struct, frozen=True, kw_only=True):
    """Video Intake's answer; ``state`` is what the upload is now, empty when there is none."""

    video_id: VideoId
    state: str = ""


class JobSummary(Struct, frozen=True, kw_only=True):
    """One line of a job list."""

    job_id: JobId
    tenant_id: TenantId
    user_id: UserId
    video_id: VideoId
    effect_type: str
    state: JobState
    created_at: datetime
    updated_at: datetime
    charged_microtokens: MicroTokens = 0
    code: str = ""
    reason: str = ""


class ListJobs(Struct, frozen=True, kw_only=True):
    """To the orchestrator: the newest jobs first. ``before`` is the last job id already seen."""

    tenant_id: TenantId
    limit: int = 50
    before: str = ""


class JobPage(Struct, frozen=True, kw_only=True):
    """``next`` is the cursor of the following page, empty at the end."""

    jobs: tuple[JobSummary, ...]
    next: str = ""


class FindJob(Struct, frozen=True, kw_only=True):
    """To the orchestrator: everything its saga knows of one job."""

    tenant_id: TenantId
    job_id: JobId


class JobFound(Struct, frozen=True, kw_only=True):
    """``job`` is null when this tenant has no such job; ``revision`` counts the saga's steps."""

    job: Job | None = None
    revision: int = 0


class ListRenders(Struct, frozen=True, kw_only=True):
    """To the orchestrator: where may renders of this video lie? ``after`` is the last job seen."""

    tenant_id: TenantId
    video_id: VideoId
    after: JobId = JobId("")


class RendersListed(Struct, frozen=True, kw_only=True):
    """The answer for some of the video's jobs, oldest id first; ``next`` is empty at the end.

    Each attempt that a job may have made is named, also one that left nothing.
    """

    uris: tuple[str, ...] = ()
    unfinished: tuple[JobId, ...] = ()
    """Those that may still render, or be published."""
    next: JobId = JobId("")


class PendingApproval(Struct, frozen=True, kw_only=True):
    """One line of the approval queue."""

    job_id: JobId
    tenant_id: TenantId
    state: str
    """``pending``, ``approved``, ``rejected``, or ``withdrawn`` when the job ended by itself."""
    requested_at: datetime
    selection: Selection
    decided_by: UserId = UserId("")
    reason: str = ""


class ListApprovals(Struct, frozen=True, kw_only=True):
    """To approval: what waits for an admin, oldest first."""

    tenant_id: TenantId
    state: str = "pending"
    limit: int = 50


class FindApproval(Struct, frozen=True, kw_only=True):
    """To approval: one job's place in the queue."""

    tenant_id: TenantId
    job_id: JobId


class ApprovalPage(Struct, frozen=True, kw_only=True):
    """Empty when nothing waits, or when the tenant has no such job."""

    approvals: tuple[PendingApproval, ...]


class Notification(Struct, frozen=True, kw_only=True):
    """What a user was told, in the application."""

    user_id: UserId
    job_id: JobId
    kind: str
    channel: str
    subject: str
    body: str
    at: datetime
    link: str = ""


class ListNotifications(Struct, frozen=True, kw_only=True):
    """To approval: what a user was told, newest first."""

    tenant_id: TenantId
    user_id: UserId
    limit: int = 50


class NotificationPage(Struct, frozen=True, kw_only=True):
    """A user's in-app messages."""

    notifications: tuple[Notification, ...]


class GalleryItem(Struct, frozen=True, kw_only=True):
    """A pinned revision. The gallery is public, so no tenant and no user stands here."""

    effect_id: str
    revision_id: str
    revision: int
    effect_type: str
    title: str
    video_uri: str
    content_hash: str
    published_at: datetime
    gallery_url: str = ""
    poster_uri: str = ""
    provider_id: ProviderId = ProviderId("")
    composite_score: float = 0.0


class ListGallery(Struct, frozen=True, kw_only=True):
    """To the gallery: the newest effects first. ``before`` is the last effect id already seen."""

    limit: int = 50
    before: str = ""
    effect_type: str = ""


class FindEffect(Struct, frozen=True, kw_only=True):
    """To the gallery: the pinned revision of one effect."""

    effect_id: str


class GalleryPage(Struct, frozen=True, kw_only=True):
    """Empty when nothing is published, or no such effect; a withdrawn one is absent."""

    effects: tuple[GalleryItem, ...]
    next: str = ""


class ListProviders(Struct, frozen=True, kw_only=True):
    """To the provider registry: the current revision of every provider, without its graph."""


class ProviderPage(Struct, frozen=True, kw_only=True):
    """Sorted by provider id."""

    providers: tuple[ProviderRecord, ...]


class ProviderRevision(Struct, frozen=True, kw_only=True):
    """One line of a provider's history. A revision never changes."""

    revision: int
    origin: str
    """``shipped`` with the platform, or by an ``admin``."""
    created_at: datetime
    by: UserId = UserId("")


class ProviderChange(Struct, frozen=True, kw_only=True):
    """What became of one order to the registry; ``change_id`` is the order's event id."""

    change_id: EventId
    provider_id: ProviderId
    kind: str
    """``put`` or ``status``."""
    outcome: str
    """``done``, ``unchanged``, or why not: ``exists``, ``stale``, ``unknown``, ``invalid``,
    ``unproven``."""
    at: datetime
    by: UserId
    revision: int = 0
    """The newest one after it."""
    status: str = ""
    previous: str = ""
    """The status before; empty for a new provider."""
    reason: str = ""
    faults: tuple[str, ...] = ()


class FindProvider(Struct, frozen=True, kw_only=True):
    """To the provider registry: one provider, as it is now or as it was in a revision."""

    provider_id: ProviderId
    revision: int = 0


class ProviderFound(Struct, frozen=True, kw_only=True):
    """``record`` is null when there is no such provider or revision. Newest first.

    The faults of a refused change are in ``FindProviderChange``.
    """

    record: ProviderRecord | None = None
    revisions: tuple[ProviderRevision, ...] = ()
    changes: tuple[ProviderChange, ...] = ()
    agents: tuple[str, ...] = ()
    """Those that are alive and say that they can run it."""
    proven: bool = False
    """Whether a host is known that can run the newest revision."""


class FindProviderChange(Struct, frozen=True, kw_only=True):
    """To the provider registry: what became of an order?"""

    change_id: EventId


class ProviderChangeFound(Struct, frozen=True, kw_only=True):
    """``change`` is null while the order waits."""

    change: ProviderChange | None = None


class ImportProvider(Struct, frozen=True, kw_only=True):
    """To the provider registry: which record would this graph make? Nothing is stored."""

    graph: dict[str, object]
    provider_id: ProviderId = ProviderId("")
    title: str = ""
    object_info: dict[str, object] = {}
    """What a host says of the graph's node classes; bounds and choices are read from it."""


class ProviderProposal(Struct, frozen=True, kw_only=True):
    """Either a record and what to know about it, or every reason why there is none."""

    record: ProviderRecord | None = None
    notes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


class ValidateProvider(Struct, frozen=True, kw_only=True):
    """To the provider registry: can this host run this record, given or stored?

    A yes is remembered: a record that some host can run may be activated.
    """

    object_info: dict[str, object]
    """What the host says of the graph's node classes."""
    record: ProviderRecord | None = None
    provider_id: ProviderId = ProviderId("")
    host: str = ""


class ProviderValidated(Struct, frozen=True, kw_only=True):
    """Everything that is missing or wrong, at once; all empty when the host can run it."""

    known: bool = True
    """False when there is no such provider."""
    missing_classes: tuple[str, ...] = ()
    missing_models: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    remembered: bool = False


class ReadWallet(Struct, frozen=True, kw_only=True):
    """To the Economic Engine: what does this tenant have?"""

    tenant_id: TenantId


class Wallet(Struct, frozen=True, kw_only=True):
    """``available`` is what may be spent; ``held`` is reserved by open jobs."""

    tenant_id: TenantId
    available_microtokens: MicroTokens
    held_microtokens: MicroTokens
    spent_microtokens: MicroTokens


class ReadStatement(Struct, frozen=True, kw_only=True):
    """To the Economic Engine: the ledger lines of a tenant, or of one of its jobs, oldest first."""

    tenant_id: TenantId
    job_id: JobId = JobId("")
    limit: int = 200


class JobAccount(Struct, frozen=True, kw_only=True):
    """What one job brought and cost. ``marginality`` is null when nothing was charged.

    ``cost_by_task`` counts every attempt, also one that was reported after its task had ended.
    """

    job_id: JobId
    charged_microtokens: MicroTokens
    cost_microtokens: MicroTokens
    marginality: float | None
    cost_by_task: dict[TaskId, MicroTokens] = {}


class Statement(Struct, frozen=True, kw_only=True):
    """``account`` is there when one job was asked for."""

    lines: tuple[LedgerLine, ...]
    account: JobAccount | None = None


class VerifyLedger(Struct, frozen=True, kw_only=True):
    """To the Economic Engine: add the whole ledger up again."""


class LedgerVerdict(Struct, frozen=True, kw_only=True):
    """``problems`` is empty when every rule holds; each entry is one sentence."""

    entries: int
    accounts: int
    problems: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()
    """The rules that were checked, one sentence each."""


class MarginRow(Struct, frozen=True, kw_only=True):
    """One provider and effect type in one window. Ratios of sums, never means of ratios."""

    window: str
    """``1h``, ``24h`` or ``7d``."""
    provider_id: ProviderId
    effect_type: str
    tasks: int
    failures: int
    charged_microtokens: MicroTokens
    cost_microtokens: MicroTokens
    marginality: float | None


class ReadMargins(Struct, frozen=True, kw_only=True):
    """To the Economic Engine, for the admin panel only."""


class Margins(Struct, frozen=True, kw_only=True):
    """The live margins and the manifest they lead to."""

    rows: tuple[MarginRow, ...]
    manifest: RoutingManifest | None = None
    at: datetime = EPOCH


Question = (
    InspectUpload
    | FindUpload
    | DeleteUpload
    | ForgetAnalysis
    | ListReviews
    | DecideReview
    | ListJobs
    | FindJob
    | ListRenders
    | ListApprovals
    | FindApproval
    | ListNotifications
    | ListGallery
    | FindEffect
    | ListProviders
    | FindProvider
    | FindProviderChange
    | ImportProvider
    | ValidateProvider
    | ReadWallet
    | ReadStatement
    | VerifyLedger
    | ReadMargins
)
