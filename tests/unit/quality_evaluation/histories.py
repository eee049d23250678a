"""What every ``ScoreHistory`` must do; run against memory and against Postgres."""

from __future__ import annotations

from actors.quality_evaluation.core import Score
from actors.quality_evaluation.ports import ScoreHistory
from schemas.base import JobId, ProviderId, TaskId, TenantId
from tests.builders import JOB, NOON, TENANT, VECTOR


def score(task_id: str, composite: float = 0.8, **changes: object) -> Score:
    """Return a score that is not ranked yet."""
    known: dict[str, object] = {
        "task_id": TaskId(task_id),
        "job_id": JOB,
        "tenant_id": TENANT,
        "provider_id": ProviderId("fx-warm-grade-v1"),
        "effect_type": "color_correction",
        "composite": composite,
        "vector": VECTOR,
        "confidence": 0.9,
        "evaluator_version": "pixels-1",
        "at": NOON,
    }
    return Score(**(known | changes))  # type: ignore[arg-type]


def unknown(task_id: str) -> Score:
    """Return the score of what could not be measured."""
    return score(task_id, 0.0, confidence=0.0, reason="unreadable")


async def ranks_in_order_of_arrival(history: ScoreHistory) -> None:
    """Rank a new score among those before it; equal ones share a rank."""
    added = [
        await history.add(score("task_1", 0.7)),
        await history.add(score("task_2", 0.9)),
        await history.add(score("task_3", 0.7)),
        await history.add(score("task_4", 0.1)),
    ]

    assert [found.rank for found in added] == [1, 1, 2, 4]


async def puts_unknown_after_everything_scored(history: ScoreHistory) -> None:
    """Rank even a score of zero higher: it was at least measured."""
    await history.add(score("task_1", 0.0))
    first = await history.add(unknown("task_2"))
    second = await history.add(unknown("task_3"))
    late = await history.add(score("task_4", 0.0))

    assert (first.rank, second.rank, late.rank) == (2, 2, 1)


async def scores_a_task_once(history: ScoreHistory) -> None:
    """Give the second try what the first one stored, rank included."""
    first = await history.add(score("task_1", 0.4))
    await history.add(score("task_2", 0.9))
    again = await history.add(score("task_1", 0.99))

    assert again == first
    assert await history.find(TENANT, TaskId("task_1")) == first


async def keeps_jobs_and_tenants_apart(history: ScoreHistory) -> None:
    """Rank within a job only; let another tenant's scores not exist."""
    await history.add(score("task_1", 0.9, job_id=JobId("job_2")))
    await history.add(score("task_2", 0.9, tenant_id=TenantId("tnt_2")))
    mine = await history.add(score("task_3", 0.5))

    assert mine.rank == 1
    assert await history.find(TENANT, TaskId("task_2")) is None
    assert await history.find(TENANT, TaskId("task_9")) is None


CHECKS = (
    ranks_in_order_of_arrival,
    puts_unknown_after_everything_scored,
    scores_a_task_once,
    keeps_jobs_and_tenants_apart,
)
