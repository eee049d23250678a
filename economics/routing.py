"""From the manifest and one job to the providers that try it.

Always the default, then the runners-up. In an explored slot one of them is drawn among the others
instead, so that every provider is measured on real work now and then. A provider on shadow also
works, beyond the limit, and nobody sees what it made. Each decision carries the probability with
which it was made: without that no later policy can be judged on today's jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from economics.errors import NoRouteError
from economics.exploration import arm_of, slot_of
from economics.utility import BALANCED, usual, utility_of, weights_for
from schemas.base import MICRO, JobId, ProviderId
from schemas.routing import (
    EffectRoute,
    ProviderRecommendation,
    ProviderRoute,
    RecommendationRequest,
    RecommendedProvider,
    RoutingManifest,
)

ACTIVE: Final = "active"
PROBATION: Final = "probation"
"""Failed too often: tried in explored slots only, until it has proved itself again."""
SHADOW: Final = "shadow"

DEFAULT_ROLE: Final = "default"
RUNNER_UP_ROLE: Final = "runner_up"
EXPLORATION_ROLE: Final = "exploration"
SHADOW_ROLE: Final = "shadow"


class _Field(Struct, frozen=True, kw_only=True):
    """Who may be tried: the ranked providers, and what an explored slot draws from.

    The manifest's default is an arm too when another priority ranks it lower, but with no more than
    an arm's weight, or it would win every draw.
    """

    ranked: tuple[ProviderRoute, ...]
    arms: Mapping[ProviderId, float]
    routes: Mapping[ProviderId, ProviderRoute]
    shadows: tuple[ProviderRoute, ...]


def known_effects(manifest: RoutingManifest) -> frozenset[str]:
    """Return the effect types that some provider may be tried for."""
    return frozenset(
        effect
        for effect, route in manifest.effects.items()
        if any(each.status == ACTIVE for each in route.providers)
    )


def recommend(
    manifest: RoutingManifest,
    request: RecommendationRequest,
    *,
    job_id: JobId,
    number: int,
    key: bytes,
    only: Sequence[ProviderId] = (),
    limit: int = 3,
) -> ProviderRecommendation:
    """Return which providers to try for a job.

    ``number`` is the job's running number among those of its effect type; it decides whether the
    job explores. ``job_id`` decides which shadow provider works along, when there are several.

    Raises:
        NoRouteError: nobody may be tried, why, and whether asking again can help.
        UnknownPriorityError: the request's priority is not defined.
    """
    field = _field(manifest, request, only)
    slot = slot_of(
        effect_type=request.task_type, number=number, key=key, size=manifest.exploration_block
    )
    arm = None
    if slot.explores:
        arm = arm_of(field.arms, effect_type=request.task_type, number=number, key=key)
    share = 1.0 / manifest.exploration_block
    chosen = [
        _recommended(route, role, _propensity(route.provider_id, field, share, limit))
        for route, role in _batch(field, arm, limit)
    ]
    shadow = arm_of(
        {route.provider_id: 1.0 for route in field.shadows},
        effect_type=job_id,
        number=number,
        key=key,
    )
    chosen += [
        _recommended(route, SHADOW_ROLE, 1.0 / len(field.shadows))
        for route in field.shadows
        if route.provider_id == shadow
    ]
    return ProviderRecommendation(
        recommended_providers=tuple(chosen),
        exploration_mode=arm is not None,
        exploration_percentage=manifest.exploration_percentage,
        manifest_version=manifest.version,
        slot=slot.place,
    )


def _field(
    manifest: RoutingManifest, request: RecommendationRequest, only: Sequence[ProviderId]
) -> _Field:
    """Sort out who may be tried."""
    effect = manifest.effects.get(request.task_type)
    if effect is None:
        raise NoRouteError(request.task_type, "the manifest does not know it")
    offered = [route for route in effect.providers if not only or route.provider_id in only]
    if not offered:
        named = ", ".join(only)
        raise NoRouteError(request.task_type, f"none of {named} offers it", permanent=True)
    offered = _with_look(offered, request.effect_subtype)
    within = [route for route in offered if _affordable(route, request.budget_tokens)]
    if not within:
        budget = f"none within {request.budget_tokens} tokens"
        raise NoRouteError(request.task_type, budget, permanent=True)
    if not any(route.status == ACTIVE for route in within):
        raise NoRouteError(request.task_type, "no provider is active")
    ranked = _ranked(effect, within, request.user_preferences.priority)
    others = [each for each in within if each.status in (ACTIVE, PROBATION)]
    return _Field(
        ranked=ranked,
        arms={
            each.provider_id: min(each.weight, manifest.exploration_percentage)
            for each in others
            if each is not ranked[0]
        },
        routes={each.provider_id: each for each in others},
        shadows=tuple(each for each in within if each.status == SHADOW),
    )


def _with_look(routes: Sequence[ProviderRoute], look: str) -> list[ProviderRoute]:
    """Keep who offers the look. A look that nobody active lists does not narrow the choice."""
    offering = [route for route in routes if look in route.subtypes]
    if look and any(route.status == ACTIVE for route in offering):
        return offering
    return list(routes)


def _affordable(route: ProviderRoute, budget_tokens: int | None) -> bool:
    return budget_tokens is None or route.expected_cost_microtokens <= budget_tokens * MICRO


def _ranked(
    effect: EffectRoute, routes: Sequence[ProviderRoute], priority: str
) -> tuple[ProviderRoute, ...]:
    """Order the active providers, best first.

    For a balanced request the manifest's default stays the default, because the policy changes it
    only when the difference is more than noise.
    """
    weights = weights_for(priority)
    scale = usual(
        (each.expected_cost_microtokens, each.expected_duration_ms)
        for each in effect.providers
        if each.status != SHADOW
    )
    kept = effect.default_provider_id if priority == BALANCED else ""
    return tuple(
        sorted(
            (route for route in routes if route.status == ACTIVE),
            key=lambda route: (
                route.provider_id != kept,
                -utility_of(route, scale=scale, weights=weights),
                route.provider_id,
            ),
        )
    )


def _batch(field: _Field, arm: ProviderId | None, limit: int) -> list[tuple[ProviderRoute, str]]:
    """Return who tries, and as what. With a limit of one, the explored provider is the only one."""
    default, *others = field.ranked
    if arm is None:
        return _with_runners_up(default, others[: limit - 1])
    if limit == 1:
        return [(field.routes[arm], EXPLORATION_ROLE)]
    rest = [route for route in others if route.provider_id != arm]
    batch = _with_runners_up(default, rest[: limit - 2])
    return [*batch, (field.routes[arm], EXPLORATION_ROLE)]


def _with_runners_up(
    default: ProviderRoute, others: Sequence[ProviderRoute]
) -> list[tuple[ProviderRoute, str]]:
    return [(default, DEFAULT_ROLE), *((route, RUNNER_UP_ROLE) for route in others)]


def _propensity(provider_id: ProviderId, field: _Field, share: float, limit: int) -> float:
    """Return how likely it was that this provider tries the job, over all slots and draws."""
    total = sum(field.arms.values())
    usually = _tries(provider_id, _batch(field, None, limit))
    if total <= 0.0:
        return usually
    explored = sum(
        weight / total * _tries(provider_id, _batch(field, arm, limit))
        for arm, weight in field.arms.items()
        if weight > 0.0
    )
    return min(1.0, (1.0 - share) * usually + share * explored)


def _tries(provider_id: ProviderId, batch: Sequence[tuple[ProviderRoute, str]]) -> float:
    return float(any(route.provider_id == provider_id for route, _ in batch))


def _recommended(route: ProviderRoute, role: str, propensity: float) -> RecommendedProvider:
    return RecommendedProvider(
        provider_id=route.provider_id,
        expected_cost_tokens=route.expected_cost_tokens,
        expected_quality_score=route.expected_quality_score,
        expected_duration_ms=route.expected_duration_ms,
        confidence=route.confidence,
        reason=route.reason if role != EXPLORATION_ROLE else "exploration_candidate",
        workflow_id=route.workflow_id,
        lane=route.lane,
        propensity=propensity,
        role=role,
        usual_frames=route.usual_frames,
        render_time=route.render_time,
        default_steps=route.default_steps,
        max_pixels=route.max_pixels,
    )
