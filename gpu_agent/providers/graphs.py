"""What no graph may do to a host. Pure.

A ComfyUI host has no tenants: whoever may name a file may read any job's file, and a custom node is
code with the host's rights. So a graph holds only the classes its record allows, its clip and its
output are named by the agent, and nothing else in it leads to a file outside the model folders.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from gpu_agent.errors import Fault, RenderFailedError
from schemas.routing import ParameterRule
from workflows.graphs import LOADERS, PREFIX, STILLS
from workflows.values import PLAIN_NAME, leads_elsewhere, shown

Graph = dict[str, dict[str, object]]
"""ComfyUI's API format: node id to ``{class_type, inputs}``."""

_PROSE: Final = frozenset({"text", "fragment_shader"})
"""Inputs in which a slash is no path: words for an encoder, a program for the GPU."""


def inputs_of(graph: Graph, node_id: str) -> dict[str, object]:
    """Return the inputs of a node, to read or to fill.

    Raises:
        RenderFailedError: ``GRAPH_REFUSED``, there is no such node or it has none.
    """
    inputs = graph.get(node_id, {}).get("inputs")
    if not isinstance(inputs, dict):
        raise refused(f"node {node_id!r} is absent or has no inputs")
    return inputs


def check_classes(graph: Graph, allowed: Collection[str]) -> None:
    """Refuse a graph with a node class its record does not allow.

    Raises:
        RenderFailedError: ``GRAPH_REFUSED``.
    """
    for node_id, node in graph.items():
        if node.get("class_type") not in allowed:
            raise refused(f"node {node_id} is a {node.get('class_type')!r}, which is not allowed")


def check_rules(graph: Graph, rules: Mapping[str, ParameterRule]) -> None:
    """Refuse rules by which a task could name a file or a place to write to.

    Raises:
        RenderFailedError: ``GRAPH_REFUSED``.
    """
    for name, rule in rules.items():
        class_type = str(graph.get(rule.node, {}).get("class_type"))
        files = (LOADERS.get(class_type), STILLS.get(class_type), PREFIX)
        if rule.input in files:
            raise refused(f"parameter {name} would set {rule.input!r} of a {class_type}")


def place_files(graph: Graph, *, clip: str, prefix: str) -> None:
    """Name the clip in every loader and the agent's own place in every saver."""
    for node_id, node in graph.items():
        inputs = inputs_of(graph, node_id)
        if (key := LOADERS.get(str(node.get("class_type")))) is not None:
            inputs[key] = clip
        if PREFIX in inputs:
            inputs[PREFIX] = prefix


def check_files(graph: Graph) -> None:
    """Refuse a template that leads out of the host's folders.

    Raises:
        RenderFailedError: ``GRAPH_REFUSED``.
    """
    for node_id, node in graph.items():
        class_type = str(node.get("class_type"))
        for name, value in _texts(inputs_of(graph, node_id)):
            if name in _PROSE:
                continue
            if STILLS.get(class_type) == name and not PLAIN_NAME.fullmatch(value):
                raise refused(f"node {node_id} loads {shown(value)}, which is no plain file name")
            if leads_elsewhere(value):
                raise refused(f"input {name!r} of node {node_id} leads elsewhere: {shown(value)}")


def refused(why: str) -> RenderFailedError:
    """Return the failure of a graph that no host may be given."""
    return RenderFailedError(Fault.GRAPH_REFUSED, why)


def _texts(inputs: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in inputs.items() if isinstance(value, str))
