"""Ordering, finding and cancelling jobs."""

from __future__ import annotations

from typing import Final

from actors.runtime.contract import Clock
from actors.runtime.follow import begin, derived_id, new_id
from gateway import views
from gateway.bodies import OrderBody
from gateway.errors import BusUnavailableError, Refusal, not_found
from gateway.identity import Caller, own_tenant
from gateway.ids import is_id
from gateway.ports import Bus
from gateway.recent import RecentOrder, RecentOrders
from schemas.asks import (
    ANY_TENANT,
    FindJob,
    FindUpload,
    JobFound,
    JobPage,
    ListJobs,
    ReadStatement,
    Statement,
    UploadFound,
)
from schemas.base import JobId, ProviderId, TenantId, VideoId
from schemas.commands import CancelJob, Cancellation, StartJob
from schemas.jobs import ENDINGS, Job, JobOrder, JobState
from schemas.routing import EffectRoute, UserPreferences

KEY_LIMIT: Final = 255
"""Characters of an Idempotency-Key."""

RETRY_AFTER_S: Final = 5


class JobDesk:
    """Takes orders and answers about them.

    A job id is derived from tenant and Idempotency-Key, and the command's event id from the job
    id, so a repeated request is the same message and the stream drops it.
    """

    def __init__(self, *, bus: Bus, clock: Clock, recent: RecentOrders) -> None:
        self._bus = bus
        self._clock = clock
        self._recent = recent

    async def order(
        self, caller: Caller, body: OrderBody, *, key: str = ""
    ) -> tuple[JobId, JobState]:
        """Accept an order; return its job and where it is.

        Raises:
            Refusal: an unknown video, effect or provider, or a key that was used for another order.
        """
        tenant_id = own_tenant(caller)
        now = self._clock.now()
        _check_key(key)
        job_id = JobId(derived_id("job", tenant_id, key) if key else new_id("job", now))
        wanted = _order(body, job_id=job_id, caller=caller)
        if key and (known := await self._find(tenant_id, job_id)) is not None:
            return job_id, _same_or_refuse(known[0], wanted).state
        source_uri = await self._check_video(tenant_id, body.video_id)
        self._check_effect(body)
        order = _order(body, job_id=job_id, caller=caller, source_uri=source_uri)
        header = begin(
            job_id=job_id,
            tenant_id=tenant_id,
            at=now,
            event_id=derived_id("evt", job_id, StartJob.__name__),
        )
        _same_or_refuse(_waiting(self._recent.remember(order, now)), order)
        try:
            await self._bus.publish(StartJob(**header, payload=order))
        except BusUnavailableError:
            self._recent.forget(job_id)
            raise
        return job_id, JobState.INGESTED

    async def find(self, caller: Caller, job_id: str) -> tuple[Job, int]:
        """Return a job and its revision.

        Raises:
            Refusal: no such job, or another tenant's.
        """
        found = await self._find(caller.tenant_id, JobId(job_id)) if is_id(job_id) else None
        if found is None:
            raise not_found("UNKNOWN_JOB", "job", job_id)
        return found

    async def page(self, caller: Caller, *, limit: int, before: str) -> JobPage:
        """Return the newest jobs first."""
        question = ListJobs(tenant_id=caller.tenant_id, limit=limit, before=before)
        return await self._bus.ask(question, JobPage)

    async def cancel(self, caller: Caller, job_id: str, *, reason: str) -> tuple[Job, bool]:
        """Ask for a job to be stopped; return it as it was, and whether there was anything to ask.

        Raises:
            Refusal: no such job, or it ended another way.
        """
        job, _ = await self.find(caller, job_id)
        if job.state is JobState.CANCELLED:
            return job, False
        if job.state in ENDINGS:
            raise Refusal(
                409,
                "JOB_ENDED",
                detail=f"the job has ended as {job.state}",
                hint="only a job that is still under way can be cancelled",
                more={"state": job.state},
            )
        header = begin(
            job_id=job.order.job_id,
            tenant_id=job.order.tenant_id,
            at=self._clock.now(),
            event_id=derived_id("evt", job.order.job_id, CancelJob.__name__),
        )
        payload = Cancellation(by=caller.user_id, reason=reason)
        await self._bus.publish(CancelJob(**header, payload=payload))
        return job, True

    async def statement(self, caller: Caller, job_id: str) -> tuple[Job, Statement]:
        """Return a job's ledger lines.

        Raises:
            Refusal: no such job.
        """
        job, _ = await self.find(caller, job_id)
        question = ReadStatement(tenant_id=job.order.tenant_id, job_id=job.order.job_id)
        return job, await self._bus.ask(question, Statement)

    async def _find(self, tenant_id: TenantId, job_id: JobId) -> tuple[Job, int] | None:
        found = await self._bus.ask(FindJob(tenant_id=tenant_id, job_id=job_id), JobFound)
        if found.job is not None:
            self._recent.forget(job_id)
            return found.job, found.revision
        recent = self._recent.find(job_id)
        if recent is None or tenant_id not in (recent.order.tenant_id, ANY_TENANT):
            return None
        return _waiting(recent), 0

    async def _check_video(self, tenant_id: TenantId, video_id: VideoId) -> str:
        if not is_id(video_id):
            raise not_found("UNKNOWN_VIDEO", "video", video_id)
        found = await self._bus.ask(FindUpload(video_id=video_id, tenant_id=tenant_id), UploadFound)
        if not found.source_uri:
            raise not_found("UNKNOWN_VIDEO", "video", video_id)
        return found.source_uri

    def _check_effect(self, body: OrderBody) -> None:
        effects = self._bus.effects()
        if not effects:
            raise Refusal(
                503,
                "ROUTING_NOT_READY",
                detail="no routing manifest has been published yet, so nothing can be ordered",
                hint="send the same request again after the time in Retry-After",
                headers={"Retry-After": str(RETRY_AFTER_S)},
            )
        route = effects.get(body.effect_type)
        if route is None:
            raise Refusal(
                422,
                "UNKNOWN_EFFECT",
                detail=f"the effect {body.effect_type!r} is not offered",
                hint="choose one of the offered effects; GET /v1/effects describes them",
                more={"offered": sorted(effects)},
            )
        _check_subtype(body, route)
        self._check_providers(body, route)

    def _check_providers(self, body: OrderBody, route: EffectRoute) -> None:
        known = set(self._bus.providers())
        unknown = sorted(set(body.providers) - known)
        if unknown:
            raise Refusal(
                422,
                "UNKNOWN_PROVIDER",
                detail=f"not a provider: {', '.join(unknown)}",
                hint="leave providers out, or choose from those that are offered",
                more={"offered": sorted(known)},
            )
        offering = {one.provider_id for one in route.providers}
        if body.providers and not offering & set(body.providers):
            raise Refusal(
                422,
                "PROVIDER_DOES_NOT_OFFER",
                detail=f"none of these providers offers {body.effect_type!r}",
                hint="leave providers out, or choose from those that are offered",
                more={"offered": sorted(offering)},
            )


