"""Which providers a host can run: its node classes and model files against each record. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from schemas.base import ProviderId
from schemas.routing import ProviderRecord

ObjectInfo = Mapping[str, object]
"""A host's ``/object_info``: node class to its declaration."""


def capable(records: Iterable[ProviderRecord], object_info: ObjectInfo) -> list[ProviderId]:
    """Return the ids of the providers this host can run, sorted.

    A record is runnable when the host knows every node class of its graph, and when every model
    file the graph names is among the choices of the input that names it.
    """
    return sorted(
        record.provider_id
        for record in records
        if record.status != "disabled" and not lacking(record, object_info)
    )


def lacking(record: ProviderRecord, object_info: ObjectInfo) -> tuple[str, ...]:
    """Return what the host lacks for a provider, one word each: node classes and model files."""
    classes = {str(node.get("class_type")) for node in record.graph.values()}
    absent = [name for name in sorted(classes) if name not in object_info]
    offered = {
        (str(node.get("class_type")), name): value
        for node in record.graph.values()
        for name, value in _inputs(node)
    }
    for model in record.required_models:
        wanted = [place for place, value in offered.items() if value == model]
        if not any(model in _choices(object_info, *place) for place in wanted):
            absent.append(model)
    return tuple(absent)


def _inputs(node: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    inputs = node.get("inputs")
    if isinstance(inputs, dict):
        yield from inputs.items()


def _choices(object_info: ObjectInfo, class_type: str, name: str) -> tuple[object, ...]:
    """Return the choices of one input, in either of ComfyUI's two spellings."""
    declared = _dig(object_info, class_type, "input", "required", name)
    declared = declared or _dig(object_info, class_type, "input", "optional", name)
    if not isinstance(declared, list) or not declared:
        return ()
    if isinstance(declared[0], list):
        return tuple(declared[0])
    options = declared[1].get("options") if _is_combo(declared) else None
    return tuple(options) if isinstance(options, list) else ()


def _is_combo(declared: list[object]) -> bool:
    return declared[0] == "COMBO" and len(declared) > 1 and isinstance(declared[1], dict)


def _dig(value: object, *path: str) -> object:
    for step in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value
