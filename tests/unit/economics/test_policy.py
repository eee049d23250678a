"""The specification's scenarios for the Economic Engine, and what a policy must never do."""

from __future__ import annotations

from itertools import pairwise

import pytest
from msgspec.structs import replace

from economics.changes import same_content
from economics.routing import recommend
from schemas.base import JobId, ProviderId
from schemas.routing import CostModel, ProviderHealth, RecommendationRequest
from tests.builders import NOON
from tests.unit.economics.worlds import EFFECT, Maker, World, record

KEY = b"k"


def test_a_consistently_cheaper_provider_gets_more_than_ninety_percent() -> None:
    """Section 9: provider A consistently cheaper -> the manifest favours A."""
    world = World(Maker(name="a", tokens=0.6), Maker(name="b"), Maker(name="c"))
    world.work(jobs=20)
    policy = world.cycle()

    assert world.default() == "a"
    assert world.weight("a") > 0.9
    assert policy.manifest.effects[EFFECT].providers[0].reason == "cheapest_for_type"


def test_a_provider_that_becomes_three_times_cheaper_is_found_within_a_cycle() -> None:
    """Section 9. Ninety old samples must not hide three new ones."""
    world = World(Maker(name="a", tokens=0.8), Maker(name="b", tokens=1.2))
    for _ in range(3):
        world.work(jobs=30)
        world.cycle()
    before = world.default()

    world.makers["b"].tokens = 0.4
    world.work(jobs=3)
    policy = world.cycle()

    assert before == "a"
    assert world.default() == "b"
    assert f"{EFFECT}: default moved from a to b" in policy.changes


def test_a_provider_that_starts_failing_half_its_tasks_loses_its_weight() -> None:
    """Section 9. A hundred old successes must not carry it on."""
    world = World(Maker(name="a"), Maker(name="b"), Maker(name="c", tokens=0.5))
    for _ in range(3):
        world.work(jobs=35)
        world.cycle()
    before = world.weight("c")

    world.makers["c"].failing = 0.5
    world.work(jobs=16)
    policy = world.cycle()

    assert before > 0.9
    assert world.weight("c") < 0.01
    assert world.default() != "c"
    assert any("c goes from" in line and "(failing)" in line for line in policy.changes)


def test_a_suspended_provider_comes_back_through_exploration() -> None:
    """Nobody takes the blame for ever; but users' jobs come only after it proved itself."""
    world = World(Maker(name="a"), Maker(name="c", tokens=0.5))
    world.work(jobs=30)
    world.makers["c"].failing = 1.0
    world.work("c", jobs=8)
    world.cycle()
    suspended = world.weight("c")

    world.makers["c"].failing = 0.0
    for _ in range(10):
        world.cycle()
    explored = world.weight("c")
    for _ in range(14):
        world.work("c", jobs=2)
        world.cycle()

    assert suspended == 0.0
    assert 0.0 < explored <= 0.05
    assert world.default() == "c"


def test_exactly_five_of_each_aligned_hundred_explore() -> None:
    """Section 9: the exploration budget, through the whole path of a recommendation."""
    world = World(Maker(name="a", tokens=0.6), Maker(name="b"), Maker(name="c"), Maker(name="d"))
    world.work(jobs=20)
    manifest = world.cycle().manifest
    request = RecommendationRequest(task_type=EFFECT)
    given = [
        recommend(manifest, request, job_id=JobId(f"job_{n}"), number=n, key=KEY, limit=1)
        for n in range(1_000)
    ]
    explored = [
        sum(each.exploration_mode for each in given[start : start + 100])
        for start in range(0, 1_000, 100)
    ]
    elsewhere = sum(each.recommended_providers[0].provider_id != "a" for each in given)

    assert explored == [5] * 10
    assert elsewhere == 50


def test_two_equal_providers_do_not_take_turns() -> None:
    """A default that flaps cools every cache it leaves."""
    world = World(Maker(name="a"), Maker(name="b"), seed=5)
    defaults = []
    for _ in range(60):
        world.work(jobs=6)
        world.cycle()
        defaults.append(world.default())
    moves = sum(one != other for one, other in pairwise(defaults))

    assert moves <= 3


