"""Reading a graph in ComfyUI's API format: nodes, links, who depends on whom. Pure.

A graph maps node ids to ``{class_type, inputs}``. An input that is a two-element list
``[node id, slot]`` is a link; a literal list is written ``{"__value__": [...]}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

Graph = Mapping[str, Mapping[str, object]]

SAVERS: Final = ("SaveVideo", "SaveWEBM")
"""Nodes whose file may be a result: an encoder's, under the prefix they are given."""
LOADERS: Final[Mapping[str, str]] = {"LoadVideo": "file", "VHS_LoadVideo": "video"}
"""Nodes that read the clip, and the input that names it."""
STILLS: Final[Mapping[str, str]] = {"LoadImage": "image", "LoadImageMask": "image"}
"""Nodes that read a still which the host's operator put there."""
MODEL_FILE: Final = re.compile(r".+\.(safetensors|sft|ckpt|pt|pt2|pth|bin|gguf|onnx|pkl)", re.I)
PREFIX: Final = "filename_prefix"


class Link(NamedTuple):
    """Where an input comes from."""

    node: str
    slot: object


class Literal(NamedTuple):
    """An input that stands in the graph itself."""

    node: str
    class_type: str
    name: str
    value: object


def class_of(graph: Graph, node_id: str) -> str:
    """Return a node's class, empty when it has none."""
    kind = graph.get(node_id, {}).get("class_type")
    return kind if isinstance(kind, str) else ""


def inputs_of(graph: Graph, node_id: str) -> Mapping[str, object]:
    """Return a node's inputs, none when they are no object."""
    inputs = graph.get(node_id, {}).get("inputs")
    return inputs if isinstance(inputs, dict) else {}


def link_of(value: object) -> Link | None:
    """Return where a value comes from, nothing when it is a literal."""
    if isinstance(value, list) and len(value) == 2:
        return Link(str(value[0]), value[1])
    return None


def links(graph: Graph, node_id: str) -> Iterator[tuple[str, Link]]:
    """Yield the linked inputs of a node."""
    for name, value in inputs_of(graph, node_id).items():
        if (link := link_of(value)) is not None:
            yield name, link


def literals(graph: Graph) -> Iterator[Literal]:
    """Yield every input that is no link."""
    for node_id in graph:
        for name, value in inputs_of(graph, node_id).items():
            if link_of(value) is None:
                yield Literal(node_id, class_of(graph, node_id), name, value)


def ancestors(graph: Graph, node_id: str) -> set[str]:
    """Return a node and all it depends on."""
    found: set[str] = set()
    waiting = [node_id]
    while waiting:
        current = waiting.pop()
        if current in found or current not in graph:
            continue
        found.add(current)
        waiting.extend(link.node for _, link in links(graph, current))
    return found


def first_loop(graph: Graph) -> str:
    """Return a node that depends on itself, empty when none does."""
    for node_id in graph:
        if any(node_id in ancestors(graph, link.node) for _, link in links(graph, node_id)):
            return node_id
    return ""


def classes(graph: Graph) -> set[str]:
    """Return every class that is used."""
    return {kind for node_id in graph if (kind := class_of(graph, node_id))}


def of_classes(graph: Graph, kinds: Mapping[str, object] | tuple[str, ...]) -> list[str]:
    """Return the nodes of some classes, in the graph's order."""
    return [node_id for node_id in graph if class_of(graph, node_id) in kinds]


def is_model_file(value: object) -> bool:
    """Tell whether a literal names a model file.

    >>> is_model_file("wan/wan_2.1_vae.safetensors"), is_model_file("a.mp4"), is_model_file(7)
    (True, False, False)
    """
    return isinstance(value, str) and "\n" not in value and MODEL_FILE.fullmatch(value) is not None
