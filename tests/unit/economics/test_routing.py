"""From manifest and job to the providers to try."""

from __future__ import annotations

import pytest

from economics.errors import NoRouteError, UnknownPriorityError
from economics.routing import known_effects, recommend
from schemas.base import JobId, ProviderId, WorkflowId
from schemas.routing import (
    EffectRoute,
    ProviderRecommendation,
    ProviderRoute,
    RecommendationRequest,
    RoutingManifest,
    UserPreferences,
)
from tests.builders import NOON

KEY = b"a key of the test"
EFFECT = "style_transfer"


def route(name: str, **changes: object) -> ProviderRoute:
    """Return a provider's place in the manifest."""
    known: dict[str, object] = {
        "provider_id": ProviderId(name),
        "workflow_id": WorkflowId(f"wf_{name}"),
        "lane": "standard",
        "weight": 0.02,
        "expected_cost_tokens": 1,
        "expected_cost_microtokens": 1_000_000,
        "expected_quality_score": {"composite": 0.8},
        "expected_duration_ms": 3_000,
        "success_rate": 0.95,
        "confidence": "medium",
        "reason": "runner_up_for_type",
    }
    return ProviderRoute(**(known | changes))  # type: ignore[arg-type]


BEST = route("best", weight=0.95, expected_quality_score={"composite": 0.85}, subtypes=("noir",))
FINE = route(
    "fine",
    expected_quality_score={"composite": 0.97},
    expected_cost_microtokens=3_000_000,
    expected_duration_ms=9_000,
)
CHEAP = route("cheap", expected_cost_microtokens=300_000, expected_duration_ms=6_000)
FAST = route("fast", expected_duration_ms=500, expected_cost_microtokens=1_100_000)


def manifest(*routes: ProviderRoute) -> RoutingManifest:
    """Return a manifest for one effect type; the first is the default."""
    effect = EffectRoute(
        effect_type=EFFECT, default_provider_id=routes[0].provider_id, providers=routes
    )
    return RoutingManifest(version=3, generated_at=NOON, reason="", effects={EFFECT: effect})


ALL = manifest(BEST, FINE, CHEAP, FAST)


def ask(
    known: RoutingManifest = ALL,
    *,
    number: int = 0,
    priority: str = "balanced",
    look: str = "",
    budget: int | None = None,
    only: tuple[str, ...] = (),
    limit: int = 3,
) -> ProviderRecommendation:
    """Ask for one job."""
    return recommend(
        known,
        RecommendationRequest(
            task_type=EFFECT,
            effect_subtype=look,
            user_preferences=UserPreferences(priority=priority),
            budget_tokens=budget,
        ),
        job_id=JobId(f"job_{number}"),
        number=number,
        key=KEY,
        only=[ProviderId(name) for name in only],
        limit=limit,
    )


def plain_and_explored(**kwargs: int) -> tuple[ProviderRecommendation, ProviderRecommendation]:
    """Return the recommendation for a job that does not explore, and for one that does."""
    given = [ask(number=n, **kwargs) for n in range(20)]  # type: ignore[arg-type]
    [explored] = [each for each in given if each.exploration_mode]
    return next(each for each in given if not each.exploration_mode), explored


def names(given: ProviderRecommendation) -> list[str]:
    """Return the providers in their order."""
    return [each.provider_id for each in given.recommended_providers]


@pytest.mark.parametrize(
    ("priority", "first"),
    [("balanced", "best"), ("quality", "fine"), ("cost", "cheap"), ("speed", "fast")],
)
def test_the_priority_weighs_the_components_anew(priority: str, first: str) -> None:
    """The manifest keeps components, so one manifest serves four kinds of user."""
    plain = next(
        each
        for each in (ask(number=n, priority=priority) for n in range(20))
        if not each.exploration_mode
    )

    assert names(plain)[0] == first
    assert [each.role for each in plain.recommended_providers] == [
        "default",
        "runner_up",
        "runner_up",
    ]


def test_an_explored_slot_replaces_a_runner_up() -> None:
    """The default always tries, so an exploration never leaves the user with less."""
    plain, explored = plain_and_explored()

    assert names(explored)[0] == "best"
    assert len(names(explored)) == len(set(names(explored))) == 3
    assert [each.role for each in explored.recommended_providers][-1] == "exploration"
    assert explored.recommended_providers[-1].reason == "exploration_candidate"
    assert plain.manifest_version == 3


