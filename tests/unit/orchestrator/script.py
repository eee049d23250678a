"""The messages a job hears, and a driver that plays them to ``decide``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from actors.orchestrator.batch import Routing
from actors.orchestrator.core import decide, hold_id_of, wants_route
from actors.orchestrator.turn import BATCH, deadline_of
from actors.runtime.contract import Later, Said
from schemas.base import Message, ProviderId, TaskId, WorkflowId
from schemas.commands import CancelJob, Cancellation, StartJob, Wake
from schemas.events import (
    AnalysisFailed,
    EffectPublished,
    PromptsGenerated,
    QualityEvaluated,
    Rejection,
    TaskFailed,
    TaskSucceeded,
    TokensCharged,
    TokensHeld,
    TokensReleased,
    UserQuotaExceeded,
    VideoRejected,
)
from schemas.jobs import Job, JobState, Published
from schemas.money import Charge, Hold, Price, QuotaRefusal, Release
from schemas.routing import ProviderRecommendation, RecommendedProvider
from tests.builders import (
    JOB,
    NOON,
    USER,
    VIDEO,
    admin_approved,
    content_analyzed,
    header,
    job_order,
    prompts_generated,
    quality_evaluated,
    task_failed,
    task_succeeded,
    video_ingested,
)

HOLD = hold_id_of(JOB)
PRICE = Price(effect_base_price=8_000_000, quality_premium=0, speed_premium=0)
A, B, C = "fx-a", "fx-b", "fx-c"

Kind = TypeVar("Kind", bound=Said)


def start_job(event_id: str = "evt_start", **changes: object) -> StartJob:
    """Return what says: a user orders."""
    return StartJob(**header(event_id), payload=job_order(**changes))


def cancel_job(event_id: str = "evt_cancel", reason: str = "") -> CancelJob:
    """Return what says: a user stops it."""
    return CancelJob(**header(event_id), payload=Cancellation(by=USER, reason=reason))


def tokens_held(event_id: str = "evt_held") -> TokensHeld:
    """Return what says: the money is there."""
    hold = Hold(hold_id=HOLD, user_id=USER, price=PRICE, amount_microtokens=PRICE.total)
    return TokensHeld(**header(event_id), payload=hold)


def quota_exceeded(event_id: str = "evt_quota") -> UserQuotaExceeded:
    """Return what says: the money is not there."""
    refusal = QuotaRefusal(
        user_id=USER,
        reason="insufficient_balance",
        required_microtokens=8_000_000,
        available_microtokens=1_500_000,
    )
    return UserQuotaExceeded(**header(event_id), payload=refusal)


def tokens_charged(event_id: str = "evt_charged") -> TokensCharged:
    """Return what says: the job was paid for."""
    charge = Charge(
        hold_id=HOLD,
        user_id=USER,
        amount_microtokens=PRICE.total,
        cost_microtokens=3_000_000,
        marginality=0.625,
    )
    return TokensCharged(**header(event_id), payload=charge)


def tokens_released(event_id: str = "evt_released") -> TokensReleased:
    """Return what says: the money went back."""
    release = Release(
        hold_id=HOLD, user_id=USER, amount_microtokens=PRICE.total, reason="cancelled"
    )
    return TokensReleased(**header(event_id), payload=release)


def video_rejected(event_id: str = "evt_video_rejected") -> VideoRejected:
    """Step 1 failed."""
    why = Rejection(video_id=VIDEO, user_id=USER, code="too_long", reason="61 s is over 60 s")
    return VideoRejected(**header(event_id), payload=why)


def analysis_failed(event_id: str = "evt_analysis_failed") -> AnalysisFailed:
    """Step 2 failed."""
    why = Rejection(video_id=VIDEO, user_id=USER, code="undecodable", reason="frame 3 is broken")
    return AnalysisFailed(**header(event_id), payload=why)


def effect_published(event_id: str = "evt_published") -> EffectPublished:
    """Step 12."""
    where = Published(
        effect_id="fx_1",
        revision_id="rev_1",
        gallery_url="https://example.test/gallery/fx_1",
        cdn_urls=("https://example.test/media/gallery/fx_1/rev_1.mp4",),
        user_id=USER,
    )
    return EffectPublished(**header(event_id), payload=where)


def wake(purpose: str, *, step: int = 0, event_id: str = "") -> Wake:
    """Return what says: a timer goes off."""
    return Wake(**header(event_id or f"evt_{purpose}_{step}"), purpose=purpose, step=step)


def deadline(state: JobState, *, step: int = 0) -> Wake:
    """Return what says: the deadline of a state goes off."""
    return wake(deadline_of(state), step=step)


def batch_closes(step: int) -> Wake:
    """Return what says: the batch timer goes off."""
    return wake(BATCH, step=step)


def recommendation(*providers: str, roles: dict[str, str] | None = None) -> ProviderRecommendation:
    """Return a route to these providers."""
    return ProviderRecommendation(
        recommended_providers=tuple(
            RecommendedProvider(
                provider_id=ProviderId(name),
                expected_cost_tokens=2,
                expected_quality_score={"fidelity": 0.9},
                expected_duration_ms=3000,
                confidence="low",
                reason="declared",
                workflow_id=WorkflowId(f"wf-{name}"),
                lane="standard",
                role=(roles or {}).get(name, "default"),
            )
            for name in providers or (A, B)
        ),
        exploration_mode=False,
        exploration_percentage=0.05,
        manifest_version=7,
    )


class Played:
    """A job, everything it said, and the route it is given when it wants one."""

    def __init__(self, routing: Routing | None = None) -> None:
        self.job: Job | None = None
        self.said: list[Said] = []
        self.routing = routing or recommendation()
        self.at = NOON

    def hear(self, *heard: Message) -> Played:
        """Play messages, a second apart."""
        for message in heard:
            self.at += timedelta(seconds=1)
            routing = self.routing if wants_route(self.job, message) else None
            step = decide(self.job, message, at=self.at, routing=routing)
            if step is not None:
                self.job = step.state
                self.said += step.said
        return self

    @property
    def state(self) -> JobState:
        """Where the job is."""
        assert self.job is not None
        return self.job.state

    def all(self, kind: type[Kind]) -> list[Kind]:
        """Return everything of a kind that was said."""
        return [one for one in self.said if isinstance(one, kind)]

    def one(self, kind: type[Kind]) -> Kind:
        """Return the only thing of a kind that was said."""
        [one] = self.all(kind)
        return one

    def timer(self, name: str) -> datetime | None:
        """Return when a timer goes off as it was last set."""
        return [one.at for one in self.all(Later) if one.name == name][-1]

    def task(self, provider: str) -> TaskId:
        """Return the task that went to a provider."""
        assert self.job is not None
        [task_id] = [
            one.task.task_id
            for one in self.job.candidates.values()
            if one.task.provider_id == provider
        ]
        return task_id

    def succeeds(self, provider: str, *, cost: int = 1_500_000) -> TaskSucceeded:
        """Return what says: a provider delivers."""
        task = self.task(provider)
        return task_succeeded(
            f"evt_ok_{provider}", task_id=task, provider_id=provider, cost_microtokens=cost
        )

    def fails(self, provider: str) -> TaskFailed:
        """Return what says: a provider fails for good."""
        return task_failed(
            f"evt_failed_{provider}", task_id=self.task(provider), provider_id=provider
        )

    def scored(self, provider: str, score: float, **changes: object) -> QualityEvaluated:
        """Return what says: a result is evaluated."""
        return quality_evaluated(
            f"evt_quality_{provider}",
            task_id=self.task(provider),
            provider_id=provider,
            composite_score=score,
            **changes,
        )


TO_TESTING: tuple[Message, ...] = (
    start_job(),
    tokens_held(),
    video_ingested(),
    content_analyzed(),
    prompts_generated(),
)


def in_testing(
    *providers: str, roles: dict[str, str] | None = None, order: Iterable[Message] = TO_TESTING
) -> Played:
    """Return a job whose batch is out."""
    return Played(recommendation(*providers, roles=roles)).hear(*order)


def awaiting_approval() -> Played:
    """Return a job with a winner."""
    job = in_testing()
    return job.hear(job.succeeds(A), job.succeeds(B), job.scored(A, 0.89), job.scored(B, 0.70))


def publishing() -> Played:
    """Return a job that was approved."""
    return awaiting_approval().hear(admin_approved())


def no_prompts() -> PromptsGenerated:
    """Step 3, with nothing in it."""
    return prompts_generated(variants=0)
