"""From statistics to the routing manifest.

For each effect type the eligible provider of the highest utility is the default and gets all but
5 % of the weight; the rest is shared by how much there is to learn. The default changes only when
the challenger leads by more than one standard error of the difference: two equal providers would
else take turns every cycle. A provider that is failing loses its weight at once and comes back
through exploration.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from economics.changes import changes
from economics.cost import RATES, RateCard, expected_cost
from economics.errors import UnknownGpuTypeError
from economics.exploration import BLOCK
from economics.render_times import RenderTimes
from economics.rounding import divide, significant
from economics.routing import ACTIVE, PROBATION, SHADOW
from economics.statistics import WANTED_SUCCESS, Declared, Estimate, Statistics
from economics.utility import BALANCED, COMPOSITE, Usual, Weights, usual, utility, weights_for
from schemas.base import MICRO, ProviderId
from schemas.routing import EffectRoute, ProviderRecord, ProviderRoute, RenderTime, RoutingManifest

EXPLORATION: Final = 1.0 / BLOCK
SUSPENDED: Final = "suspended"
"""Failing right now: no job at all, not even an exploring one."""

_QUALITY_FLOOR: Final = 0.4
_SUSPENSION_S: Final = 3600
_STALE_S: Final = 6 * 3600
_CURIOSITY: Final = 0.05
"""Even a provider that is surely worse is looked at sometimes."""
_USUAL_FRAMES: Final = 150
_ILL: Final = frozenset({"unhealthy", "offline"})


class Policy(Struct, frozen=True, kw_only=True):
    """A manifest, and what it changes in the words of a person."""

    manifest: RoutingManifest
    changes: tuple[str, ...]


class _Standing(Struct, frozen=True, kw_only=True):
    """One provider at one effect type, as it stands now."""

    record: ProviderRecord
    estimate: Estimate
    status: str
    utility: float = 0.0
    error: float = 0.0
    weight: float = 0.0
    reason: str = ""
    frames: int = 0
    """Of the clip that the estimate is for."""
    render_time: RenderTime = RenderTime()

    @property
    def provider_id(self) -> ProviderId:
        return self.record.provider_id


def build_manifest(
    *,
    records: Sequence[ProviderRecord],
    statistics: Statistics,
    render_times: RenderTimes,
    effects: Collection[str],
    previous: RoutingManifest | None,
    now: datetime,
    reason: str,
    rates: RateCard = RATES,
) -> Policy:
    """Return the manifest that the records and the statistics lead to.

    ``effects`` are the effect types that are sold. A record's capabilities and supported effect
    types that are among them are what it is routed for; its other supported types are looks.
    """
    known = set(rates.nanousd_per_gpu_second)
    usable = [each for each in records if each.cost_model.gpu_type_required in known]
    times = {each.provider_id: render_times.read(each) for each in usable}
    routes: dict[str, EffectRoute] = {}
    for effect in sorted(effects):
        before = previous.effects.get(effect) if previous else None
        offering = [each for each in usable if effect in effects_of(each, effects)]
        standings = [
            replace(each, render_time=times[each.provider_id])
            for each in _standings(effect, offering, statistics, now, rates)
        ]
        if route := _route(effect, standings, before, effects, now):
            routes[effect] = route
    manifest = RoutingManifest(
        version=previous.version + 1 if previous else 1,
        generated_at=now,
        reason=reason,
        effects=routes,
        exploration_percentage=EXPLORATION,
        exploration_block=BLOCK,
    )
    unpriced = tuple(
        f"{each.provider_id} is left out: {UnknownGpuTypeError(each.cost_model.gpu_type_required)}"
        for each in records
        if each.cost_model.gpu_type_required not in known
    )
    return Policy(manifest=manifest, changes=changes(previous, manifest) + unpriced)


def effects_of(record: ProviderRecord, effects: Collection[str]) -> tuple[str, ...]:
    """Return which of the sold effect types a provider can do."""
    named = (*record.capabilities, *record.supported_effect_types)
    return tuple(sorted({name for name in named if name in effects}))


def looks_of(record: ProviderRecord, effects: Collection[str]) -> tuple[str, ...]:
    """Return the looks a provider offers within its effect types."""
    return tuple(name for name in record.supported_effect_types if name not in effects)


def _standings(
    effect: str,
    records: Sequence[ProviderRecord],
    statistics: Statistics,
    now: datetime,
    rates: RateCard,
) -> list[_Standing]:
    frames = statistics.usual_frames(effect, now, otherwise=_USUAL_FRAMES)
    standings = []
    for record in records:
        if record.status not in (ACTIVE, SHADOW):
            continue
        declared = _declared(record, frames, rates)
        estimate = statistics.estimate(effect, record.provider_id, declared, now)
        status, reason = _status_of(record, estimate, now)
        standings.append(
            _Standing(record=record, estimate=estimate, status=status, reason=reason, frames=frames)
        )
    return standings


def _declared(record: ProviderRecord, frames: int, rates: RateCard) -> Declared:
    model = record.cost_model
    health = record.health
    rate = health.success_rate_24h if health else None
    return Declared(
        cost_microtokens=float(expected_cost(model, frames=frames, rates=rates)),
        duration_ms=model.avg_gpu_seconds_per_frame * frames * 1000.0,
        success_rate=0.95 if rate is None else rate,
    )


def _status_of(record: ProviderRecord, estimate: Estimate, now: datetime) -> tuple[str, str]:
    """Decide whether a provider may be given users' jobs, and why not."""
    if record.status == SHADOW:
        return SHADOW, "on_shadow"
    if record.health and record.health.status in _ILL:
        return SUSPENDED, "unhealthy"
    if estimate.failing and now.timestamp() - estimate.last_failure_at < _SUSPENSION_S:
        return SUSPENDED, "failing"
    if estimate.failing or estimate.success_at_most < WANTED_SUCCESS:
        return PROBATION, "failed_too_often"
    if estimate.quality_at_most < _QUALITY_FLOOR:
        return PROBATION, "quality_below_floor"
    return ACTIVE, ""


