"""In which order the nodes of a graph are worked: that of real servers, as far as they have one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gpu_agent.renderer.graph import Graph

# an output that is so many links away draws a node forward: itself, its child, its grandchild
_STEPS_AHEAD: Final = 3


def lined_up(outputs: Iterable[str], nodes: Graph) -> dict[str, None]:
    """Return the nodes to work, and the outputs that need no work, in the order they are found.

    The walk is from each output upwards and takes the last link of a node first.
    """
    line: dict[str, None] = {}
    for output in outputs:
        found = [output]
        while found:
            node_id = found.pop()
            if node_id not in line:
                line[node_id] = None
                found += _waited_for(node_id, nodes, nodes)
    return line


def next_of(waiting: Mapping[str, None], nodes: Graph, is_output: Callable[[str], bool]) -> str:
    """Return a node whose inputs are there: an output, or one that is nearest to an output."""
    children: dict[str, list[str]] = {node_id: [] for node_id in waiting}
    ready = []
    for node_id in waiting:
        blocking = _waited_for(node_id, nodes, waiting)
        for parent in blocking:
            children[parent].append(node_id)
        if not blocking:
            ready.append(node_id)
    below = {node_id: [node_id] for node_id in ready}
    for _ in range(_STEPS_AHEAD):
        for node_id, reached in below.items():
            if any(is_output(other) for other in reached):
                return node_id
        below = {i: [c for r in reached for c in children[r]] for i, reached in below.items()}
    return ready[0]


def _waited_for(node_id: str, nodes: Graph, waiting: Iterable[str]) -> list[str]:
    """Return the nodes that must be worked before this one; what is cached waits for nobody."""
    if node_id not in nodes:
        return []
    return [parent for parent in nodes[node_id].parents() if parent in nodes and parent in waiting]