def test_propensities_are_the_frequencies() -> None:
    """Off-policy evaluation divides by them; a wrong one is a wrong verdict on a policy."""
    count = 4_000
    seen: dict[str, int] = {}
    claimed: dict[str, float] = {}
    for number in range(count):
        for each in ask(number=number).recommended_providers:
            seen[each.provider_id] = seen.get(each.provider_id, 0) + 1
            claimed[each.provider_id] = each.propensity

    assert claimed["best"] == 1.0
    assert sum(claimed.values()) == pytest.approx(3.0)
    for name, propensity in claimed.items():
        assert seen[name] / count == pytest.approx(propensity, abs=0.012)


def test_with_one_try_the_explored_provider_is_the_only_one() -> None:
    """Classic epsilon-greedy is the case of a limit of one."""
    plain, explored = plain_and_explored(limit=1)

    assert names(plain) == ["best"]
    assert plain.recommended_providers[0].propensity == pytest.approx(0.95)
    assert len(names(explored)) == 1
    assert names(explored) != ["best"]
    assert explored.recommended_providers[0].propensity == pytest.approx(0.05 / 3)


def test_a_single_provider_cannot_explore() -> None:
    """Saying so would count an exploration that explored nothing."""
    given = [ask(manifest(BEST), number=n) for n in range(20)]

    assert not any(each.exploration_mode for each in given)
    assert all(names(each) == ["best"] for each in given)


def test_a_shadow_works_along_and_is_never_the_default() -> None:
    """Its results are stored for evaluation only, so it comes on top of the limit."""
    shadow = route("new", status="shadow", weight=0.0, expected_quality_score={"composite": 1.0})
    given = [ask(manifest(BEST, FINE, shadow), number=n, limit=2) for n in range(40)]

    assert all(names(each)[-1] == "new" for each in given)
    assert all(each.recommended_providers[-1].role == "shadow" for each in given)
    assert all(names(each)[:1] == ["best"] for each in given)


def test_a_provider_on_probation_is_tried_in_explored_slots_only() -> None:
    """It has to prove itself on the exploration budget, not on every user."""
    risky = route("risky", status="probation")
    given = [ask(manifest(BEST, risky), number=n) for n in range(100)]

    assert sum("risky" in names(each) for each in given) == 5


def test_a_suspended_provider_is_not_tried_at_all() -> None:
    """Its weight is zero for as long as it fails."""
    broken = route("broken", status="suspended", weight=0.0)
    given = [ask(manifest(BEST, FINE, broken), number=n) for n in range(100)]

    assert not any("broken" in names(each) for each in given)


def test_a_look_narrows_the_choice_only_when_somebody_offers_it() -> None:
    """A subtype nobody lists is a wish for the prompt, not a reason to refuse."""
    assert names(ask(look="noir")) == ["best"]
    assert len(names(ask(look="unheard_of"))) == 3


def test_a_budget_excludes_the_dear() -> None:
    """And when it excludes everybody the job hears why."""
    assert "fine" not in names(ask(budget=2, limit=4))
    with pytest.raises(NoRouteError, match="none within 0 tokens") as refused:
        ask(budget=0)
    assert refused.value.permanent


def test_only_the_chosen_providers_try() -> None:
    """A user may narrow the choice; a name that does not offer the effect is refused."""
    assert set(names(ask(only=("fast", "cheap")))) == {"fast", "cheap"}
    with pytest.raises(NoRouteError, match="none of nobody offers it") as refused:
        ask(only=("nobody",))
    assert refused.value.permanent


def test_what_nobody_does_has_no_route() -> None:
    """Each refusal says which of the two it was, and that the next manifest may change it."""
    idle = manifest(route("a", status="suspended"))

    with pytest.raises(NoRouteError, match="no provider is active") as resting:
        ask(idle, only=("a",))
    with pytest.raises(NoRouteError, match="does not know it") as unheard:
        recommend(
            ALL, RecommendationRequest(task_type="magic"), job_id=JobId("j"), number=0, key=KEY
        )
    assert not resting.value.permanent
    assert not unheard.value.permanent
    with pytest.raises(UnknownPriorityError):
        ask(priority="luck")
    assert known_effects(idle) == frozenset()
    assert known_effects(ALL) == {EFFECT}


def test_a_job_asks_twice_and_hears_the_same() -> None:
    """Retries and replays must not move a job to other providers."""
    assert [ask(number=n) for n in range(40)] == [ask(number=n) for n in range(40)]
