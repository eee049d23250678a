"""A provider that is nothing but its record: graph, node map, parameter rules, clip rule."""

from __future__ import annotations

from copy import deepcopy
from typing import Final

from gpu_agent.errors import ParametersRefusedError
from gpu_agent.fit import Fit, fit
from gpu_agent.providers import graphs, parameters
from gpu_agent.providers.adapter import ClipInfo, ProviderAdapter
from gpu_agent.providers.clips import measured
from gpu_agent.providers.graphs import Graph
from schemas.base import Scalar
from schemas.routing import ProviderRecord
from schemas.tasks import ExecutionTask
from workflows.object_info import ObjectInfo
from workflows.values import shown

__all__ = ["AGNOSTIC", "ClipInfo", "DeclarativeProvider", "Graph", "ProviderAdapter"]

AGNOSTIC: Final = frozenset({"strength", "seed", "steps", "cfg_scale"})
"""Prompts carry these for every provider; one that has no use for them leaves them out."""


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

    def health(self, object_info: ObjectInfo) -> Fit:
        """Return what a host lacks for it, all at once."""
        return fit(self._record, object_info)

    def compile(self, task: ExecutionTask, *, clip: ClipInfo, prefix: str) -> Graph:
        """Translate one task into a graph; the same task and clip give the same graph."""
        record = self._record
        graph = deepcopy(record.graph)
        graphs.check_classes(graph, record.node_dependencies)
        graphs.check_rules(graph, record.parameter_rules)
        graphs.place_files(graph, clip=clip.file, prefix=prefix)
        graphs.check_files(graph)
        for name, value in self._values(task, clip).items():
            rule = record.parameter_rules[name]
            graphs.inputs_of(graph, rule.node)[rule.input] = parameters.fitted(name, value, rule)
        self._fill_words(graph, task)
        return graph

    def _values(self, task: ExecutionTask, clip: ClipInfo) -> dict[str, Scalar]:
        """Return what goes into the graph: defaults, over them the task, over both the clip."""
        rules = self._record.parameter_rules
        of_the_clip = measured(clip, self._record.clip_rule)
        parameters.check_count(task.parameters)
        for name in task.parameters:
            if name in of_the_clip:
                raise ParametersRefusedError(f"parameter {name} is filled from the clip")
            if name not in rules and name not in AGNOSTIC:
                raise ParametersRefusedError(
                    f"{self._record.provider_id} has no parameter {shown(name)}"
                )
        asked = {name: value for name, value in task.parameters.items() if value is not None}
        merged = {**self._record.default_parameters, **asked, **of_the_clip}
        return {name: value for name, value in merged.items() if name in rules}

    def _fill_words(self, graph: Graph, task: ExecutionTask) -> None:
        """Put the prompts where the node map says; an empty one leaves the template's own."""
        mapping = self._record.node_mapping
        for name, node_id, text in (
            ("prompt", mapping.prompt_node, task.prompt),
            ("negative prompt", mapping.negative_prompt_node, task.negative_prompt),
        ):
            checked = parameters.words(name, text)
            if node_id and checked:
                graphs.inputs_of(graph, node_id)["text"] = checked
