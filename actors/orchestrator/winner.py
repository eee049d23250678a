"""Which candidate is best for this user, and a sentence that says why. Pure.

A score is the weighted sum of quality, cheapness and speed. Quality is the composite score of the
evaluation. Cheapness and speed are ratios to the best candidate of the same batch: 1 for the
cheapest, 0.5 for one at twice its cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from actors.orchestrator.batch import SHADOW
from schemas.base import MICRO, MicroTokens
from schemas.jobs import Candidate, Job, RankedCandidate, Selection
from schemas.quality import UNKNOWN_VECTOR
from schemas.tasks import TaskResult


class Weights(Struct, frozen=True, kw_only=True):
    """How much each side counts; they add up to 1."""

    quality: float
    cost: float
    speed: float


BALANCED: Final = "balanced"
WEIGHTS: Final[Mapping[str, Weights]] = {
    "quality": Weights(quality=0.8, cost=0.1, speed=0.1),
    "speed": Weights(quality=0.4, cost=0.1, speed=0.5),
    "cost": Weights(quality=0.4, cost=0.5, speed=0.1),
    BALANCED: Weights(quality=0.6, cost=0.2, speed=0.2),
}
"""By the user's priority."""


def may_win(candidate: Candidate) -> bool:
    """Tell whether the user waits for this candidate."""
    return candidate.task.role != SHADOW


def is_scored(candidate: Candidate) -> bool:
    """Tell whether the quality of a result is known."""
    evaluation = candidate.evaluation
    return (
        evaluation is not None and evaluation.quality != "unknown" and evaluation.confidence > 0.0
    )


def rank(candidates: Iterable[Candidate], priority: str) -> tuple[RankedCandidate, ...]:
    """Return every candidate that may win, best first, those without a result last."""
    name = priority if priority in WEIGHTS else BALANCED
    visible = sorted(filter(may_win, candidates), key=lambda one: one.task.task_id)
    with_result = [(one, one.result) for one in visible if one.result is not None]
    scores = _scores(with_result, WEIGHTS[name])
    order = sorted(
        zip(with_result, scores, strict=True),
        key=lambda row: (not is_scored(row[0][0]), -row[1], _cost(row[0][1]), _ms(row[0][1])),
    )
    rows = [
        _ranked(one, result, score, place=place, best=order[0][1], priority=name)
        for place, ((one, result), score) in enumerate(order, start=1)
    ]
    without = [one for one in visible if one.result is None]
    without.sort(key=lambda one: one.failure is None)
    rows += [_unranked(one, place) for place, one in enumerate(without, start=len(rows) + 1)]
    return tuple(rows)


def select(job: Job) -> Selection | None:
    """Return the winner with the comparison it won, or ``None`` when nobody delivered."""
    priority = job.order.user_preferences.priority
    ranking = rank(job.candidates.values(), priority)
    if not ranking or ranking[0].outcome != "won":
        return None
    best = ranking[0]
    result = job.candidates[best.task_id].result
    assert result is not None
    return Selection(
        winning_task_id=best.task_id,
        winning_provider_id=best.provider_id,
        quality_vector=best.quality_vector or UNKNOWN_VECTOR,
        cost_tokens=result.execution_telemetry.actual_cost_tokens,
        comparison_summary=summary(ranking, priority if priority in WEIGHTS else BALANCED),
        ranking=ranking,
        output_video_uri=result.output_video_uri,
        input_video_uri=job.video.normalized_uri if job.video else result.input_video_uri,
        video_id=job.order.video_id,
        user_id=job.order.user_id,
        effect_type=job.order.effect_type,
        composite_score=best.composite_score,
    )


