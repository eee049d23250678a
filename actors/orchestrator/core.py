"""The saga of a job: a job and a message in, the next step out. No clock, no dice, no network.

Facts may come twice, late, or before the fact they build on (two modules hear of the same thing at
the same time). What is heard is collected into the job; the job then goes as far along the table in
``lifecycle`` as what it knows allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec import structs

from actors.orchestrator.batch import (
    NoProvider,
    Routing,
    bound_of,
    candidates_of,
    generic_prompt,
    request_of,
)
from actors.orchestrator.errors import RouteNeededError
from actors.orchestrator.judging import JUDGING, RENDERING, hear_result, judge
from actors.orchestrator.lifecycle import BOUNDS, NEXT, REMINDERS_LIMIT, diagram
from actors.orchestrator.turn import BATCH, Turn, deadline_of
from actors.orchestrator.winner import may_win, tokens
from actors.runtime.contract import Step
from actors.runtime.follow import derived_id
from schemas.base import MICRO, JobId, Message
from schemas.commands import (
    CancelJob,
    HoldOrder,
    HoldTokens,
    IngestOrder,
    IngestVideo,
    SettleOrder,
    SettleTokens,
    StartJob,
    Wake,
)
from schemas.events import (
    AdminApproved,
    AdminRejected,
    AnalysisFailed,
    ContentAnalyzed,
    EffectPublished,
    JobEnded,
    JobStarted,
    PromptsGenerated,
    QualityEvaluated,
    TaskFailed,
    TaskSucceeded,
    TestBatch,
    TestBatchDispatched,
    TokensCharged,
    TokensHeld,
    TokensReleased,
    UserQuotaExceeded,
    VideoIngested,
    VideoRejected,
)
from schemas.jobs import ENDINGS, Job, JobState, Selection
from schemas.money import Hold
from schemas.video import EffectRequest

__all__ = ["NEXT", "briefed", "decide", "diagram", "hold_id_of", "request_of", "wants_route"]

NO_PROVIDER: Final = "NO_PROVIDER"
"""The code of a job whose order excludes every provider."""

_AWAITED: Final[Mapping[JobState, str]] = {
    JobState.INGESTED: "the tokens or the clip",
    JobState.ANALYZING: "the analysis",
    JobState.PROMPTING: "the prompts, or a provider for the effect,",
    JobState.AWAITING_APPROVAL: "the decision",
    JobState.PUBLISHING: "the publication",
}
"""What a state waits for, as its deadline tells it."""


def hold_id_of(job_id: JobId) -> str:
    """Return the one id of a job's hold."""
    return derived_id("hold", job_id)


def wants_route(job: Job | None, heard: Message) -> bool:
    """Tell whether this message brings the job to the routing, so that a route must be at hand."""
    if job is None or job.candidates or job.state in ENDINGS or not _concerns(job, heard):
        return False
    if isinstance(heard, Wake):
        return job.state is JobState.PROMPTING and heard.purpose == deadline_of(job.state)
    return _is_briefed(briefed(job, heard))


def decide(
    job: Job | None,
    heard: Message,
    *,
    at: datetime,
    routing: Routing | None = None,
) -> Step[Job] | None:
    """Return the step this message leads to, ``None`` when it changes nothing.

    ``routing`` is used when ``wants_route`` says so, and ignored otherwise. ``NoProvider`` ends the
    job; ``None`` is an answer at the deadline only, and means that there was none in time.

    Raises:
        RouteNeededError: the job is ready for its test batch and no route was given.
    """
    if job is None:
        return _start(heard, at) if isinstance(heard, StartJob) else None
    if not _concerns(job, heard):
        return None
    turn = Turn(job, heard, at=at)
    if job.state in ENDINGS:
        _after_the_end(turn, heard)
    else:
        _go_on(turn, heard, routing)
    return turn.step() if turn.job is not job else None


def _concerns(job: Job, heard: Message) -> bool:
    """Tell whether a message is about this job, in the name of its own tenant."""
    order = job.order
    return heard.correlation_id == order.job_id and heard.tenant_id == order.tenant_id


def _start(heard: StartJob, at: datetime) -> Step[Job]:
    order = heard.payload
    turn = Turn(
        Job(order=order, state=JobState.INGESTED, created_at=at, updated_at=at), heard, at=at
    )
    budget = order.budget_tokens
    hold = HoldOrder(
        hold_id=hold_id_of(order.job_id),
        user_id=order.user_id,
        effect_type=order.effect_type,
        priority=order.user_preferences.priority,
        budget_microtokens=None if budget is None else budget * MICRO,
    )
    turn.say(JobStarted(**turn.header(JobStarted), payload=order))
    turn.say(HoldTokens(**turn.header(HoldTokens), payload=hold))
    turn.progress("order taken")
    turn.set_deadline()
    return turn.step()


