"""What one manifest changes against another, in the words of a person."""

from __future__ import annotations

from typing import Final

from schemas.routing import EffectRoute, ProviderRoute, RoutingManifest

_WORTH_SAYING: Final = 0.01
"""A share that moved by less is no change a person wants to read of."""


def same_content(one: RoutingManifest, other: RoutingManifest) -> bool:
    """Say whether two manifests route alike; version, time and reason do not count."""
    return (
        one.effects == other.effects
        and one.exploration_percentage == other.exploration_percentage
        and one.exploration_block == other.exploration_block
    )


def changes(previous: RoutingManifest | None, manifest: RoutingManifest) -> tuple[str, ...]:
    """Return one sentence for each default or share that moved."""
    said: list[str] = []
    old_effects = previous.effects if previous else {}
    for effect in sorted({*old_effects, *manifest.effects}):
        old, new = old_effects.get(effect), manifest.effects.get(effect)
        if new is None:
            said.append(f"{effect}: no provider is left")
        elif old is None:
            said.append(f"{effect}: starts with {new.default_provider_id}")
        else:
            said += _moved(effect, old, new)
    return tuple(said)


def _moved(effect: str, old: EffectRoute, new: EffectRoute) -> list[str]:
    said = []
    if old.default_provider_id != new.default_provider_id:
        said.append(
            f"{effect}: default moved from {old.default_provider_id} to {new.default_provider_id}"
        )
    before = {each.provider_id: each for each in old.providers}
    after = {each.provider_id: each for each in new.providers}
    for name in sorted({*before, *after}):
        was = before[name].weight if name in before else 0.0
        share = after[name].weight if name in after else 0.0
        why = after[name].reason if name in after else "no longer offered"
        if abs(was - share) >= _WORTH_SAYING:
            said.append(f"{effect}: {name} goes from {was:.1%} to {share:.1%} ({why})")
        elif name not in before:
            said.append(f"{effect}: {name} is new ({why})")
        elif name not in after or before[name].status != after[name].status:
            said.append(f"{effect}: {name} is {_status(after.get(name))} ({why})")
    return said


def _status(route: ProviderRoute | None) -> str:
    return route.status if route else "gone"