def summary(ranking: Sequence[RankedCandidate], priority: str) -> str:
    """Return one or two sentences, with numbers, that say why the first of a ranking won.

    Users read it, so it has quality and time; what a render cost stands in the ranking only.
    """
    best = ranking[0]
    rivals = [row for row in ranking[1:] if row.outcome == "lost"]
    said = (
        f"{best.provider_id} won for priority {priority} with {best.score:.2f} ({_numbers(best)})"
    )
    if rivals:
        second = rivals[0]
        said += f", ahead of {second.provider_id} with {second.score:.2f} ({_numbers(second)})"
    failed = [row.provider_id for row in ranking if row.outcome == "failed"]
    late = [row.provider_id for row in ranking if row.outcome == "late"]
    absent = [f"{', '.join(failed)} failed"] if failed else []
    absent += [f"{', '.join(late)} did not finish in time"] if late else []
    if not rivals:
        absent.insert(0, "nothing else could be compared with it")
    rest = " and ".join(absent)
    return (
        f"{said}. {rest[0].upper() if not failed else rest[0]}{rest[1:]}." if rest else said + "."
    )


def tokens(amount: MicroTokens) -> str:
    """Return micro-tokens as tokens with two decimals, rounded half up, for a person.

    >>> tokens(1_499_999), tokens(5_000)
    ('1.50', '0.01')
    """
    hundredths = (amount * 100 + MICRO // 2) // MICRO
    return f"{hundredths // 100}.{hundredths % 100:02d}"


def _scores(rows: Sequence[tuple[Candidate, TaskResult]], weights: Weights) -> list[float]:
    if not rows:
        return []
    cheapest = min(_cost(result) for _, result in rows)
    fastest = min(_ms(result) for _, result in rows)
    return [
        round(
            weights.quality * _quality(one)
            + weights.cost * _ratio(cheapest, _cost(result))
            + weights.speed * _ratio(fastest, _ms(result)),
            6,
        )
        for one, result in rows
    ]


def _ratio(best: int, own: int) -> float:
    """Return 1 for the best and less for the others; one unit more keeps zero out of the way."""
    return (best + 1) / (own + 1)


def _quality(candidate: Candidate) -> float:
    if candidate.evaluation is None or not is_scored(candidate):
        return 0.0
    return candidate.evaluation.composite_score


def _cost(result: TaskResult) -> MicroTokens:
    return max(0, result.execution_telemetry.cost_microtokens)


def _ms(result: TaskResult) -> int:
    return result.execution_telemetry.actual_duration_ms


def _ranked(
    one: Candidate, result: TaskResult, score: float, *, place: int, best: float, priority: str
) -> RankedCandidate:
    known = is_scored(one)
    if place == 1:
        reason = f"best for priority {priority}"
    elif known:
        reason = f"{score:.2f} against {best:.2f}"
    else:
        reason = "ranks below every result whose quality is known"
    if not known:
        why = one.evaluation.reason if one.evaluation else "no evaluation in time"
        reason += f"; quality unknown: {why or 'it could not be measured'}"
    return RankedCandidate(
        task_id=one.task.task_id,
        provider_id=one.task.provider_id,
        rank=place,
        score=score,
        composite_score=_quality(one),
        quality_vector=one.evaluation.quality_vector if one.evaluation and known else None,
        cost_microtokens=_cost(result),
        duration_ms=_ms(result),
        outcome="won" if place == 1 else "lost",
        reason=reason,
        role=one.task.role,
    )


def _unranked(one: Candidate, place: int) -> RankedCandidate:
    failure = one.failure
    return RankedCandidate(
        task_id=one.task.task_id,
        provider_id=one.task.provider_id,
        rank=place,
        score=0.0,
        composite_score=0.0,
        quality_vector=None,
        cost_microtokens=failure.cost_microtokens if failure else 0,
        duration_ms=0,
        outcome="failed" if failure else "late",
        reason=f"{failure.error_code}: {failure.message}" if failure else "not finished in time",
        role=one.task.role,
    )


def _numbers(row: RankedCandidate) -> str:
    quality = (
        "quality unknown" if row.quality_vector is None else f"quality {row.composite_score:.2f}"
    )
    return f"{quality}, {row.duration_ms / 1000:.1f} s"
