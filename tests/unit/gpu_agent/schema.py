"""Is a graph one that a host with this ``/object_info`` would take? As strict as ComfyUI itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from schemas.routing import ParameterRule, ProviderRecord

FOLDER: Final = Path(__file__).with_name("object_info")
SCALARS: Final = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COLOR"})
FILLED_BY_THE_AGENT: Final = frozenset({("LoadVideo", "file"), ("VHS_LoadVideo", "video")})
LITERALS: Final[Mapping[str, tuple[type, ...]]] = {
    "INT": (int,),
    "FLOAT": (int, float),
    "STRING": (str,),
    "COLOR": (str,),
    "BOOLEAN": (bool,),
}

Declared = dict[str, list[Any]]


def object_info(name: str) -> dict[str, Any]:
    """Return one of the two collections.

    ``recorded``   cut from a real server's answer (0.33.0, without models)
    ``published``  of nodes no recorded server had: names, types and bounds as their sources say
    """
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def misfits(record: ProviderRecord, info: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a host would refuse a record's graph, or what its rules may put into it."""
    for node_id, node in record.graph.items():
        class_type = str(node["class_type"])
        if class_type not in info:
            yield f"node {node_id}: unknown class {class_type}"
            continue
        yield from (
            f"node {node_id} {class_type}: {why}" for why in _node(record, node, info, class_type)
        )
    for name, rule in record.parameter_rules.items():
        yield from (f"parameter {name}: {why}" for why in _rule(record, rule, info))


def _node(
    record: ProviderRecord, node: Mapping[str, Any], info: Mapping[str, Any], class_type: str
) -> Iterator[str]:
    inputs: dict[str, Any] = node["inputs"]
    declared = _declared(info, class_type, inputs)
    required = _required(info, class_type, inputs)
    yield from (f"{name} is missing" for name in required if name not in inputs)
    for name, value in inputs.items():
        if name not in declared:
            yield f"{name} is no input"
        elif isinstance(value, list):
            yield from _link(record, value, declared[name], info, name)
        elif (class_type, name) not in FILLED_BY_THE_AGENT:
            yield from _literal(record, value, declared[name], name)


def _link(
    record: ProviderRecord, link: list[Any], declared: list[Any], info: Mapping[str, Any], name: str
) -> Iterator[str]:
    source = info.get(str(record.graph[link[0]]["class_type"]))
    outputs = source["output"] if source else []
    if link[1] >= len(outputs):
        yield f"{name} links to the absent slot {link}"
    elif outputs[link[1]] not in str(declared[0]).split(",") and "*" not in outputs[link[1]]:
        yield f"{name} takes {declared[0]}, node {link[0]} gives {outputs[link[1]]}"


def _literal(record: ProviderRecord, value: Any, declared: list[Any], name: str) -> Iterator[str]:
    options = _options(declared)
    if options is not None:
        if value not in options and value not in record.required_models:
            yield f"{name}: {value!r} is no choice"
        return
    kinds = [kind for kind in str(declared[0]).split(",") if kind in SCALARS]
    if not kinds:
        yield f"{name} wants a link"
    elif not isinstance(value, LITERALS[kinds[0]]):
        yield f"{name}: {value!r} is no {declared[0]}"
    elif isinstance(value, (int, float)) and not _within(value, value, declared):
        yield f"{name}: {value!r} is out of bounds"


def _rule(record: ProviderRecord, rule: ParameterRule, info: Mapping[str, Any]) -> Iterator[str]:
    for class_type, name, inputs in _targets(record, rule):
        declared = _declared(info, class_type, inputs)[name]
        if rule.choices and not set(rule.choices) <= set(_options(declared) or ()):
            yield f"{class_type}.{name} has fewer choices"
        if rule.minimum is not None and rule.maximum is not None:
            ends = [rule.offset + rule.scale * end for end in (rule.minimum, rule.maximum)]
            if not _within(min(ends), max(ends), declared):
                yield f"{class_type}.{name} takes less than {min(ends)} to {max(ends)}"


def _targets(
    record: ProviderRecord, rule: ParameterRule
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield where a value ends up: a primitive passes it on to whoever links to it."""
    node: dict[str, Any] = record.graph[rule.node]
    if not node["class_type"].startswith("Primitive"):
        yield node["class_type"], rule.input, node["inputs"]
        return
    for other in record.graph.values():
        inputs: Any = other["inputs"]
        for name, value in inputs.items():
            if value == [rule.node, 0]:
                yield str(other["class_type"]), name, inputs


def _declared(info: Mapping[str, Any], class_type: str, inputs: Mapping[str, Any]) -> Declared:
    found = info[class_type]["input"]
    declared: Declared = {**found.get("required", {}), **found.get("optional", {})}
    for prefix, chosen in _dynamic(declared, inputs):
        declared |= {
            f"{prefix}.{name}": each
            for group in ("required", "optional")
            for name, each in chosen.get(group, {}).items()
        }
    return declared


def _required(info: Mapping[str, Any], class_type: str, inputs: Mapping[str, Any]) -> list[str]:
    required: Declared = info[class_type]["input"].get("required", {})
    nested = [
        f"{prefix}.{name}"
        for prefix, chosen in _dynamic(required, inputs)
        for name in chosen.get("required", {})
    ]
    return [*required, *nested]


def _dynamic(declared: Declared, inputs: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what the chosen option of each dynamic choice asks for besides."""
    found = []
    for name, each in declared.items():
        if each[0] == "COMFY_DYNAMICCOMBO_V3":
            options = {option["key"]: option["inputs"] for option in each[1]["options"]}
            found.append((name, options.get(inputs.get(name), {})))
    return found


def _options(declared: list[Any]) -> list[Any] | None:
    if isinstance(declared[0], list):
        return declared[0]
    if declared[0] == "COMBO":
        return list(declared[1].get("options", []))
    if declared[0] == "COMFY_DYNAMICCOMBO_V3":
        return [option["key"] for option in declared[1]["options"]]
    return None


def _within(low: float, high: float, declared: list[Any]) -> bool:
    bounds = declared[1] if len(declared) > 1 else {}
    return bool(bounds.get("min", low) <= low and high <= bounds.get("max", high))
