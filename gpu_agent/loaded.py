"""Which models a host holds, and whether that is what a provider needs. Pure.

No host tells. A ComfyUI keeps what the last graph used and drops the rest, so the models of the
last run are what it holds, until it is told to let go or was restarted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gpu_agent.providers.graphs import Graph
from schemas.routing import ProviderRecord
from schemas.tasks import NodeTiming


def is_warm(record: ProviderRecord, loaded: Collection[str]) -> bool:
    """Return whether a host with these models loads nothing for this provider, and loses nothing.

    A graph without models is at home on a host that holds none: elsewhere it would drive out what
    others need.
    """
    wanted = set(record.required_models)
    return wanted <= set(loaded) if wanted else not loaded


def loaders(record: ProviderRecord, graph: Graph) -> frozenset[str]:
    """Return the nodes that load a model: those that name one of the provider's model files."""
    models = set(record.required_models)
    return frozenset(
        name
        for name, node in graph.items()
        if isinstance(inputs := node.get("inputs"), dict)
        and any(isinstance(value, str) and value in models for value in inputs.values())
    )


def load_ms(nodes: Iterable[NodeTiming], loading: Collection[str]) -> int:
    """Return the time a run spent in loaders that had to load."""
    return sum(node.ms for node in nodes if node.node_id in loading and not node.cached)


def was_cold(nodes: Iterable[NodeTiming], loading: Collection[str]) -> bool:
    """Return whether a run had to load a model: a loader ran instead of being cached."""
    return any(node.node_id in loading and not node.cached for node in nodes)
