"""Is a provider record fit to be stored? Pure; every fault is found in one pass.

A graph is in ComfyUI's API format: node id to ``{class_type, inputs}``, where an input that is a
two-element list ``[node id, slot]`` is a link. A host would refuse most of these faults too, but
only once a job has been paid for, and some of them (a rule that points at a misspelled input) it
would ignore without a word.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from actors.provider_registry.errors import InvalidRecordError
from schemas.base import Scalar
from schemas.routing import ParameterRule, ProviderRecord

STATUSES: Final = frozenset({"active", "shadow", "draining", "disabled"})
TYPES: Final = frozenset({"int", "float", "str", "choice"})
RESERVED: Final = frozenset({"input_width", "input_height", "input_frames"})
"""Parameters the agent fills from the clip; nobody else may give them."""
SAVER: Final = "SaveVideo"
LOADERS: Final = frozenset({"LoadVideo", "VHS_LoadVideo"})
NODE_LIMIT: Final = 200

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_STORED_APART: Final = {"revision": 0, "health": None}
_NUMBERS: Final = frozenset({"int", "float"})


def check(record: ProviderRecord) -> None:
    """Refuse a record that cannot work.

    Raises:
        InvalidRecordError: with every fault.
    """
    found = faults(record)
    if found:
        raise InvalidRecordError(record.provider_id, found)


def faults(record: ProviderRecord) -> tuple[str, ...]:
    """Return everything that is wrong with a record, one sentence each."""
    return (
        *_identity(record),
        *_numbers(record),
        *_graph(record),
        *_mapping(record),
        *_parameters(record),
        *_needs(record),
    )


def digest(record: ProviderRecord) -> str:
    """Return the same hexadecimal digest for the same content, whatever its revision or health."""
    content = msgspec.structs.replace(record, **_STORED_APART)
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def misfit(rule: ParameterRule, value: Scalar) -> str:
    """Return why a value does not fit a rule, empty when it does."""
    if rule.type == "choice":
        return "" if value in rule.choices else f"{value!r} is none of {', '.join(rule.choices)}"
    if rule.type == "str":
        return "" if isinstance(value, str) else f"{value!r} is no text"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return f"{value!r} is no number"
    if rule.type == "int" and value != int(value):
        return f"{value!r} is no whole number"
    if rule.minimum is not None and value < rule.minimum:
        return f"{value!r} is below {rule.minimum:g}"
    if rule.maximum is not None and value > rule.maximum:
        return f"{value!r} is above {rule.maximum:g}"
    return ""


def _identity(record: ProviderRecord) -> Iterator[str]:
    named = {
        "provider_id": record.provider_id,
        "workflow_id": record.workflow_id,
        "lane": record.lane,
    }
    for field, value in named.items():
        if not _TOKEN.fullmatch(value):
            yield f"{field} {value!r} is not a subject token"
    for field, values in (
        ("capabilities", record.capabilities),
        ("supported_effect_types", record.supported_effect_types),
    ):
        if not values:
            yield f"{field} is empty"
        for value in values:
            if not _TOKEN.fullmatch(value):
                yield f"{field} has {value!r}, which is not a subject token"
    if record.status not in STATUSES:
        yield f"status {record.status!r} is none of {', '.join(sorted(STATUSES))}"


def _numbers(record: ProviderRecord) -> Iterator[str]:
    model = record.cost_model
    amounts = {
        "base_cost_per_frame": model.base_cost_per_frame,
        "avg_gpu_seconds_per_frame": model.avg_gpu_seconds_per_frame,
        "cold_start_penalty_seconds": model.cold_start_penalty_seconds,
    }
    for field, value in amounts.items():
        if not math.isfinite(value) or value < 0:
            yield f"cost_model.{field} is {value!r}"
    for key, value in record.target_look.items():
        if not math.isfinite(value):
            yield f"target_look.{key} is {value!r}"


def _graph(record: ProviderRecord) -> Iterator[str]:
    if not record.graph:
        yield "graph is empty"
    if len(record.graph) > NODE_LIMIT:
        yield f"graph has {len(record.graph)} nodes, more than {NODE_LIMIT}"
    for node_id, node in record.graph.items():
        if not isinstance(node.get("class_type"), str) or not node["class_type"]:
            yield f"node {node_id} has no class_type"
        if not isinstance(node.get("inputs"), dict):
            yield f"node {node_id} has no inputs"
        for name, (source, slot) in _links(node):
            if source not in record.graph:
                yield f"node {node_id} links {name} to the absent node {source!r}"
            if isinstance(slot, bool) or not isinstance(slot, int) or slot < 0:
                yield f"node {node_id} links {name} to the impossible slot {slot!r}"
    looped = _first_loop(record)
    if looped:
        yield f"node {looped} depends on itself"


def _mapping(record: ProviderRecord) -> Iterator[str]:
    mapping = record.node_mapping
    for field, node_id in msgspec.structs.asdict(mapping).items():
        required = field in {"video_input_node", "output_node"}
        if (node_id or required) and node_id not in record.graph:
            yield f"node_mapping.{field} points at the absent node {node_id!r}"
    if mapping.output_node in record.graph and _class(record, mapping.output_node) != SAVER:
        yield f"output node {mapping.output_node} is no {SAVER}"
    source = mapping.video_input_node
    if source in record.graph and _class(record, source) not in LOADERS:
        yield f"video input node {source} is none of {', '.join(sorted(LOADERS))}"
    if source in record.graph and source not in _ancestors(record, mapping.output_node):
        yield f"output node {mapping.output_node} does not depend on the video"
    for field in ("prompt_node", "negative_prompt_node"):
        node_id = getattr(mapping, field)
        if node_id in record.graph and "text" not in _inputs(record, node_id):
            yield f"{field} {node_id} has no input text"


def _parameters(record: ProviderRecord) -> Iterator[str]:
    for name, rule in record.parameter_rules.items():
        yield from (f"parameter {name}: {fault}" for fault in _rule(record, rule))
    for name, value in record.default_parameters.items():
        if name in RESERVED:
            yield f"default of {name}: the agent fills it from the clip"
        elif name not in record.parameter_rules:
            yield f"default of {name}: there is no such parameter"
        elif why := misfit(record.parameter_rules[name], value):
            yield f"default of {name}: {why}"


def _rule(record: ProviderRecord, rule: ParameterRule) -> Iterator[str]:
    if rule.node not in record.graph:
        yield f"points at the absent node {rule.node!r}"
        return
    inputs = _inputs(record, rule.node)
    if rule.input not in inputs:
        yield f"node {rule.node} has no input {rule.input!r}"
    elif isinstance(inputs[rule.input], list):
        yield f"input {rule.input!r} of node {rule.node} is a link"
    if rule.type not in TYPES:
        yield f"type {rule.type!r} is none of {', '.join(sorted(TYPES))}"
    if rule.type == "choice" and not rule.choices:
        yield "has no choices"
    bounds = (rule.minimum, rule.maximum)
    if rule.type in _NUMBERS and None in bounds:
        yield "is a number without bounds"
    if None not in bounds and bounds[0] > bounds[1]:  # type: ignore[operator]  # neither is None
        yield f"bounds {rule.minimum:g} and {rule.maximum:g} are crossed"


def _needs(record: ProviderRecord) -> Iterator[str]:
    used = {str(node.get("class_type")) for node in record.graph.values()}
    for missing in sorted(used - set(record.node_dependencies)):
        yield f"class {missing} is used and not in node_dependencies"
    literals = {
        value
        for node in record.graph.values()
        for value in _as_inputs(node).values()
        if isinstance(value, str)
    }
    for model in record.required_models:
        if model not in literals:
            yield f"required model {model!r} stands nowhere in the graph"


def _class(record: ProviderRecord, node_id: str) -> str:
    return str(record.graph[node_id].get("class_type"))


def _inputs(record: ProviderRecord, node_id: str) -> dict[str, object]:
    return _as_inputs(record.graph[node_id])


def _as_inputs(node: dict[str, object]) -> dict[str, object]:
    inputs = node.get("inputs")
    return inputs if isinstance(inputs, dict) else {}


def _links(node: dict[str, object]) -> Iterator[tuple[str, tuple[str, object]]]:
    for name, value in _as_inputs(node).items():
        if isinstance(value, list) and len(value) == 2:
            yield name, (str(value[0]), value[1])


def _ancestors(record: ProviderRecord, node_id: str) -> set[str]:
    found: set[str] = set()
    waiting = [node_id]
    while waiting:
        current = waiting.pop()
        if current in found or current not in record.graph:
            continue
        found.add(current)
        waiting.extend(source for _, (source, _) in _links(record.graph[current]))
    return found


def _first_loop(record: ProviderRecord) -> str:
    for node_id, node in record.graph.items():
        sources = (source for _, (source, _) in _links(node))
        if any(node_id in _ancestors(record, source) for source in sources):
            return node_id
    return ""