def _order(body: OrderBody, *, job_id: JobId, caller: Caller, source_uri: str = "") -> JobOrder:
    return JobOrder(
        job_id=job_id,
        tenant_id=caller.tenant_id,
        user_id=caller.user_id,
        video_id=body.video_id,
        source_uri=source_uri,
        effect_type=body.effect_type,
        effect_subtype=body.effect_subtype,
        wish=body.wish,
        user_preferences=UserPreferences(priority=body.user_preferences.priority),
        budget_tokens=body.budget_tokens,
        providers=tuple(ProviderId(name) for name in body.providers),
    )


def _waiting(recent: RecentOrder) -> Job:
    return Job(
        order=recent.order, state=JobState.INGESTED, created_at=recent.at, updated_at=recent.at
    )


def _same_or_refuse(job: Job, wanted: JobOrder) -> Job:
    if views.same_order(job.order, wanted):
        return job
    raise Refusal(
        409,
        "IDEMPOTENCY_KEY_REUSED",
        detail="this Idempotency-Key was used for another order",
        hint="send a new key with a new order, or the same body with the same key",
        more={"job_id": job.order.job_id},
    )


def _check_key(key: str) -> None:
    if len(key) <= KEY_LIMIT and key.isprintable():
        return
    raise Refusal(
        400,
        "INVALID_IDEMPOTENCY_KEY",
        detail=f"an Idempotency-Key holds {KEY_LIMIT} printable characters at most",
        hint="a UUID is a good key",
    )


def _check_subtype(body: OrderBody, route: EffectRoute) -> None:
    """Refuse a look that nobody offers; a provider that names no looks may take any."""
    if not body.effect_subtype or not all(one.subtypes for one in route.providers):
        return
    offered = sorted({look for one in route.providers for look in one.subtypes})
    if body.effect_subtype not in offered:
        raise Refusal(
            422,
            "UNKNOWN_SUBTYPE",
            detail=f"the look {body.effect_subtype!r} of {body.effect_type!r} is not offered",
            hint="leave effect_subtype out, or choose from those that are offered",
            more={"offered": offered},
        )
