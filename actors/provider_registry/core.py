"""Is a provider record fit to be stored? Pure; every fault is found in one pass.

A host would refuse most of these faults too, but only once a job has been paid for, and some of
them (a rule that points at a misspelled input) it would ignore without a word.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from actors.provider_registry import rules, safety
from actors.provider_registry.errors import InvalidRecordError
from schemas.routing import ProviderRecord
from workflows import graphs
from workflows.graphs import LOADERS, SAVERS, class_of, inputs_of
from workflows.values import shown

ACTIVE: Final = "active"
SHADOW: Final = "shadow"
DRAINING: Final = "draining"
DISABLED: Final = "disabled"
DRAFT: Final = "draft"
STATUSES: Final = frozenset({ACTIVE, SHADOW, DRAINING, DISABLED, DRAFT})
SERVING: Final = frozenset({ACTIVE, SHADOW})
"""Statuses in which a provider is given jobs."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""Shorter than a token: it is part of the names of queues."""
_TAKEN: Final = frozenset({"import", "validate"})
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]+")
_STORED_APART: Final = {"revision": 0, "health": None}
_TITLE_LIMIT: Final = 200


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
    mapping = record.node_mapping
    words = {mapping.prompt_node, mapping.negative_prompt_node}
    return (
        *_identity(record),
        *_numbers(record),
        *_graph(record),
        *safety.unsafe(record.graph, words=words),
        *_mapping(record),
        *rules.faults(record),
        *_needs(record),
    )


def digest(record: ProviderRecord) -> str:
    """Return the same hexadecimal digest for the same content, whatever its revision or health.

    Fields at their usual values do not count: a field that is added to the record one day must not
    make every stored record look changed.
    """
    content = msgspec.structs.replace(record, **_STORED_APART)
    return _hashed(_lean(content))


def content_digest(record: ProviderRecord) -> str:
    """Return ``digest`` of what is edited: without the status, which is changed by itself."""
    return digest(msgspec.structs.replace(record, status=ACTIVE))


def graph_digest(record: ProviderRecord) -> str:
    """Return a digest of what a host must be able to run, whoever offers it under which name."""
    return _hashed([record.graph, sorted(record.required_models)])


def needs(record: ProviderRecord) -> frozenset[str]:
    """Return all a host must have: node classes and model files."""
    return frozenset(graphs.classes(record.graph) | set(record.required_models))


def token_of(text: str) -> str:
    """Return a text as a subject token.

    >>> token_of("soft light"), token_of("...")
    ('soft_light', 'custom')
    """
    return _UNFIT.sub("_", text).strip("_")[:100] or "custom"


def _hashed(content: object) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


def _lean(value: Any) -> Any:
    if isinstance(value, Struct):
        kept = {}
        for field in msgspec.structs.fields(value):
            own = getattr(value, field.name)
            usual = field.default
            if field.default_factory is not msgspec.NODEFAULT:
                usual = field.default_factory()
            if own != usual:
                kept[field.name] = _lean(own)
        return kept
    if isinstance(value, dict):
        return {name: _lean(own) for name, own in value.items()}
    return value


def _identity(record: ProviderRecord) -> Iterator[str]:
    if not _ID.fullmatch(record.provider_id):
        yield f"provider_id {shown(record.provider_id)} is not a subject token"
    if record.provider_id in _TAKEN:
        yield f"provider_id {record.provider_id!r} is an address of the interface"
    for field, value in (("workflow_id", record.workflow_id), ("lane", record.lane)):
        if not _TOKEN.fullmatch(value):
            yield f"{field} {shown(value)} is not a subject token"
    for field, values in (
        ("capabilities", record.capabilities),
        ("supported_effect_types", record.supported_effect_types),
    ):
        if not values:
            yield f"{field} is empty"
        for value in values:
            if not _TOKEN.fullmatch(value):
                yield f"{field} has {shown(value)}, which is not a subject token"
    if not record.display_name.strip() or len(record.display_name) > _TITLE_LIMIT:
        yield f"display_name has {len(record.display_name)} characters, not 1 to {_TITLE_LIMIT}"
    if record.status not in STATUSES:
        yield f"status {shown(record.status)} is none of {', '.join(sorted(STATUSES))}"


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
    for node_id, node in record.graph.items():
        if not isinstance(node.get("class_type"), str) or not node["class_type"]:
            yield f"node {node_id} has no class_type"
        if not isinstance(node.get("inputs"), dict):
            yield f"node {node_id} has no inputs"
        for name, (source, slot) in graphs.links(record.graph, node_id):
            if source not in record.graph:
                yield f"node {node_id} links {name} to the absent node {source!r}"
            if isinstance(slot, bool) or not isinstance(slot, int) or slot < 0:
                yield f"node {node_id} links {name} to the impossible slot {slot!r}"
    if len(record.graph) <= safety.NODE_LIMIT and (looped := graphs.first_loop(record.graph)):
        yield f"node {looped} depends on itself"
    if len(msgspec.json.encode(record.graph)) > safety.GRAPH_BYTES:
        yield f"graph has more than {safety.GRAPH_BYTES} bytes"


def _mapping(record: ProviderRecord) -> Iterator[str]:
    mapping, graph = record.node_mapping, record.graph
    for field, node_id in msgspec.structs.asdict(mapping).items():
        required = field in {"video_input_node", "output_node"}
        if (node_id or required) and node_id not in graph:
            yield f"node_mapping.{field} points at the absent node {node_id!r}"
    if mapping.output_node in graph and class_of(graph, mapping.output_node) not in SAVERS:
        yield f"output node {mapping.output_node} is no {' or '.join(SAVERS)}"
    source = mapping.video_input_node
    if source in graph and class_of(graph, source) not in LOADERS:
        yield f"video input node {source} is none of {', '.join(sorted(LOADERS))}"
    if source in graph and source not in graphs.ancestors(graph, mapping.output_node):
        yield f"output node {mapping.output_node} does not depend on the video"
    for field in ("prompt_node", "negative_prompt_node"):
        node_id = getattr(mapping, field)
        if node_id in graph and "text" not in inputs_of(graph, node_id):
            yield f"{field} {node_id} has no input text"


def _needs(record: ProviderRecord) -> Iterator[str]:
    for missing in sorted(graphs.classes(record.graph) - set(record.node_dependencies)):
        yield f"class {missing} is used and not in node_dependencies"
    values = {each.value for each in graphs.literals(record.graph) if isinstance(each.value, str)}
    for model in record.required_models:
        if model not in values:
            yield f"required model {model!r} stands nowhere in the graph"