def _route(
    effect: str,
    standings: list[_Standing],
    before: EffectRoute | None,
    effects: Collection[str],
    now: datetime,
) -> EffectRoute | None:
    """Choose the default and share the weights; nothing when nobody can be given a job."""
    candidates = [each for each in standings if each.status != SHADOW]
    if not candidates:
        return None
    scale = usual(
        (each.estimate.cost_microtokens, each.estimate.duration_ms) for each in candidates
    )
    weights = weights_for(BALANCED)
    scored = [_scored(each, scale, weights) for each in standings]
    if not any(each.status == ACTIVE for each in scored):
        scored = _last_resort(scored)
    active = [each for each in scored if each.status == ACTIVE]
    default = _default(active, before)
    shared = _shared(scored, default, now)
    ordered = sorted(
        shared,
        key=lambda each: (each.provider_id != default.provider_id, -each.utility, each.provider_id),
    )
    return EffectRoute(
        effect_type=effect,
        default_provider_id=default.provider_id,
        providers=tuple(_provider_route(each, ordered, effects) for each in ordered),
    )


def _scored(standing: _Standing, scale: Usual, weights: Weights) -> _Standing:
    estimate = standing.estimate
    value = utility(
        quality=estimate.quality[COMPOSITE],
        success=estimate.success,
        cost_microtokens=estimate.cost_microtokens,
        duration_ms=estimate.duration_ms,
        scale=scale,
        weights=weights,
    )
    accepted = estimate.cost_microtokens / scale.cost_microtokens / max(estimate.success, 0.05)
    error = math.hypot(
        weights.quality * estimate.success * estimate.quality_se,
        weights.quality * estimate.quality[COMPOSITE] * estimate.success_se,
        weights.cost * accepted * estimate.cost_se,
        weights.time * estimate.duration_ms / scale.duration_ms * estimate.duration_se,
    )
    return replace(standing, utility=value, error=error)


def _last_resort(standings: Sequence[_Standing]) -> list[_Standing]:
    """With nobody eligible the best of the others serves: a poor chance beats a sure refusal."""
    best = min(
        (each for each in standings if each.status != SHADOW),
        key=lambda each: (-each.utility, each.provider_id),
    )
    return [
        replace(each, status=ACTIVE, reason="last_resort") if each is best else each
        for each in standings
    ]


def _default(active: Sequence[_Standing], before: EffectRoute | None) -> _Standing:
    """Return the best, or the incumbent while the best's lead may be noise."""
    best = min(active, key=lambda each: (-each.utility, each.provider_id))
    incumbents = [
        each for each in active if before and each.provider_id == before.default_provider_id
    ]
    if not incumbents:
        return best
    lead = best.utility - incumbents[0].utility
    if lead > math.hypot(best.error, incumbents[0].error):
        return best
    return incumbents[0]


