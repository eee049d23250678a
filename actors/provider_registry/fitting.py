"""Can a host run this graph? Its classes, models, links and values against ``/object_info``. Pure.

A host refuses most of this itself, one prompt at a time; dynamic choices it does not look at, and
they fail when the render is half done. Here everything is found at once, before anything is paid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from schemas.routing import ProviderRecord
from workflows import graphs, object_info
from workflows.graphs import LOADERS, Graph, Link, class_of, inputs_of, link_of
from workflows.object_info import ANY, COMBO, DYNAMIC, GROWING, Declared, ObjectInfo
from workflows.values import shown

CHOICES_SHOWN: Final = 8


class Verdict(Struct, frozen=True, kw_only=True):
    """What a host lacks, and what it would refuse or do wrong."""

    missing_classes: tuple[str, ...] = ()
    missing_models: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What is strange and works."""

    @property
    def able(self) -> bool:
        """Whether the host can run it."""
        return not (self.missing_classes or self.missing_models or self.faults)


def compare(record: ProviderRecord, info: ObjectInfo) -> Verdict:
    """Return what stands between a record and a host."""
    models = set(record.required_models)
    return examine(record.graph, info, models=models)


def examine(graph: Graph, info: ObjectInfo, *, models: set[str]) -> Verdict:
    """Return what stands between a graph and a host; ``models`` are files the host must have."""
    absent = sorted(name for name in graphs.classes(graph) if not object_info.knows(info, name))
    faults: list[str] = []
    notes: list[str] = []
    missing = set(models)
    present: set[str] = set()
    for node_id in graph:
        kind = class_of(graph, node_id)
        if not object_info.knows(info, kind):
            continue
        declared = object_info.inputs(info, kind, inputs_of(graph, node_id))
        faults += _lacking(graph, node_id, declared)
        for name, value in inputs_of(graph, node_id).items():
            place = f"{name} of node {node_id} ({kind})"
            found = _of(declared, name)
            if found is None:
                notes.append(f"{place}: the host knows no such input and ignores it")
            elif (link := link_of(value)) is not None:
                faults += (f"{place}: {why}" for why in _link(graph, info, link, found))
            elif _is_model(value, found, models):
                offered = found.choices is not None and value in found.choices
                (present if offered else missing).add(str(value))
            elif LOADERS.get(kind) != name and (why := _literal(value, found)):
                faults.append(f"{place}: {why}")
    # a file is there when one host input offers it; of a class that is missing nobody can tell
    return Verdict(
        missing_classes=tuple(absent),
        missing_models=tuple(sorted(missing - present)),
        faults=tuple(faults),
        notes=tuple(notes),
    )


def _of(declared: Mapping[str, Declared], name: str) -> Declared | None:
    if name in declared:
        return declared[name]
    group = declared.get(name.split(".", 1)[0])
    if group is not None and group.kind == GROWING:
        # what one of many takes is declared in a template; a link's type is the host's business
        return Declared(kind=ANY, required=False)
    return None


def _lacking(graph: Graph, node_id: str, declared: Mapping[str, Declared]) -> Iterator[str]:
    given = inputs_of(graph, node_id)
    for name, each in declared.items():
        # of a growing input the links have names of their own
        if each.required and each.kind != GROWING and name not in given:
            yield f"node {node_id} ({class_of(graph, node_id)}) lacks its input {name}"


def _link(graph: Graph, info: ObjectInfo, link: Link, wanted: Declared) -> Iterator[str]:
    if link.node not in graph:
        yield f"links to the absent node {shown(link.node)}"
        return
    kind = class_of(graph, link.node)
    offered = object_info.outputs(info, kind)
    if offered is None:
        return
    slot = link.slot
    if isinstance(slot, bool) or not isinstance(slot, int) or not 0 <= slot < len(offered):
        yield f"{kind} has {len(offered)} outputs and no slot {shown(slot)}"
    elif not _same_type(offered[slot], wanted.kind):
        yield f"{kind} gives {offered[slot]} there, not {wanted.kind}"


def _same_type(given: str, wanted: str) -> bool:
    """Tell whether an output fits an input; several types are written with commas."""
    loose = {ANY, COMBO}
    if (
        given in loose
        or wanted in loose
        or given.startswith("COMFY_")
        or wanted.startswith("COMFY")
    ):
        return True
    return bool(set(given.split(",")) & set(wanted.split(",")))


def _is_model(value: object, declared: Declared, models: set[str]) -> bool:
    if declared.kind != COMBO or not isinstance(value, str):
        return False
    return value in models or graphs.is_model_file(value)


def _literal(value: object, declared: Declared) -> str:
    match declared.kind:
        case "INT" | "FLOAT":
            return _number(value, declared)
        case "STRING":
            return "" if isinstance(value, str) else f"{shown(value)} is no text"
        case "BOOLEAN":
            return "" if isinstance(value, bool) else f"{shown(value)} is neither true nor false"
        case kind if kind in (COMBO, DYNAMIC):
            return _choice(value, declared)
        case kind if kind in object_info.WIDGETS or kind == ANY:
            return ""
    return f"{shown(value)} stands where a link to {_a(declared.kind)} is needed"


def _number(value: object, declared: Declared) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return f"{shown(value)} is no number"
    if declared.kind == "INT" and value != int(value):
        return f"{value!r} is no whole number"
    if declared.minimum is not None and value < declared.minimum:
        return f"{shown(value)} is below {declared.minimum:g}"
    if declared.maximum is not None and value > declared.maximum:
        return f"{shown(value)} is above {declared.maximum:g}"
    return ""


def _choice(value: object, declared: Declared) -> str:
    if declared.choices is None or value in declared.choices:
        return ""
    offered = ", ".join(map(str, declared.choices[:CHOICES_SHOWN])) or "nothing"
    more = ", …" if len(declared.choices) > CHOICES_SHOWN else ""
    return f"{shown(value)} is not offered; it is one of: {offered}{more}"


def _a(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "AEIOU" else f"a {kind}"