def test_one_failure_of_a_newcomer_is_not_failing() -> None:
    """A floor tested on the mean of one sample would end every provider's first day."""
    world = World(Maker(name="a"), Maker(name="b", failing=1.0))
    world.work("a", jobs=10)
    world.work("b", jobs=1)
    world.cycle()

    assert world.weight("b") > 0.0


def test_when_everybody_fails_the_best_still_serves() -> None:
    """A fleet that was down for a minute must not refuse every job of the next hour."""
    world = World(Maker(name="a", failing=1.0), Maker(name="b", failing=1.0))
    world.work(jobs=10)
    world.cycle()
    route = world.manifest.effects[EFFECT]  # type: ignore[union-attr]

    assert route.providers[0].reason == "last_resort"
    assert route.providers[0].status == "active"
    assert sum(each.weight for each in route.providers) == pytest.approx(1.0)


def test_a_new_provider_starts_from_what_its_record_declares() -> None:
    """Before the first job the manifest still knows a price and a duration."""
    world = World(Maker(name="a"))
    slow = CostModel(
        base_cost_per_frame=0.0, gpu_type_required="A10G", avg_gpu_seconds_per_frame=0.5
    )
    world.records = [record("a"), record("dear", cost_model=slow)]
    routes = {each.provider_id: each for each in world.cycle().manifest.effects[EFFECT].providers}

    assert routes[ProviderId("dear")].expected_cost_tokens == 210
    assert routes[ProviderId("dear")].expected_duration_ms == 75_000
    assert routes[ProviderId("dear")].confidence == "low"
    assert routes[ProviderId("dear")].subtypes == ("cinematic",)
    assert world.default() == "a"


@pytest.mark.parametrize(
    ("change", "weight"),
    [
        ({"status": "shadow"}, 0.0),
        ({"health": ProviderHealth(status="unhealthy", last_check=NOON)}, 0.0),
    ],
)
def test_who_may_not_serve_has_no_weight(change: dict[str, object], weight: float) -> None:
    """A shadow's results are seen by nobody, an ill provider gets nothing at all."""
    world = World(Maker(name="a"), Maker(name="b", tokens=0.3))
    world.records = [record("a"), record("b", **change)]
    world.work(jobs=10)
    world.cycle()

    assert world.default() == "a"
    assert world.weight("b") == weight
    assert world.weight("a") == 1.0


@pytest.mark.parametrize("status", ["disabled", "draining"])
def test_who_is_gone_is_not_in_the_manifest(status: str) -> None:
    """And a person is told so."""
    world = World(Maker(name="a"), Maker(name="b"))
    world.cycle()
    world.records = [record("a"), record("b", status=status)]
    policy = world.cycle()

    assert [r.provider_id for r in policy.manifest.effects[EFFECT].providers] == ["a"]
    assert any("b goes from" in line and "no longer offered" in line for line in policy.changes)


def test_a_provider_on_an_unpriced_gpu_is_left_out_and_named() -> None:
    """What cannot be costed cannot be routed; silence about it would be worse."""
    world = World(Maker(name="a"))
    odd = replace(record("odd").cost_model, gpu_type_required="B9000")
    world.records = [record("a"), record("odd", cost_model=odd)]
    policy = world.cycle()

    assert [r.provider_id for r in policy.manifest.effects[EFFECT].providers] == ["a"]
    assert any("odd is left out" in line and "B9000" in line for line in policy.changes)


def test_the_same_history_gives_the_same_content() -> None:
    """Only a manifest that routes otherwise is worth publishing."""
    world = World(Maker(name="a"), Maker(name="b"))
    world.work(jobs=10)
    first = world.cycle().manifest
    again = World(Maker(name="a"), Maker(name="b"))
    again.work(jobs=10)
    second = again.cycle().manifest

    assert same_content(first, replace(second, version=7, reason="other"))
    world.work(jobs=1)
    assert not same_content(first, world.cycle().manifest)