def _shared(standings: Sequence[_Standing], default: _Standing, now: datetime) -> list[_Standing]:
    """Share the weight: all but 5 % to the default, the rest by how much there is to learn."""
    curiosity = {
        each.provider_id: _curiosity(each, default, now)
        for each in standings
        if each.provider_id != default.provider_id
    }
    total = sum(curiosity.values())
    shares = {
        name: round(EXPLORATION * value / total, 4) if total > 0.0 else 0.0
        for name, value in curiosity.items()
    }
    shares[default.provider_id] = round(1.0 - sum(shares.values()), 4)
    return [
        replace(
            each,
            weight=shares[each.provider_id],
            reason=each.reason or _reason(each, default, standings),
        )
        for each in standings
    ]


def _curiosity(standing: _Standing, default: _Standing, now: datetime) -> float:
    if standing.status not in (ACTIVE, PROBATION):
        return 0.0
    value = better(standing.utility, standing.error, default.utility, default.error) + _CURIOSITY
    if now.timestamp() - standing.estimate.last_seen_at > _STALE_S:
        value *= 2.0
    return value * 0.3 if standing.status == PROBATION else value


def better(one: float, one_error: float, other: float, other_error: float) -> float:
    """Return the probability that the first utility is truly the higher.

    >>> better(1.0, 0.1, 1.0, 0.1)
    0.5
    """
    error = math.hypot(one_error, other_error)
    if error == 0.0:
        return 0.5 if one == other else float(one > other)
    return 0.5 * (1.0 + math.erf((one - other) / error / math.sqrt(2.0)))


def _reason(each: _Standing, default: _Standing, standings: Sequence[_Standing]) -> str:
    """Say in a word what speaks for this provider."""
    rivals = [one for one in standings if one.status == ACTIVE]
    words = [
        ("cheapest_for_type", min(rivals, key=lambda one: one.estimate.cost_microtokens)),
        ("fastest_for_type", min(rivals, key=lambda one: one.estimate.duration_ms)),
    ]
    if seen := [one for one in rivals if one.estimate.samples > 0]:
        best = max(seen, key=lambda one: one.estimate.quality[COMPOSITE])
        words.insert(0, ("best_quality_for_type", best))
    if each.provider_id == default.provider_id and len(rivals) > 1:
        first = next((word for word, one in words if one is each), "")
        return first or "best_balance_for_type"
    return next((word for word, one in words if one is each), "runner_up_for_type")


def _provider_route(
    standing: _Standing, ordered: Sequence[_Standing], effects: Collection[str]
) -> ProviderRoute:
    record, estimate = standing.record, standing.estimate
    cost = significant(estimate.cost_microtokens)
    return ProviderRoute(
        provider_id=record.provider_id,
        workflow_id=record.workflow_id,
        lane=record.lane,
        weight=standing.weight,
        expected_cost_tokens=divide(cost, MICRO),
        expected_cost_microtokens=cost,
        expected_quality_score={
            name: round(min(1.0, max(0.0, value)), 3) for name, value in estimate.quality.items()
        },
        expected_duration_ms=significant(estimate.duration_ms),
        success_rate=round(estimate.success, 3),
        confidence=_confidence(standing, ordered),
        reason=standing.reason,
        utility=round(standing.utility, 3),
        samples=estimate.samples,
        status=standing.status,
        subtypes=looks_of(record, effects),
        usual_frames=significant(standing.frames, digits=2),
        render_time=standing.render_time,
        default_steps=_steps(record),
        max_pixels=record.clip_rule.max_pixels,
    )


def _steps(record: ProviderRecord) -> int:
    """Return how many sampling steps a render has when nobody asks for another number."""
    steps = record.default_parameters.get("steps")
    return steps if type(steps) is int and steps > 0 else 1


def _confidence(standing: _Standing, ordered: Sequence[_Standing]) -> str:
    """Say how sure its place is: against the default, or for the default against the next."""
    rival = next((each for each in ordered if each.provider_id != standing.provider_id), None)
    if rival is None:
        sure = 1.0
    else:
        sure = better(standing.utility, standing.error, rival.utility, rival.error)
    sure = max(sure, 1.0 - sure)
    if sure >= 0.95 and standing.estimate.weight >= 100:
        return "high"
    if sure >= 0.8 and standing.estimate.weight >= 30:
        return "medium"
    return "low"
