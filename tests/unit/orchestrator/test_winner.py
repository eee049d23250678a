"""Who wins, and what is said about it."""

from __future__ import annotations

import pytest
from msgspec import structs

from actors.orchestrator.winner import WEIGHTS, rank, summary, tokens
from schemas.base import ProviderId, TaskId
from schemas.jobs import Candidate
from schemas.quality import Evaluation
from schemas.routing import UserPreferences
from tests.builders import VECTOR, execution_task, task_failed, task_succeeded
from tests.unit.orchestrator.script import (
    TO_TESTING,
    A,
    B,
    C,
    Played,
    in_testing,
    recommendation,
    start_job,
)


def candidate(
    name: str,
    *,
    quality: float | None = 0.8,
    cost: int = 2_000_000,
    ms: int = 2900,
    role: str = "default",
) -> Candidate:
    """Return a provider's result; no quality means that nobody evaluated it."""
    result = task_succeeded(task_id=name, provider_id=name, cost_microtokens=cost).payload
    telemetry = structs.replace(result.execution_telemetry, actual_duration_ms=ms)
    evaluation = Evaluation(
        quality_vector=VECTOR,
        composite_score=quality or 0.0,
        comparative_rank=1,
        total_candidates=3,
    )
    return Candidate(
        task=execution_task(name, name, role=role),
        result=structs.replace(result, execution_telemetry=telemetry),
        evaluation=None if quality is None else evaluation,
    )


def order_of(*candidates: Candidate, priority: str = "balanced") -> list[str]:
    """Return the providers, best first."""
    return [row.provider_id for row in rank(candidates, priority)]


GOOD = candidate("good", quality=0.95, cost=6_000_000, ms=9000)
CHEAP = candidate("cheap", quality=0.70, cost=1_000_000, ms=6000)
FAST = candidate("fast", quality=0.72, cost=5_000_000, ms=1500)


@pytest.mark.parametrize(
    ("priority", "winner"), [("quality", "good"), ("cost", "cheap"), ("speed", "fast")]
)
def test_the_users_priority_decides(priority: str, winner: str) -> None:
    """The same three results, three users, three winners."""
    assert order_of(GOOD, CHEAP, FAST, priority=priority)[0] == winner


def test_a_priority_nobody_knows_counts_as_balanced() -> None:
    """An old gateway must not stop a job at its last step."""
    assert order_of(GOOD, CHEAP, FAST, priority="?") == order_of(GOOD, CHEAP, FAST)


