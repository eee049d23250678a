"""A provider that is nothing but its record: graph, node map, parameter rules."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Final, Protocol

from msgspec import Struct

from gpu_agent.errors import ParametersRefusedError
from schemas.base import Scalar
from schemas.routing import NodeMap, ParameterRule, ProviderRecord
from schemas.tasks import ExecutionTask

Graph = dict[str, dict[str, object]]
"""ComfyUI's API format: node id to ``{class_type, inputs}``."""

AGNOSTIC: Final = frozenset({"strength", "seed", "steps", "cfg_scale"})
"""Prompts carry these for every provider; one that has no use for them leaves them out."""


class ClipInfo(Struct, frozen=True, kw_only=True):
    """The clip as the host has it; ``file`` is the name the upload came back with."""

    file: str
    width: int
    height: int
    frames: int
    fps: float


class ProviderAdapter(Protocol):
    """Translates. What it can do is declared as data, never found out by calling it."""

    @property
    def capabilities(self) -> frozenset[str]:
        """The effect types it offers."""
        ...

    @property
    def output_node(self) -> str:
        """The node whose file is the result."""
        ...

    def supports(self, effect_type: str) -> bool:
        """Return whether it offers this effect type or look."""
        ...

    def compile(self, task: ExecutionTask, *, clip: ClipInfo, prefix: str) -> Graph:
        """Return the graph for one task; the same task and clip give the same graph.

        Raises:
            ParametersRefusedError: a parameter is unknown, out of bounds, or reserved.
        """
        ...


class DeclarativeProvider:
    """Fills a copy of the record's graph."""

    def __init__(self, record: ProviderRecord) -> None:
        self._record = record

    @property
    def capabilities(self) -> frozenset[str]:
        """The effect types it offers."""
        return frozenset(self._record.capabilities)

    @property
    def output_node(self) -> str:
        """The node whose file is the result."""
        return self._record.node_mapping.output_node

    def supports(self, effect_type: str) -> bool:
        """Return whether it offers this effect type or look."""
        return effect_type in self.capabilities | set(self._record.supported_effect_types)

    def compile(self, task: ExecutionTask, *, clip: ClipInfo, prefix: str) -> Graph:
        """Return the graph for one task; the same task and clip give the same graph."""
        graph = deepcopy(self._record.graph)
        for name, value in self._values(task, clip).items():
            rule = self._record.parameter_rules[name]
            _inputs(graph, rule.node)[rule.input] = _fitted(name, value, rule)
        _fill_words(graph, self._record.node_mapping, task)
        source = self._record.node_mapping.video_input_node
        key = "file" if graph[source].get("class_type") == "LoadVideo" else "video"
        _inputs(graph, source)[key] = clip.file
        _inputs(graph, self.output_node)["filename_prefix"] = prefix
        return graph

    def _values(self, task: ExecutionTask, clip: ClipInfo) -> dict[str, Scalar]:
        """Return what goes into the graph: defaults, over them the task, over both the clip."""
        rules = self._record.parameter_rules
        measured: dict[str, Scalar] = {
            "input_width": clip.width,
            "input_height": clip.height,
            "input_frames": clip.frames,
        }
        for name in task.parameters:
            if name in measured:
                raise ParametersRefusedError(f"parameter {name} is filled from the clip")
            if name not in rules and name not in AGNOSTIC:
                raise ParametersRefusedError(
                    f"{self._record.provider_id} has no parameter {name!r}"
                )
        asked = {name: value for name, value in task.parameters.items() if value is not None}
        merged = {**self._record.default_parameters, **asked, **measured}
        return {name: value for name, value in merged.items() if name in rules}


def _fill_words(graph: Graph, mapping: NodeMap, task: ExecutionTask) -> None:
    if mapping.prompt_node:
        _inputs(graph, mapping.prompt_node)["text"] = task.prompt
    if mapping.negative_prompt_node and task.negative_prompt:
        _inputs(graph, mapping.negative_prompt_node)["text"] = task.negative_prompt


def _inputs(graph: Graph, node_id: str) -> dict[str, object]:
    inputs = graph[node_id]["inputs"]
    assert isinstance(inputs, dict), "the registry stores no node without inputs"
    return inputs


def _fitted(name: str, value: Scalar, rule: ParameterRule) -> Scalar:
    if rule.type == "choice":
        if value not in rule.choices:
            raise ParametersRefusedError(f"parameter {name} cannot be {value!r}")
        return value
    if rule.type == "str":
        if not isinstance(value, str):
            raise ParametersRefusedError(f"parameter {name} is no text: {value!r}")
        return value
    return _number(name, value, rule)


def _number(name: str, value: Scalar, rule: ParameterRule) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ParametersRefusedError(f"parameter {name} is no number: {value!r}")
    if rule.minimum is not None and value < rule.minimum:
        raise ParametersRefusedError(f"parameter {name} is below {rule.minimum:g}: {value!r}")
    if rule.maximum is not None and value > rule.maximum:
        raise ParametersRefusedError(f"parameter {name} is above {rule.maximum:g}: {value!r}")
    if rule.type == "float":
        return float(value)
    if value != int(value):
        raise ParametersRefusedError(f"parameter {name} is no whole number: {value!r}")
    return int(value)