def _go_on(turn: Turn, heard: Message, routing: Routing | None) -> None:
    match heard:
        case TokensHeld():
            _held(turn, heard)
        case VideoIngested() | ContentAnalyzed() | PromptsGenerated():
            _brief(turn, heard, routing)
        case TaskSucceeded() | TaskFailed() | QualityEvaluated():
            hear_result(turn, heard)
        case AdminApproved() | EffectPublished() | TokensCharged():
            _publishing(turn, heard)
        case CancelJob():
            _cancelled(turn, heard)
        case Wake():
            _woken(turn, heard, routing)
        case _ if (turn.job.state, type(heard)) in NEXT:
            _stopped(turn, heard)


def _after_the_end(turn: Turn, heard: Message) -> None:
    """Money that comes after the ending goes back; nothing else happens any more."""
    job = turn.job
    if isinstance(heard, TokensHeld) and not job.hold_id:
        _hold(turn, heard.payload)
        turn.release()
    if isinstance(heard, TokensReleased) and job.held_microtokens:
        turn.change(held_microtokens=0)


def _hold(turn: Turn, hold: Hold) -> None:
    """Note what is reserved; the price stays when the money has moved."""
    amount = hold.amount_microtokens
    turn.change(hold_id=hold.hold_id, held_microtokens=amount, price_microtokens=amount)


def _held(turn: Turn, heard: TokensHeld) -> None:
    """Begin the work, now that the money is reserved."""
    job = turn.job
    if job.hold_id:
        return
    order = job.order
    _hold(turn, heard.payload)
    ingest = IngestOrder(
        video_id=order.video_id,
        user_id=order.user_id,
        source_uri=order.source_uri,
        request=EffectRequest(
            effect_type=order.effect_type, effect_subtype=order.effect_subtype, wish=order.wish
        ),
    )
    turn.say(IngestVideo(**turn.header(IngestVideo), payload=ingest))
    turn.progress(f"{tokens(turn.job.price_microtokens)} tokens held", part=".held")


def _stopped(turn: Turn, heard: Message) -> None:
    """Somebody says that the job cannot go on."""
    match heard:
        case VideoRejected(payload=why) | AnalysisFailed(payload=why):
            turn.end(type(heard), code=why.code, reason=why.reason)
        case UserQuotaExceeded(payload=refusal):
            required = tokens(refusal.required_microtokens)
            available = tokens(refusal.available_microtokens)
            reason = f"the job needs {required} tokens and {available} are available"
            turn.end(UserQuotaExceeded, code=refusal.reason, reason=reason)
        case AdminRejected(payload=decision):
            reason = decision.reason or "an admin rejected the result"
            turn.end(AdminRejected, code="rejected", reason=reason)


def _is_briefed(job: Job) -> bool:
    return job.video is not None and job.analysis is not None and bool(job.prompts)


def briefed(job: Job, heard: Message) -> Job:
    """Return the job with what this message tells about the clip; the same job if nothing new."""
    match heard:
        # nothing is worked on before the money is held
        case VideoIngested(payload=video) if job.video is None and job.hold_id:
            return structs.replace(job, video=video)
        case ContentAnalyzed(payload=content) if job.analysis is None:
            return structs.replace(job, analysis=content.analysis)
        case PromptsGenerated(payload=written) if not job.prompts:
            variants = written.prompt_variants or (generic_prompt(job.order),)
            return structs.replace(job, prompts=variants)
    return job


def _brief(turn: Turn, heard: Message, routing: Routing | None) -> None:
    known = briefed(turn.job, heard)
    if known is turn.job:
        return
    turn.job = known
    turn.change()
    _prepare(turn, routing)


def _prepare(turn: Turn, routing: Routing | None) -> None:
    """Go as far towards the test batch as what is known allows."""
    job = turn.job
    if job.state is JobState.INGESTED and job.video is not None:
        metadata = job.video.metadata
        turn.enter(VideoIngested, f"{metadata.resolution}, {metadata.duration_ms / 1000:.1f} s")
    if turn.job.state is JobState.ANALYZING and job.analysis is not None:
        eligible, wanted = job.analysis.eligible_effect_types, job.order.effect_type
        if wanted not in eligible:
            offered = ", ".join(eligible) or "nothing"
            turn.change(reason=f"the analysis offers {offered}; the user asked for {wanted}")
        turn.enter(ContentAnalyzed, turn.job.reason or f"{len(job.analysis.scenes)} scenes")
    if turn.job.state is JobState.PROMPTING and job.prompts:
        turn.enter(PromptsGenerated, f"{len(job.prompts)} prompts")
        _dispatch(turn, routing)


