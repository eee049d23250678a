"""Templates are ranked by what they won, and jobs shared out so that each can prove itself."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from msgspec import structs

from actors.prompt_generation.ranking import (
    FLOOR,
    NOTHING_KNOWN,
    PRIOR_WORTH,
    Ranking,
    assigned,
    ranked,
    shares,
)
from schemas.base import JobId
from tests.unit.prompt_generation.world import RIVALS, known, standing, template

STROKES, CANVAS = (template(each) for each in RIVALS)
PAIR = (STROKES, CANVAS)
EVEN = (STROKES, structs.replace(CANVAS, weight=1.0))


def test_an_unknown_template_stands_at_the_prior() -> None:
    """Neither punished for being new nor rewarded."""
    assert NOTHING_KNOWN.of(STROKES).worth == PRIOR_WORTH


def test_an_unknown_template_stands_where_its_effect_does() -> None:
    """Where everything wins much, a new one is expected to as well; elsewhere not."""
    good = ranked([standing(RIVALS[0], jobs=200, worth=0.9)]).of(CANVAS)
    bad = ranked([standing(RIVALS[0], jobs=200, worth=0.3)]).of(CANVAS)
    other = ranked([standing("x", jobs=200, worth=0.3, effect_type="upscale")]).of(CANVAS)

    assert good.worth > 0.85
    assert bad.worth < 0.35
    assert other.worth == PRIOR_WORTH


def test_one_lucky_job_moves_a_template_little() -> None:
    """Or the first job would decide for ever."""
    lucky = ranked(
        [standing(RIVALS[0], jobs=100, worth=0.7), standing(RIVALS[1], jobs=1, worth=1.0)]
    )

    assert 0.7 < lucky.of(CANVAS).worth < 0.75


def test_what_is_unknown_counts_for_nothing() -> None:
    """Jobs without a measured quality leave a template at the prior."""
    unmeasured = standing(RIVALS[0], jobs=50, worth=0.0, weight_micro=0, worth_micro=0)

    assert ranked([unmeasured]).of(STROKES).worth == pytest.approx(PRIOR_WORTH)


def test_a_new_version_starts_anew() -> None:
    """Other words have not won what the old ones did."""
    ranking = known(strokes=(500, 0.2))
    again = structs.replace(STROKES, version=2)

    assert ranking.of(STROKES).worth < 0.3
    assert ranking.of(again).high > ranking.of(STROKES).high


def test_more_jobs_make_it_surer() -> None:
    """The interval is what an admin decides by."""
    few, many = known(strokes=(5, 0.8)).of(STROKES), known(strokes=(500, 0.8)).of(STROKES)

    assert many.high - many.low < (few.high - few.low) / 2


def test_a_ranking_does_not_hang_on_the_order_of_its_rows() -> None:
    """Two processes must share out alike."""
    rows = [standing(name, jobs=n, worth=0.1 * n) for n, name in enumerate("abcdefg", start=1)]

    assert ranked(rows) == ranked(reversed(rows))


def test_without_knowledge_jobs_follow_the_weights() -> None:
    """So that a challenger can be given a small part at first."""
    first, second = shares(PAIR, NOTHING_KNOWN)

    assert first + second == pytest.approx(1)
    assert (first - FLOOR) / (second - FLOOR) == pytest.approx(STROKES.weight / CANVAS.weight)


def test_the_better_one_gets_more_and_the_worse_one_never_nothing() -> None:
    """The floor is what lets one that began badly prove itself."""
    parts = [shares(EVEN, known(strokes=(n, 0.9), canvas=(n, 0.5)))[0] for n in (0, 3, 30, 3000)]

    assert parts == sorted(parts)
    assert parts[0] == pytest.approx(0.5)
    assert parts[-1] == pytest.approx(1 - FLOOR, abs=1e-6)


@pytest.mark.parametrize("worth", [0.0, 1.0])
def test_extremes_can_be_shared_out_too(worth: float) -> None:
    """Always and never are what a small history looks like."""
    parts = shares(PAIR, known(strokes=(10_000, worth), canvas=(10_000, worth)))

    assert sum(parts) == pytest.approx(1)
    assert min(parts) >= FLOOR / 2


def test_a_floor_for_many_leaves_room_for_the_best() -> None:
    """Twenty floors of a tenth would be two wholes."""
    many = tuple(structs.replace(STROKES, id=f"t{n:02}") for n in range(20))

    won = [standing(each.id, jobs=90, worth=0.95 if each.id == "t07" else 0.5) for each in many]

    parts = shares(many, ranked(won))

    assert sum(parts) == pytest.approx(1)
    assert min(parts) >= 0.5 / 20 - 1e-9
    assert max(parts) == parts[7]


def test_a_job_is_assigned_the_same_template_every_time() -> None:
    """By a hash: no state, no dice, the same in every process."""
    for number in range(50):
        job = JobId(f"job_{number}")
        first = assigned(PAIR, job, NOTHING_KNOWN)

        assert all(assigned(PAIR, job, NOTHING_KNOWN) is first for _ in range(3))


@pytest.mark.parametrize(
    "ranking", [NOTHING_KNOWN, known(strokes=(40, 0.9), canvas=(40, 0.4))], ids=["new", "known"]
)
def test_many_jobs_get_what_the_shares_say(ranking: Ranking) -> None:
    """Within four deviations of 4,000 draws."""
    count = Counter(assigned(PAIR, JobId(f"job_{n}"), ranking).id for n in range(4_000))

    for one, part in zip(PAIR, shares(PAIR, ranking), strict=True):
        deviation = (4_000 * part * (1 - part)) ** 0.5
        assert abs(count[one.id] - 4_000 * part) < 4 * deviation


def test_growing_better_never_loses_a_job_that_was_won() -> None:
    """Shares move borders; a job that was the first template's stays there as its share grows."""
    steps = [known(strokes=(n, 0.9), canvas=(n, 0.5)) for n in (0, 5, 50)]
    for number in range(200):
        firsts = [assigned(EVEN, JobId(f"job_{number}"), each) is STROKES for each in steps]

        assert all(later or not earlier for earlier, later in itertools.pairwise(firsts))
