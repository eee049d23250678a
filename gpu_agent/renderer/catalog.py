"""What ``/object_info`` says: the node classes, their inputs, the files a loader may name."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec

from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.nodes import NODES

_DATA = Path(__file__).with_name("object_info.json")


class Catalog:
    """The classes this renderer runs, as recorded from a real server."""

    def __init__(self, folders: Folders) -> None:
        recorded: dict[str, dict[str, Any]] = msgspec.json.decode(_DATA.read_bytes())
        self._classes = {name: info for name, info in recorded.items() if name in NODES}
        self._folders = folders

    def __contains__(self, class_type: object) -> bool:
        return class_type in self._classes

    def inputs(self, class_type: str) -> Mapping[str, Mapping[str, list[Any]]]:
        """Return ``required`` and ``optional`` inputs with their configuration."""
        inputs = self._classes[class_type]["input"]
        return {kind: inputs.get(kind, {}) for kind in ("required", "optional")}

    def outputs(self, class_type: str) -> list[str]:
        """Return the types of the output slots."""
        outputs: list[str] = self._classes[class_type]["output"]
        return outputs

    def is_output(self, class_type: str) -> bool:
        """Say whether the class writes something a client can fetch."""
        return bool(self._classes[class_type]["output_node"])

    def shown(self, class_type: str | None = None) -> dict[str, Any]:
        """Return all classes, or one, with the present input files in the loaders' lists."""
        if class_type is not None and class_type not in self._classes:
            return {}
        names = self._classes if class_type is None else [class_type]
        shown = {name: deepcopy(self._classes[name]) for name in names}
        if "LoadVideo" in shown:
            shown["LoadVideo"]["input"]["required"]["file"][1]["options"] = self._folders.listed()
        if "LoadImage" in shown:
            shown["LoadImage"]["input"]["required"]["image"][0] = self._folders.listed()
        return shown
