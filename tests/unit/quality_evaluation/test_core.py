"""Who ranks where, and what is kept of a verdict."""

from __future__ import annotations

from itertools import permutations

import msgspec
import pytest

from actors.quality_evaluation import core
from actors.quality_evaluation.core import Score
from media.quality import Moment, Verdict
from tests.builders import NOON, task_succeeded
from tests.unit.quality_evaluation.histories import score


def between(task_id: str, low: float, composite: float, high: float) -> Score:
    """Return a score with an interval."""
    return score(task_id, composite, low=low, high=high)


def ranks(*scores: Score) -> list[int]:
    """Return the rank of each among all others."""
    return [
        core.ranked(new, [other for other in scores if other is not new]).rank for new in scores
    ]


def test_results_nobody_can_tell_apart_share_a_rank() -> None:
    """The second's interval reaches the first's; the third is surely worse than both."""
    assert ranks(
        between("task_1", 0.78, 0.80, 0.82),
        between("task_2", 0.76, 0.79, 0.81),
        between("task_3", 0.40, 0.50, 0.60),
    ) == [1, 1, 3]


def test_ranks_do_not_hang_on_the_order_of_arrival() -> None:
    """Once all are there, each has the same rank whoever came first."""
    scores = (
        between("task_1", 0.70, 0.75, 0.80),
        between("task_2", 0.60, 0.65, 0.72),
        between("task_3", 0.50, 0.55, 0.58),
    )
    expected = {each.task_id: rank for each, rank in zip(scores, ranks(*scores), strict=True)}

    for order in permutations(scores):
        assert {e.task_id: r for e, r in zip(order, ranks(*order), strict=True)} == expected


def test_versions_are_not_mixed() -> None:
    """A better number of another evaluator is no better result."""
    assert ranks(score("task_1", 0.9), score("task_2", 0.5, evaluator_version="other-9")) == [1, 1]


def test_the_curve_is_kept_and_the_worst_moment_told() -> None:
    """A person who asks why needs to know where to look."""
    worst = Moment(
        start_ms=2_000,
        end_ms=3_000,
        fidelity=0.9,
        artifacts=0.6,
        temporal_consistency=0.5,
        composite=0.41,
    )
    verdict = Verdict(
        fidelity=0.9,
        artifacts=0.1,
        style_adherence=0.8,
        temporal_consistency=0.9,
        perceptual_hash_distance=0.1,
        composite=0.85,
        confidence=0.9,
        findings=("breaks off while decoding",),
        low=0.8,
        high=0.88,
        curve=(worst,),
        worst=(worst,),
    )

    kept = core.score(task_succeeded("evt_1"), verdict, at=NOON)

    assert kept.reason == "breaks off while decoding; worst from 2.0 to 3.0 s (0.41)"
    assert (kept.low, kept.high) == (0.8, 0.88)
    assert msgspec.json.decode(kept.details)["curve"][0]["start_ms"] == 2_000
    assert kept.evaluator_version


@pytest.mark.parametrize("composite", [0.0, 0.4, 1.0])
def test_a_rank_is_never_above_the_number_of_candidates(composite: float) -> None:
    """A late result of another batch must not be third of two."""
    placed = core.ranked(score("task_1", composite), [score("task_2", 0.99)] * 3)

    said = core.evaluation(placed, total_candidates=1)

    assert said.total_candidates >= said.comparative_rank
