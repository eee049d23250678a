"""One graph, hosts of several ages: input names as this host spells them. Pure.

Newer hosts take what depends on a choice under a dotted name (``format.codec``), older ones under a
plain one (``codec``). Records are written in the newer spelling; a host's ``/object_info`` says
which one it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Graph = Mapping[str, Mapping[str, object]]
"""ComfyUI's API format: node id to ``{class_type, inputs}``."""
ObjectInfo = Mapping[str, object]
"""A host's ``/object_info``: node class to its declaration."""

_DYNAMIC: Final = "COMFY_DYNAMICCOMBO_V3"
_GROWING: Final = "COMFY_AUTOGROW_V3"
_DOTTED: Final = frozenset({_DYNAMIC, _GROWING})


def spoken(graph: Graph, object_info: ObjectInfo) -> dict[str, dict[str, object]]:
    """Return the graph with the input names this host knows; values and links stay as they are."""
    said = {}
    for node_id, node in graph.items():
        inputs, class_type = node.get("inputs"), str(node.get("class_type"))
        known = declared(object_info, class_type)
        said[node_id] = dict(node)
        if isinstance(inputs, Mapping):
            named = {_name(name, known): value for name, value in inputs.items()}
            said[node_id]["inputs"] = named
    return said


def declared(object_info: ObjectInfo, class_type: str) -> dict[str, object]:
    """Return the declarations of a class's inputs, required ones first; empty for no such class."""
    return {
        **group(object_info, class_type, "required"),
        **group(object_info, class_type, "optional"),
    }


def group(object_info: ObjectInfo, class_type: str, kind: str) -> dict[str, object]:
    """Return the required or the optional inputs of a class."""
    found: object = object_info
    for step in (class_type, "input", kind):
        found = found.get(step) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def kind_of(declaration: object) -> str:
    """Return the type of a declared input; empty for a list of choices in the older spelling."""
    first = declaration[0] if isinstance(declaration, list) and declaration else ""
    return first if isinstance(first, str) else ""


def _name(name: str, known: Mapping[str, object]) -> str:
    """Return a dotted name without its first part where the host has no choice of that kind."""
    whole, _, rest = name.partition(".")
    if rest and name not in known and rest in known and kind_of(known.get(whole)) not in _DOTTED:
        return rest
    return name