@pytest.mark.parametrize("weights", WEIGHTS.values())
def test_weights_add_up(weights: object) -> None:
    """Scores of different priorities stay comparable."""
    assert sum(structs.astuple(weights)) == pytest.approx(1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("priority", WEIGHTS)
def test_between_equals_the_better_one_wins(priority: str) -> None:
    """Whatever the user prefers, more quality at the same price and time is better."""
    better, worse = candidate("z", quality=0.81), candidate("a", quality=0.80)

    assert order_of(better, worse, priority=priority) == ["z", "a"]


def test_unknown_quality_ranks_below_the_worst_known() -> None:
    """However cheap and fast it was."""
    unseen = candidate("unseen", quality=None, cost=1, ms=1)
    poor = candidate("poor", quality=0.05, cost=9_000_000, ms=60_000)

    ranking = rank([unseen, poor], "cost")

    assert [row.provider_id for row in ranking] == ["poor", "unseen"]
    assert ranking[1].quality_vector is None


@pytest.mark.parametrize("change", [{"quality": "unknown"}, {"confidence": 0.0}])
def test_an_evaluation_that_measured_nothing_counts_as_unknown(change: dict[str, object]) -> None:
    """Its numbers are placeholders."""
    vague = candidate("vague", quality=0.99)
    assert vague.evaluation is not None
    vague = structs.replace(vague, evaluation=structs.replace(vague.evaluation, **change))

    assert order_of(vague, candidate("known", quality=0.2)) == ["known", "vague"]


def test_between_unknowns_the_cheaper_one_wins() -> None:
    """There is still a reason to choose."""
    dear, cheap = candidate("a", quality=None, cost=9), candidate("b", quality=None, cost=2)

    assert order_of(dear, cheap) == ["b", "a"]


def test_a_shadow_result_is_not_even_listed() -> None:
    """Nobody sees it."""
    shadow = candidate("shadow", quality=1.0, cost=0, ms=1, role="shadow")

    assert order_of(shadow, CHEAP) == ["cheap"]


def test_an_exploration_may_win() -> None:
    """That is what it is for."""
    explored = candidate("explored", quality=0.99, role="exploration")

    assert order_of(explored, candidate("usual"))[0] == "explored"


def test_a_free_render_breaks_no_ratio() -> None:
    """The embedded renderer may cost nothing."""
    free, paid = candidate("free", cost=0), candidate("paid", cost=1_000_000)

    assert order_of(paid, free) == ["free", "paid"]


def test_the_order_of_arrival_does_not_matter() -> None:
    """A replay must choose the same winner."""
    twins = [candidate(name) for name in ("b", "a", "c")]

    assert order_of(*twins) == order_of(*reversed(twins)) == ["a", "b", "c"]


def test_failed_and_late_come_last_with_their_reasons() -> None:
    """The admin sees what was tried."""
    failed = Candidate(
        task=execution_task("f", "f"), failure=task_failed(cost_microtokens=7).payload
    )
    late = Candidate(task=execution_task("e", "e"))

    ranking = rank([late, failed, GOOD], "balanced")

    assert [(row.provider_id, row.outcome, row.rank) for row in ranking] == [
        ("good", "won", 1),
        ("f", "failed", 2),
        ("e", "late", 3),
    ]
    assert ranking[1].reason == "HOST_ERROR: the host refused"
    assert ranking[1].cost_microtokens == 7


def test_nothing_delivered_means_no_winner() -> None:
    """Not even the first of the failed."""
    late = Candidate(task=execution_task("late", "late"))

    assert [row.outcome for row in rank([late], "balanced")] == ["late"]
    assert rank([], "balanced") == ()


def test_the_summary_explains_itself() -> None:
    """One or two sentences with quality and time; costs are the platform's own business."""
    job = in_testing(A, B, C)
    job.hear(
        job.succeeds(A, cost=1_500_000),
        job.succeeds(B, cost=3_000_000),
        job.fails(C),
        job.scored(A, 0.89),
        job.scored(B, 0.80),
    )

    assert job.job is not None
    assert job.job.selection is not None
    assert job.job.selection.comparison_summary == (
        "fx-a won for priority balanced with 0.93 (quality 0.89, 2.9 s), "
        "ahead of fx-b with 0.78 (quality 0.80, 2.9 s). fx-c failed."
    )
    costs = [row.cost_microtokens for row in job.job.selection.ranking]
    assert costs == [1_500_000, 3_000_000, 0]


@pytest.mark.parametrize("priority", WEIGHTS)
def test_nothing_a_user_reads_of_the_comparison_tells_a_cost(priority: str) -> None:
    """The sentence and the reasons are the same for a render of ten times the cost in all."""
    told = []
    for factor in (1, 10):
        rows = [
            candidate(name, quality=quality, cost=factor * 1_234_567)
            for name, quality in (("a", 0.9), ("b", 0.8), ("c", None))
        ]
        ranking = rank(rows, priority)
        told.append((summary(ranking, priority), [row.reason for row in ranking]))

    assert told[0] == told[1]
    assert "token" not in told[0][0]


def test_the_summary_of_an_only_result_says_that_it_is_the_only_one() -> None:
    """A comparison with nobody must not look like one."""
    job = in_testing(A)
    job.hear(job.succeeds(A), job.scored(A, 0.5))

    assert job.job is not None
    assert job.job.selection is not None
    assert "Nothing else could be compared with it." in job.job.selection.comparison_summary


def test_the_saga_uses_the_orders_priority() -> None:
    """The preference travels from the order to the choice."""
    order = start_job(user_preferences=UserPreferences(priority="cost"))
    job = Played(recommendation(A, B)).hear(order, *TO_TESTING[1:])
    job.hear(
        job.succeeds(A, cost=8_000_000),
        job.succeeds(B, cost=1_000_000),
        job.scored(A, 0.9),
        job.scored(B, 0.7),
    )

    assert job.job is not None
    assert job.job.selection is not None
    assert job.job.selection.winning_provider_id == ProviderId(B)
    assert job.job.selection.winning_task_id == TaskId(job.task(B))


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.00"), (4_999, "0.00"), (5_000, "0.01"), (1_995_000, "2.00"), (12_340_000, "12.34")],
)
def test_tokens_are_rounded_half_up_for_people(amount: int, text: str) -> None:
    """By integers, so that no cent depends on a float."""
    assert tokens(amount) == text
