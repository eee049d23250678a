"""What was asked and how it ended, as it is kept. Pure.

Messages come in any order and more than once, so an outcome is a sum of things each of which is
known or not; what becomes known first stays. Words are kept as long as a message can come again,
because they hold what a user wrote; an outcome holds none and is kept as long as it ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct, structs

from actors.prompt_generation.ranking import Standing
from schemas.base import MICRO, EventId, JobId, MicroTokens, ProviderId, TaskId, TenantId
from schemas.events import BestResultSelected, JobEnded, QualityEvaluated, TestBatchDispatched
from schemas.jobs import JobState
from schemas.tasks import ExecutionTask
from schemas.video import GeneratedPrompts, PromptVariant

KEEP_WORDS: Final = timedelta(days=15)
"""A day longer than EVT keeps the message that may come again."""
KEEP_OUTCOMES: Final = timedelta(days=180)
NO_TEMPLATE: Final = ""
"""Of a render whose words were not ours."""


class Asked(Struct, frozen=True, kw_only=True):
    """What was said because of one event, and who wrote it."""

    event_id: EventId
    tenant_id: TenantId
    job_id: JobId
    template_id: str
    version: int
    effect_type: str
    prompts: GeneratedPrompts
    at: datetime
    rewriter: str = ""


class Outcome(Struct, frozen=True, kw_only=True):
    """What is known of one render; ``None`` and empty are not known yet."""

    tenant_id: TenantId
    job_id: JobId
    task_id: TaskId
    at: datetime
    provider_id: ProviderId = ProviderId("")
    effect_type: str = ""
    template_id: str = ""
    version: int = 0
    variant: str = ""
    composite: float | None = None
    confidence: float | None = None
    won: bool | None = None
    cost_microtokens: MicroTokens | None = None


class Ended(Struct, frozen=True, kw_only=True):
    """How a job ended."""

    tenant_id: TenantId
    job_id: JobId
    state: JobState
    at: datetime


class Pruned(Struct, frozen=True, kw_only=True):
    """How much was forgotten."""

    asked: int = 0
    outcomes: int = 0
    endings: int = 0


def tried(heard: TestBatchDispatched, asked: Sequence[Asked]) -> tuple[Outcome, ...]:
    """Return which words each render of a batch was given."""
    return tuple(_tried(heard, task, asked) for task in heard.payload.tasks)


def scored(heard: QualityEvaluated) -> Outcome:
    """Return what a render was worth; unknown quality has confidence 0."""
    found = heard.payload
    return Outcome(
        tenant_id=heard.tenant_id,
        job_id=heard.correlation_id,
        task_id=heard.task_id,
        at=heard.timestamp,
        provider_id=found.provider_id,
        composite=found.composite_score,
        confidence=found.confidence if found.quality != "unknown" else 0.0,
    )


def selected(heard: BestResultSelected) -> tuple[Outcome, ...]:
    """Return who won, and what each render cost."""
    winner = heard.payload.winning_task_id
    ranking = {each.task_id: each for each in heard.payload.ranking}
    return tuple(
        Outcome(
            tenant_id=heard.tenant_id,
            job_id=heard.correlation_id,
            task_id=task_id,
            at=heard.timestamp,
            won=task_id == winner,
            cost_microtokens=ranking[task_id].cost_microtokens if task_id in ranking else None,
        )
        for task_id in sorted({winner, *ranking})
    )


def ended(heard: JobEnded) -> Ended:
    """Return how a job ended."""
    return Ended(
        tenant_id=heard.tenant_id,
        job_id=heard.correlation_id,
        state=heard.payload.state,
        at=heard.timestamp,
    )


def merged(known: Outcome, new: Outcome) -> Outcome:
    """Return both together; what was known before stays."""
    return structs.replace(
        known,
        provider_id=known.provider_id or new.provider_id,
        effect_type=known.effect_type or new.effect_type,
        template_id=known.template_id or new.template_id,
        version=known.version or new.version,
        variant=known.variant or new.variant,
        composite=new.composite if known.composite is None else known.composite,
        confidence=new.confidence if known.confidence is None else known.confidence,
        won=new.won if known.won is None else known.won,
        cost_microtokens=(
            new.cost_microtokens if known.cost_microtokens is None else known.cost_microtokens
        ),
        at=min(known.at, new.at),
    )


def standings(outcomes: Iterable[Outcome], endings: Iterable[Ended]) -> tuple[Standing, ...]:
    """Return what became of jobs, by template and version; the SQL says the same."""
    states = {(each.tenant_id, each.job_id): each.state for each in endings}
    found: dict[tuple[str, str, int], Standing] = {}
    seen: set[tuple[str, str, int, str, str]] = set()
    for each in outcomes:
        if each.template_id == NO_TEMPLATE:
            continue
        group = (each.effect_type, each.template_id, each.version)
        known = found.get(group) or Standing(
            effect_type=each.effect_type, template_id=each.template_id, version=each.version
        )
        state = states.get((each.tenant_id, each.job_id))
        weight, worth = _worth(each, state)
        job = (*group, each.tenant_id, each.job_id)
        new = job not in seen
        seen.add(job)
        found[group] = structs.replace(
            known,
            jobs=known.jobs + new,
            weight_micro=known.weight_micro + weight,
            worth_micro=known.worth_micro + worth,
            published=known.published + (new and state is JobState.COMPLETE),
            rejected=known.rejected + (new and state is JobState.REJECTED),
            cost_microtokens=known.cost_microtokens + (each.cost_microtokens or 0),
        )
    return tuple(found[group] for group in sorted(found))


def _worth(each: Outcome, state: JobState | None) -> tuple[int, int]:
    """Return how much a render counts for its template, and what it won; only a winner does."""
    if not each.won or each.composite is None or not each.confidence:
        return 0, 0
    if state is JobState.REJECTED:
        return round(each.confidence * MICRO), 0
    weight = round(each.confidence * MICRO)
    return weight, round(each.confidence * each.composite * MICRO)


def _tried(heard: TestBatchDispatched, task: ExecutionTask, asked: Sequence[Asked]) -> Outcome:
    written, used = _words_of(task, asked)
    return Outcome(
        tenant_id=heard.tenant_id,
        job_id=heard.correlation_id,
        task_id=task.task_id,
        at=heard.timestamp,
        provider_id=task.provider_id,
        effect_type=task.effect_type or (written.effect_type if written else ""),
        template_id=written.template_id if written else NO_TEMPLATE,
        version=written.version if written else 0,
        variant=used.template_id.rpartition("/")[2] if used else "",
    )


def _words_of(
    task: ExecutionTask, asked: Sequence[Asked]
) -> tuple[Asked, PromptVariant] | tuple[None, None]:
    """Return whose words a task was given: the text and the seed are those of one variant."""
    for each in asked:
        for variant in each.prompts.prompt_variants:
            same_seed = variant.parameters.get("seed") == task.parameters.get("seed")
            if variant.prompt_text == task.prompt and same_seed:
                return each, variant
    return None, None