def _dispatch(turn: Turn, routing: Routing | None) -> None:
    if routing is None:
        raise RouteNeededError(turn.job.order.job_id)
    if isinstance(routing, NoProvider):
        turn.end(JobEnded, code=NO_PROVIDER, reason=routing.why)
        return
    candidates = candidates_of(turn.job, routing)
    bound = bound_of(candidates)
    turn.change(recommendation=routing, candidates=candidates)
    batch = TestBatch(
        tasks=tuple(one.task for one in candidates.values()),
        exploration_mode=routing.exploration_mode,
        manifest_version=routing.manifest_version,
        closes_at=turn.at + bound,
    )
    turn.say(TestBatchDispatched(**turn.header(TestBatchDispatched), payload=batch))
    trying = ", ".join(one.task.provider_id for one in candidates.values() if may_win(one))
    turn.enter(TestBatchDispatched, f"trying {trying}")
    turn.set_timer(BATCH, purpose=BATCH, after=bound, step=RENDERING)


def _publishing(turn: Turn, heard: AdminApproved | EffectPublished | TokensCharged) -> None:
    job = turn.job
    if isinstance(heard, TokensCharged):
        if job.state is JobState.PUBLISHING and job.published is not None:
            turn.change(charged_microtokens=heard.payload.amount_microtokens, held_microtokens=0)
            turn.end(TokensCharged, code="", reason=job.reason)
        return
    if job.state is JobState.AWAITING_APPROVAL:
        turn.enter(type(heard), "an admin approved the result")
    if not isinstance(heard, EffectPublished) or turn.job.state is not JobState.PUBLISHING:
        return
    if job.published is None and job.selection is not None:
        turn.change(published=heard.payload)
        _settle(turn, job.selection)
        turn.progress("in the gallery; the tokens are being charged", part=".published")


def _settle(turn: Turn, selection: Selection, *, step: int = 0) -> None:
    """Ask for the charge, and again when it does not come.

    Each time under an id of its own: CMD drops one it has stored within the hour. The ledger
    charges a hold once, and answers a request that comes again with the charge that was made.
    """
    job = turn.job
    order = SettleOrder(
        hold_id=job.hold_id,
        user_id=job.order.user_id,
        winning_task_id=selection.winning_task_id,
        effect_type=job.order.effect_type,
    )
    turn.say(SettleTokens(**turn.header(SettleTokens), payload=order))
    turn.set_deadline(step=step)


def _cancelled(turn: Turn, heard: CancelJob) -> None:
    """Stop for a person, who may do so until the effect is published."""
    if turn.job.published is not None:
        return
    by = heard.payload.by
    turn.end(
        CancelJob, code="cancelled", reason=heard.payload.reason or f"cancelled by {by}", by=by
    )


def _woken(turn: Turn, heard: Wake, routing: Routing | None) -> None:
    """Act on a timer. One that was set for an earlier state says nothing any more."""
    job = turn.job
    if heard.purpose == BATCH:
        if heard.step == RENDERING and job.state is JobState.TESTING:
            turn.enter(Wake, "the batch is closed")
            judge(turn)
        elif heard.step == JUDGING and job.state is JobState.EVALUATING:
            turn.change()
            judge(turn, closed=True)
        return
    if job.state not in BOUNDS or heard.purpose != deadline_of(job.state):
        return
    if job.state is JobState.AWAITING_APPROVAL:
        _remind(turn, heard.step + 1)
    elif job.published is not None:
        _ask_again(turn, heard.step + 1)
    elif job.state is JobState.PROMPTING and routing is not None:
        # prompt generation fell silent; the pipeline goes on with a generic prompt
        turn.change(prompts=job.prompts or (generic_prompt(job.order),))
        _prepare(turn, routing)
    else:
        reason = f"{_AWAITED[job.state]} did not come within {BOUNDS[job.state]}"
        turn.end(Wake, code="timed_out", reason=reason)


def _remind(turn: Turn, step: int) -> None:
    waited = BOUNDS[turn.job.state] * step
    turn.change()
    turn.progress(f"has waited {waited} for an admin", part=f".{step}")
    if step < REMINDERS_LIMIT:
        turn.set_deadline(step=step)


def _ask_again(turn: Turn, step: int) -> None:
    """Ask for the charge of a published job again, a bounded number of times."""
    selection = turn.job.selection
    if selection is None or step > REMINDERS_LIMIT:
        return
    turn.change()
    turn.progress("its charge did not come; it is asked for again", part=f".{step}")
    _settle(turn, selection, step=step)
