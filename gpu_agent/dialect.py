"""One graph, hosts of several ages: input names as this host spells them. Pure.

Newer hosts take what depends on a choice under a dotted name (``format.codec``), older ones under a
plain one (``codec``). Records are written in the newer spelling; a host's ``/object_info`` says
which one it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from workflows.graphs import Graph
from workflows.object_info import DYNAMIC, GROWING, Declared, ObjectInfo, inputs

_DOTTED: Final = frozenset({DYNAMIC, GROWING})


def spoken(graph: Graph, object_info: ObjectInfo) -> dict[str, dict[str, object]]:
    """Return the graph with the input names this host knows; values and links stay as they are."""
    said = {}
    for node_id, node in graph.items():
        given = node.get("inputs")
        known = inputs(object_info, str(node.get("class_type")), {})
        said[node_id] = dict(node)
        if isinstance(given, Mapping):
            named = {_name(name, known): value for name, value in given.items()}
            said[node_id]["inputs"] = named
    return said


def _name(name: str, known: Mapping[str, Declared]) -> str:
    """Return a dotted name without its first part where the host has no choice of that kind."""
    whole, _, rest = name.partition(".")
    if not rest or name in known or rest not in known:
        return name
    return name if whole in known and known[whole].kind in _DOTTED else rest
