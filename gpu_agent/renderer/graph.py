"""A graph in API format, once it is known to be well formed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, TypeGuard

from msgspec import Struct

Json: TypeAlias = Any
"""Whatever a client sent: its shape is what validation finds out."""


class Node(Struct, frozen=True):
    """One node: its class, and its inputs with numbers and texts already converted."""

    class_type: str
    inputs: Mapping[str, Json]

    def parents(self) -> Iterator[str]:
        """Yield the ids this node is linked to."""
        for value in self.inputs.values():
            if is_link(value):
                yield value[0]


Graph: TypeAlias = Mapping[str, Node]


def is_link(value: Json) -> TypeGuard[list[Any]]:
    """Say whether an input is a link: any two-element list is taken for one."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def ancestors(graph: Graph, outputs: tuple[str, ...]) -> dict[str, Node]:
    """Return the nodes that the outputs need, in the graph's order."""
    needed: set[str] = set()
    waiting = list(outputs)
    while waiting:
        node_id = waiting.pop()
        if node_id not in needed:
            needed.add(node_id)
            waiting.extend(graph[node_id].parents())
    return {node_id: node for node_id, node in graph.items() if node_id in needed}
