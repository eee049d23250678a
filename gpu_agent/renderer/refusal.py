"""Why a prompt is refused as a whole, and the first reason that is looked for."""

from __future__ import annotations

from collections.abc import Mapping

from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.graph import Json


class Refusal(Exception):
    """The prompt is refused; ``error`` and ``node_errors`` are the body of the answer."""

    def __init__(self, kind: str, message: str, details: str = "", **extra: Json) -> None:
        super().__init__(message)
        self.error = {"type": kind, "message": message, "details": details, "extra_info": extra}
        self.node_errors: dict[str, Json] = {}


def check_classes(prompt: Mapping[str, Json], catalog: Catalog, *, as_older: bool) -> None:
    """Look for a class that is not known.

    Raises:
        Refusal: there is one; the first is told.
    """
    for node_id, node in prompt.items():
        class_type = node.get("class_type") if isinstance(node, dict) else None
        if isinstance(class_type, str) and class_type in catalog:
            continue
        if as_older:
            told = f"Cannot execute because node {class_type} does not exist."
            raise Refusal("invalid_prompt", told, f"Node ID '#{node_id}'")
        title = f"ID #{node_id}"
        problem = "has no class_type. The workflow may be corrupted or a custom node is missing."
        shown: Json = None
        if class_type is not None:
            meta = node.get("_meta")
            shown = meta.get("title", class_type) if isinstance(meta, dict) else class_type
            title = shown
            problem = "not found. The custom node may not be installed."
        raise Refusal(
            "missing_node_type",
            f"Node '{title}' {problem}",
            f"Node ID '#{node_id}'",
            node_id=node_id,
            class_type=class_type,
            node_title=shown,
        )
