"""What a status means to everybody who reads it: routing, agents, the broker."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from actors.provider_registry.shipped import shipped
from economics.policy import build_manifest
from economics.pricing import PRICES
from economics.render_times import RenderTimes
from economics.statistics import Statistics
from effectmesh.prepare import topology_for
from gpu_agent.fit import capable
from schemas.routing import ProviderHealth
from subjects.topology import gpu_consumers
from tests.builders import NOON
from tests.contract.provider_registry.graphs import object_info

DREAM = next(each for each in shipped() if each.provider_id == "fx-dream-v1")
GLOW = next(each for each in shipped() if each.provider_id == "fx-glow-v1")
ID = DREAM.provider_id


def routed(*records: object) -> dict[str, str]:
    """Return who is routed for styles, and as what."""
    policy = build_manifest(
        records=records,  # type: ignore[arg-type]
        statistics=Statistics(),
        render_times=RenderTimes(),
        effects=PRICES.effects(NOON),
        previous=None,
        now=NOON,
        reason="test",
    )
    route = policy.manifest.effects.get("style_transfer")
    return {each.provider_id: each.status for each in route.providers} if route else {}


@pytest.mark.parametrize(
    ("status", "new_jobs", "agents", "queues"),
    [
        ("active", "active", True, True),
        ("shadow", "shadow", True, True),
        # no new jobs, and what is queued is finished
        ("draining", "", True, True),
        # agents say whether they could, before anybody is sent there
        ("draft", "", True, True),
        ("disabled", "", False, False),
    ],
)
def test_a_status_means_the_same_to_everybody(
    status: str, new_jobs: str, agents: bool, queues: bool
) -> None:
    """Jobs that are routed to a provider no agent pulls would wait for ever."""
    record = replace(DREAM, status=status)
    names = {each.name for each in topology_for([record]).consumers}

    assert routed(record, GLOW).get(ID, "") == new_jobs
    assert (ID in capable([record], object_info())) is agents
    assert {each.name for each in gpu_consumers(ID)} <= names if queues else True
    assert bool({each.name for each in gpu_consumers(ID)} & names) is queues


@pytest.mark.parametrize(
    ("health", "standing"),
    [
        ("healthy", "active"),
        ("unknown", "active"),
        ("degraded", "active"),
        ("unhealthy", "suspended"),
        ("offline", "suspended"),
    ],
)
def test_routing_understands_what_the_checks_say(health: str, standing: str) -> None:
    """The same words on both sides; a provider that is down is given nothing while others are."""
    ill = replace(DREAM, health=ProviderHealth(status=health, last_check=NOON))

    assert routed(ill, GLOW)[ID] == standing
