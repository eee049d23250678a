"""What ``/object_info`` says: the node classes, their inputs, the files a loader may name."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec

from gpu_agent.renderer import older
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.graph import Node
from gpu_agent.renderer.nodes import NODES
from gpu_agent.renderer.nodes.context import NodeFunction
from gpu_agent.renderer.pretended import Pretence

_DATA = Path(__file__).with_name("object_info.json")


class Catalog:
    """The classes this renderer runs, as recorded from a real server."""

    def __init__(self, folders: Folders, pretence: Pretence | None = None) -> None:
        recorded: dict[str, dict[str, Any]] = msgspec.json.decode(_DATA.read_bytes())
        self._classes = {name: info for name, info in recorded.items() if name in NODES}
        self._folders = folders
        self._pretence = pretence

    def __contains__(self, class_type: object) -> bool:
        if self._is_older() and class_type in older.MISSING:
            return False
        return class_type in self._classes or class_type in self._pretended()

    def _pretended(self) -> tuple[str, ...]:
        return () if self._pretence is None else self._pretence.names()

    def _is_older(self) -> bool:
        return self._pretence is not None and self._pretence.is_older()

    def _info(self, class_type: str) -> dict[str, Any]:
        if class_type in self._classes or self._pretence is None:
            info = self._classes[class_type]
            return older.form_of(class_type, info) if self._is_older() else info
        return self._pretence.info(class_type)

    def work(self, class_type: str) -> NodeFunction:
        """Return the function that works a class."""
        if class_type in NODES or self._pretence is None:
            return NODES[class_type]
        return self._pretence.work(class_type)

    def stands(self, node: Node) -> bool:
        """Say whether an earlier answer of a node still holds."""
        return self._pretence is None or self._pretence.stands(node)

    def inputs(self, class_type: str) -> Mapping[str, Mapping[str, list[Any]]]:
        """Return ``required`` and ``optional`` inputs with their configuration."""
        inputs = self._info(class_type)["input"]
        return {kind: inputs.get(kind, {}) for kind in ("required", "optional")}

    def outputs(self, class_type: str) -> list[str]:
        """Return the types of the output slots."""
        outputs: list[str] = self._info(class_type)["output"]
        return outputs

    def is_output(self, class_type: str) -> bool:
        """Say whether the class writes something a client can fetch."""
        return bool(self._info(class_type)["output_node"])

    def shown(self, class_type: str | None = None) -> dict[str, Any]:
        """Return all classes, or one, with the present input files in the loaders' lists."""
        if class_type is not None and class_type not in self:
            return {}
        every = [name for name in (*self._classes, *self._pretended()) if name in self]
        names = [class_type] if class_type else every
        shown = {name: deepcopy(self._info(name)) for name in names}
        if "LoadVideo" in shown:
            shown["LoadVideo"]["input"]["required"]["file"][1]["options"] = self._folders.listed()
        if "LoadImage" in shown:
            shown["LoadImage"]["input"]["required"]["image"][0] = self._folders.listed()
        return shown
