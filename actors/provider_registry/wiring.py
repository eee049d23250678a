"""Which node of a graph does what: found by class and by following links. Pure.

Words are found from the sampler backwards: its ``positive`` input may come from a text encoder, or
through conditioning nodes that pass a positive and a negative on (``WanVaceToVideo``,
``LTXVConditioning``, ``ControlNetApplyAdvanced``), in the order of their outputs. A
``SamplerCustomAdvanced`` has them at its guider, its seed at its noise and its steps at its sigmas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from workflows.graphs import (
    Graph,
    Link,
    ancestors,
    class_of,
    inputs_of,
    is_model_file,
    link_of,
    links,
)

POSITIVE: Final = "positive"
NEGATIVE: Final = "negative"
HOPS: Final = 64
"""Links that are followed for one thing; a graph has 200 nodes."""

_SEED: Final = ("seed", "noise_seed", "value")
_STEPS: Final = ("steps", "value")
_CFG: Final = ("cfg", "value")
_DENOISE: Final = ("denoise", "value")
_SAMPLER: Final = ("sampler_name",)
_SIDES: Final = (POSITIVE, NEGATIVE)
_WORDLESS: Final = frozenset({"ConditioningZeroOut"})
"""Nodes whose output holds no words, whatever goes in."""


class Place(NamedTuple):
    """One literal input of one node."""

    node: str
    input: str


class Wiring(Struct, frozen=True, kw_only=True):
    """What was found; an empty id is nothing."""

    prompt: str = ""
    negative: str = ""
    sampler: str = ""
    loader: str = ""
    places: dict[str, Place] = {}
    """Parameter to the place that holds it: seed, steps, cfg_scale, denoise, sampler_name."""
    notes: tuple[str, ...] = ()


def wire(graph: Graph, output: str) -> Wiring:
    """Return what the nodes before ``output`` do."""
    behind = ancestors(graph, output)
    used = [node_id for node_id in graph if node_id in behind]
    samplers = [node_id for node_id in used if _samples(graph, node_id)]
    if not samplers:
        loader = next((each for each in used if _loads(graph, each)), "")
        return Wiring(loader=loader, places=_lone_seed(graph, used))
    first = next(each for each in samplers if not (ancestors(graph, each) - {each}) & set(samplers))
    notes: list[str] = []
    if len(samplers) > 1:
        many = ", ".join(samplers)
        notes.append(f"several samplers ({many}): only node {first}'s seed becomes a parameter")
    prompt, negative = (_words(graph, first, side, notes) for side in _SIDES)
    places = dict(_places(graph, first))
    if len(samplers) > 1:
        places = {name: place for name, place in places.items() if name == "seed"}
    return Wiring(
        prompt=prompt,
        negative="" if negative == prompt else negative,
        sampler=first,
        loader=_loader_of(graph, first),
        places=places,
        notes=tuple(notes),
    )


def literal_place(graph: Graph, node_id: str, names: Sequence[str]) -> Place | None:
    """Return where a value stands that a node takes under one of these names."""
    for _ in range(HOPS):
        inputs = inputs_of(graph, node_id)
        name = next((each for each in names if each in inputs), None)
        if name is None:
            return None
        link = link_of(inputs[name])
        if link is None:
            return Place(node_id, name)
        node_id = link.node
    return None


def _samples(graph: Graph, node_id: str) -> bool:
    given = inputs_of(graph, node_id)
    plain = POSITIVE in given and ("seed" in given or "noise_seed" in given)
    return plain or ("guider" in given and "sigmas" in given)


def _loads(graph: Graph, node_id: str) -> bool:
    return any(is_model_file(value) for value in inputs_of(graph, node_id).values())


def _lone_seed(graph: Graph, used: Sequence[str]) -> dict[str, Place]:
    for node_id in used:
        for name in ("seed", "noise_seed"):
            if name in inputs_of(graph, node_id):
                place = literal_place(graph, node_id, _SEED)
                return {"seed": place} if place else {}
    return {}


def _guide(graph: Graph, sampler: str) -> str:
    """Return the node that holds the words and the cfg: the sampler's guider, or itself."""
    link = link_of(inputs_of(graph, sampler).get("guider"))
    return link.node if link else sampler


def _places(graph: Graph, sampler: str) -> Iterator[tuple[str, Place]]:
    given = inputs_of(graph, sampler)
    sources: Mapping[str, tuple[str, Sequence[str], str]] = {
        "seed": ("noise", _SEED, sampler),
        "steps": ("sigmas", _STEPS, sampler),
        "cfg_scale": ("guider", _CFG, sampler),
        "denoise": ("sigmas", _DENOISE, sampler),
        "sampler_name": ("sampler", _SAMPLER, sampler),
    }
    for parameter, (through, names, node_id) in sources.items():
        if not any(name in given for name in names) and (link := link_of(given.get(through))):
            node_id = link.node
        if (place := literal_place(graph, node_id, names)) is not None:
            yield parameter, place


def _words(graph: Graph, sampler: str, side: str, notes: list[str]) -> str:
    guide = _guide(graph, sampler)
    given = inputs_of(graph, guide)
    name = side if side in given else "conditioning"
    link = link_of(given.get(name))
    if link is None or (name == "conditioning" and side == NEGATIVE):
        return ""
    return _encoder(graph, link, side, notes)


def _encoder(graph: Graph, link: Link, side: str, notes: list[str]) -> str:
    """Follow conditioning to the node that encodes the words, empty when there is none."""
    for _ in range(HOPS):
        node_id, kind = link.node, class_of(graph, link.node)
        given = inputs_of(graph, node_id)
        if kind in _WORDLESS:
            return ""
        if "text" in given:
            return node_id
        if "TextEncode" in kind:
            notes.append(f"node {node_id} ({kind}) takes its words not as text: no {side} prompt")
            return ""
        further = _passed_on(graph, link, side)
        if further is None:
            return ""
        link, side = further
    return ""


def _passed_on(graph: Graph, link: Link, side: str) -> tuple[Link, str] | None:
    """Return where a conditioning node has its words from."""
    given = inputs_of(graph, link.node)
    if POSITIVE in given and NEGATIVE in given:
        by_slot = {0: POSITIVE, 1: NEGATIVE}
        side = by_slot.get(link.slot if isinstance(link.slot, int) else -1, side)
        found = link_of(given[side])
        return (found, side) if found else None
    linked = dict(links(graph, link.node))
    named = [each for name, each in linked.items() if name.startswith(("cond", side))]
    if named:
        return named[0], side
    only = next(iter(linked.values())) if len(linked) == 1 else None
    return (only, side) if only else None


def _loader_of(graph: Graph, sampler: str) -> str:
    """Follow the model backwards to the node that loads it; what only adds to one is passed by."""
    node_id = _guide(graph, sampler)
    for _ in range(HOPS):
        link = link_of(inputs_of(graph, node_id).get("model"))
        if link is None:
            return node_id if _loads(graph, node_id) else ""
        node_id = link.node
    return ""
