"""HTTP of jobs and of what can be ordered."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import (
    FromPath,
    FromQuery,
    HeaderParameter,
    JSONBody,
    QueryParameter,
    SkipValidation,
)
from litestar.response import Stream

from gateway import bodies, views
from gateway.errors import Refusal, not_found
from gateway.guards import SignedIn, WebRequest
from gateway.identity import Caller
from gateway.ids import is_id
from gateway.jobs import JobDesk
from gateway.media import PRIVATE, MediaDesk
from gateway.ports import Bus
from gateway.problems import PROBLEMS
from schemas.asks import (
    ANY_TENANT,
    PAGE_LIMIT,
    JobPage,
    ListNotifications,
    ListProviders,
    NotificationPage,
    ProviderPage,
    ReadWallet,
    Wallet,
)
from schemas.base import TaskId, TenantId

Jobs = NamedDependency[SkipValidation[JobDesk]]
TheBus = NamedDependency[SkipValidation[Bus]]
Media = NamedDependency[SkipValidation[MediaDesk]]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_LIMIT)]
Cursor = Annotated[str, QueryParameter(pattern=r"^[A-Za-z0-9_-]{0,128}$")]


@post("/jobs", status_code=202, responses=PROBLEMS)
async def order_job(
    data: JSONBody[bodies.OrderBody],
    caller: SignedIn,
    jobs: Jobs,
    idempotency_key: Annotated[str, HeaderParameter(name="Idempotency-Key")] = "",
) -> Response[bodies.AcceptedView]:
    """Order an effect for an uploaded video."""
    job_id, state = await jobs.order(caller, data, key=idempotency_key)
    links = views.links_of(job_id)
    return Response(
        bodies.AcceptedView(job_id=job_id, state=state, links=links),
        status_code=202,
        headers={"Location": links["self"]},
    )


@get("/jobs", responses=PROBLEMS)
async def list_jobs(
    caller: SignedIn, jobs: Jobs, limit: Limit = 50, before: Cursor = ""
) -> JobPage:
    """List the tenant's jobs, the newest first."""
    return await jobs.page(caller, limit=limit, before=before)


@get("/jobs/{job_id:str}", responses=PROBLEMS)
async def show_job(job_id: FromPath[str], caller: SignedIn, jobs: Jobs) -> bodies.JobView:
    """Show all that is known of a job."""
    job, revision = await jobs.find(caller, job_id)
    return views.job_view(job, revision=revision, caller=caller)


@post("/jobs/{job_id:str}/cancel", responses=PROBLEMS)
async def cancel_job(
    job_id: FromPath[str],
    caller: SignedIn,
    jobs: Jobs,
    data: JSONBody[bodies.CancelBody | None] = None,
) -> Response[bodies.AcceptedView]:
    """Stop a job and give the tokens back; 200 when it was cancelled already."""
    job, asked = await jobs.cancel(caller, job_id, reason=data.reason if data else "")
    links = views.links_of(job.order.job_id)
    shown = bodies.AcceptedView(job_id=job.order.job_id, state=job.state, links=links)
    return Response(shown, status_code=202 if asked else 200)


@get("/jobs/{job_id:str}/account", responses=PROBLEMS)
async def show_account(job_id: FromPath[str], caller: SignedIn, jobs: Jobs) -> bodies.AccountView:
    """Show a job's ledger lines; costs and margin only to admins."""
    job, statement = await jobs.statement(caller, job_id)
    return views.account_view(statement, job=job, caller=caller)


@get(["/jobs/{job_id:str}/candidates/{task_id:str}/video"], responses=PROBLEMS)
async def candidate_video(
    request: WebRequest,
    job_id: FromPath[str],
    task_id: FromPath[str],
    caller: SignedIn,
    jobs: Jobs,
    media: Media,
) -> Response[None] | Stream:
    """Stream what one provider made."""
    uri = await _candidate_uri(jobs, caller, job_id, task_id)
    return await media.answer(request, uri, name=task_id, cache=PRIVATE)


@get("/jobs/{job_id:str}/input/video", responses=PROBLEMS)
async def input_video(
    request: WebRequest, job_id: FromPath[str], caller: SignedIn, jobs: Jobs, media: Media
) -> Response[None] | Stream:
    """Stream the normalised input; the original bytes are never served."""
    job, _ = await jobs.find(caller, job_id)
    if job.video is None:
        raise not_found("MEDIA_NOT_FOUND", "clip", job_id)
    return await media.answer(request, job.video.normalized_uri, name=job_id, cache=PRIVATE)


@get("/effects", responses=PROBLEMS)
async def list_effects(bus: TheBus) -> bodies.EffectsView:
    """List what can be ordered now."""
    return views.effects_view(bus.effects())


@get("/providers", responses=PROBLEMS)
async def list_providers(caller: SignedIn, bus: TheBus) -> bodies.ProvidersView:
    """List the providers; what they cost, and drafts, only to admins."""
    page = await bus.ask(ListProviders(), ProviderPage)
    seen = (each for each in page.providers if caller.is_admin or each.status != views.DRAFT)
    shown = tuple(views.provider_view(record, caller=caller) for record in seen)
    return bodies.ProvidersView(providers=shown)


@get("/me", responses=PROBLEMS)
async def show_caller(caller: SignedIn) -> bodies.CallerView:
    """Say whom the token belongs to."""
    return bodies.CallerView(
        name=caller.name, tenant_id=caller.tenant_id, user_id=caller.user_id, role=caller.role
    )


@get("/wallet", responses=PROBLEMS)
async def show_wallet(caller: SignedIn, bus: TheBus, tenant: FromQuery[str] = "") -> Wallet:
    """Show the caller's wallet; the operator says whose."""
    tenant_id = TenantId(tenant) if caller.is_operator else caller.tenant_id
    if tenant_id == ANY_TENANT or not is_id(tenant_id):
        raise Refusal(
            400,
            "TENANT_NEEDED",
            detail="the platform operator has no wallet",
            hint="say whose wallet: /v1/wallet?tenant=<tenant id>",
        )
    return await bus.ask(ReadWallet(tenant_id=tenant_id), Wallet)


@get("/notifications", responses=PROBLEMS)
async def list_notifications(caller: SignedIn, bus: TheBus, limit: Limit = 50) -> NotificationPage:
    """List what the caller was told, the newest first."""
    question = ListNotifications(tenant_id=caller.tenant_id, user_id=caller.user_id, limit=limit)
    return await bus.ask(question, NotificationPage)


async def _candidate_uri(jobs: JobDesk, caller: Caller, job_id: str, task_id: str) -> str:
    job, _ = await jobs.find(caller, job_id)
    candidate = job.candidates.get(TaskId(task_id))
    if candidate is None or candidate.result is None or not views.may_see(candidate, caller):
        raise not_found("UNKNOWN_CANDIDATE", "finished candidate", task_id)
    return candidate.result.output_video_uri


HANDLERS = (
    order_job,
    list_jobs,
    show_job,
    cancel_job,
    show_account,
    candidate_video,
    input_video,
    list_effects,
    list_providers,
    show_caller,
    show_wallet,
    list_notifications,
)
