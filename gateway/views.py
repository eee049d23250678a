"""What a caller may see of a job, a provider, an account. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from gateway import bodies
from gateway.identity import Caller
from schemas.asks import JobAccount, Statement
from schemas.base import JobId, MicroTokens
from schemas.jobs import ENDINGS, Candidate, Job, JobOrder, RankedCandidate, Selection
from schemas.money import LedgerLine
from schemas.routing import EffectRoute, ProviderRecord

SHADOW = "shadow"
"""The role of a render whose result only admins see."""
DRAFT = "draft"
"""The status of a provider that is not offered yet."""


def job_view(job: Job, *, revision: int, caller: Caller) -> bodies.JobView:
    """Return a job as its caller may see it."""
    order = job.order
    seen = [one for one in job.candidates.values() if may_see(one, caller)]
    return bodies.JobView(
        job_id=order.job_id,
        tenant_id=order.tenant_id,
        user_id=order.user_id,
        video_id=order.video_id,
        effect_type=order.effect_type,
        effect_subtype=order.effect_subtype,
        wish=order.wish,
        state=job.state,
        ended=job.state in ENDINGS,
        revision=revision,
        created_at=job.created_at,
        updated_at=job.updated_at,
        metadata=job.video.metadata if job.video else None,
        analysis=job.analysis,
        candidates=tuple(_candidate(one, order.job_id, caller) for one in seen),
        selection=_selection(job.selection, caller) if job.selection else None,
        published=job.published,
        held_microtokens=job.held_microtokens,
        charged_microtokens=job.charged_microtokens,
        code=job.code,
        reason=job.reason,
        links=_links_of(job),
    )


def may_see(candidate: Candidate, caller: Caller) -> bool:
    """Tell whether a caller may see a candidate: shadow renders are real work nobody gets."""
    return caller.is_admin or candidate.task.role != SHADOW


def links_of(job_id: JobId) -> dict[str, str]:
    """Return where everything about a job is."""
    here = f"/v1/jobs/{job_id}"
    return {
        "self": here,
        "cancel": f"{here}/cancel",
        "account": f"{here}/account",
        "live": "/v1/ws",
        "channel": f"job:{job_id}",
    }


def same_order(one: JobOrder, other: JobOrder) -> bool:
    """Tell whether two orders ask for the same thing, whoever sent them."""
    return (
        one.video_id == other.video_id
        and one.effect_type == other.effect_type
        and one.effect_subtype == other.effect_subtype
        and one.wish == other.wish
        and one.user_preferences == other.user_preferences
        and one.budget_tokens == other.budget_tokens
        and one.providers == other.providers
    )


def account_view(statement: Statement, *, job: Job, caller: Caller) -> bodies.AccountView:
    """Return a job's account; costs and margin only for admins."""
    job_id = job.order.job_id
    account = statement.account or JobAccount(
        job_id=job_id, charged_microtokens=0, cost_microtokens=0, marginality=None
    )
    if caller.is_admin:
        return bodies.AccountView(
            job_id=job_id,
            charged_microtokens=account.charged_microtokens,
            lines=statement.lines,
            cost_microtokens=account.cost_microtokens,
            marginality=account.marginality,
            cost_by_task=account.cost_by_task,
        )
    lines = tuple(line for line in statement.lines if _touches(line, job.order.tenant_id))
    return bodies.AccountView(
        job_id=job_id, charged_microtokens=account.charged_microtokens, lines=lines
    )


def effects_view(effects: Mapping[str, EffectRoute]) -> bodies.EffectsView:
    """Return what can be ordered now, without weights and costs."""
    return bodies.EffectsView(
        effects=tuple(
            bodies.EffectView(
                effect_type=kind,
                default_provider_id=route.default_provider_id,
                providers=tuple(
                    bodies.EffectProviderView(
                        provider_id=one.provider_id,
                        subtypes=one.subtypes,
                        expected_quality_score=one.expected_quality_score,
                        expected_duration_ms=one.expected_duration_ms,
                        confidence=one.confidence,
                    )
                    for one in route.providers
                    if one.status != SHADOW
                ),
            )
            for kind, route in sorted(effects.items())
        )
    )


def provider_view(record: ProviderRecord, *, caller: Caller) -> bodies.ProviderView:
    """Return a provider without its graph; what it costs only for admins."""
    return bodies.ProviderView(
        provider_id=record.provider_id,
        display_name=record.display_name,
        status=record.status,
        lane=record.lane,
        revision=record.revision,
        capabilities=record.capabilities,
        supported_effect_types=record.supported_effect_types,
        health=record.health,
        cost_model=record.cost_model if caller.is_admin else None,
    )


def _touches(line: LedgerLine, tenant_id: str) -> bool:
    """Tell whether a line moves the tenant's tokens, not the platform's own."""
    return tenant_id in line.debit.split(":") or tenant_id in line.credit.split(":")


def _links_of(job: Job) -> dict[str, str]:
    links = links_of(job.order.job_id)
    if job.video is not None:
        links["input"] = f"{links['self']}/input/video"
    if job.published is not None:
        links["gallery"] = f"/v1/gallery/{job.published.effect_id}"
        links["video"] = f"/v1/gallery/{job.published.effect_id}/video"
    return links


def _candidate(one: Candidate, job_id: JobId, caller: Caller) -> bodies.CandidateView:
    result, failure, evaluation = one.result, one.failure, one.evaluation
    return bodies.CandidateView(
        task_id=one.task.task_id,
        provider_id=one.task.provider_id,
        role=one.task.role,
        state=_state_of(one),
        quality_vector=evaluation.quality_vector if evaluation else None,
        composite_score=evaluation.composite_score if evaluation else None,
        confidence=evaluation.confidence if evaluation else None,
        duration_ms=result.execution_telemetry.actual_duration_ms if result else None,
        cost_microtokens=_cost_of(one) if caller.is_admin else None,
        attempts=result.attempts if result else failure.attempts if failure else 0,
        error_code=failure.error_code if failure else "",
        message=failure.message if failure else "",
        video=f"/v1/jobs/{job_id}/candidates/{one.task.task_id}/video" if result else "",
    )


def _state_of(one: Candidate) -> str:
    if one.failure is not None:
        return "failed"
    if one.evaluation is not None:
        return "scored"
    return "succeeded" if one.result is not None else "running"


def _cost_of(one: Candidate) -> MicroTokens | None:
    if one.result is not None:
        return one.result.execution_telemetry.cost_microtokens
    return one.failure.cost_microtokens if one.failure is not None else None


def _selection(won: Selection, caller: Caller) -> bodies.SelectionView:
    seen = [r for r in won.ranking if caller.is_admin or r.role != SHADOW]
    return bodies.SelectionView(
        winning_task_id=won.winning_task_id,
        winning_provider_id=won.winning_provider_id,
        composite_score=won.composite_score,
        quality_vector=won.quality_vector,
        comparison_summary=won.comparison_summary,
        ranking=tuple(_rank(line, caller) for line in seen),
        cost_tokens=won.cost_tokens if caller.is_admin else None,
    )


def _rank(line: RankedCandidate, caller: Caller) -> bodies.RankView:
    return bodies.RankView(
        task_id=line.task_id,
        provider_id=line.provider_id,
        rank=line.rank,
        score=line.score,
        composite_score=line.composite_score,
        quality_vector=line.quality_vector,
        duration_ms=line.duration_ms,
        outcome=line.outcome,
        reason=line.reason,
        cost_microtokens=line.cost_microtokens if caller.is_admin else None,
    )
