"""Which inputs of a graph become parameters, with which bounds. Pure.

Bounds are a host's own where ``/object_info`` is given, and never wider than what is sane here: a
host takes 10,000 steps, and nobody would pay for them. What shapes the picture or names a file is
left to the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from actors.provider_registry.rules import is_the_agents
from actors.provider_registry.wiring import Place, Wiring
from schemas.base import Scalar
from schemas.routing import ParameterRule
from workflows import object_info
from workflows.graphs import (
    Graph,
    ancestors,
    class_of,
    inputs_of,
    is_model_file,
    link_of,
    literals,
)
from workflows.object_info import Declared, ObjectInfo
from workflows.values import PARAMETERS_LIMIT, TEXT_LENGTH

SEED_MOST: Final = 2**53 - 1
"""A larger number loses digits on its way through JSON."""
CHOICES_MOST: Final = 64
VAST: Final = 2.0**31
SIZE_MOST: Final = 16384.0
FRAMES_MOST: Final = 100_000.0

_BOUNDS: Final[Mapping[str, tuple[str, float, float]]] = {
    "seed": ("int", 0, SEED_MOST),
    "noise_seed": ("int", 0, SEED_MOST),
    "steps": ("int", 1, 60),
    "cfg": ("float", 0, 20),
    "min_cfg": ("float", 0, 20),
    "denoise": ("float", 0, 1),
    "strength": ("float", 0, 2),
    "strength_model": ("float", 0, 2),
    "blend_factor": ("float", 0, 1),
    "blur_radius": ("int", 1, 31),
    "sharpen_radius": ("int", 1, 31),
    "sigma": ("float", 0.1, 10),
    "alpha": ("float", 0, 5),
    "factor": ("float", 0, 2),
    "colors": ("int", 2, 256),
    "kernel_size": ("int", 3, 51),
    "img_compression": ("int", 0, 100),
    "font_size": ("float", 0.5, 50),
    "scale_by": ("float", 0.02, 4),
    "low_threshold": ("float", 0.01, 0.99),
    "high_threshold": ("float", 0.01, 0.99),
    "motion_bucket_id": ("int", 1, 255),
    "augmentation_level": ("float", 0, 1),
    "multiplier": ("int", 2, 4),
    "shift": ("float", 0, 20),
    "expand": ("int", -64, 64),
    "conditioning_strength": ("float", 0, 1),
}
"""What is sane for inputs of these names, whatever the class."""
_NAMES: Final = {
    "noise_seed": "seed",
    "cfg": "cfg_scale",
    "blend_factor": "strength",
    "blur_radius": "radius",
    "sharpen_radius": "radius",
}
_SHAPING: Final = frozenset(
    {
        *("width", "height", "target_width", "target_height", "x", "y", "left", "top", "right"),
        *("bottom", "batch_size", "batch_index", "amount", "length", "video_frames", "fps"),
        *("frame_rate", "start_time", "duration", "start_at_step", "end_at_step", "trim_amount"),
        *("spacing_width", "bit_depth", "crop", "upscale_method", "format", "codec", "type"),
        *("device", "weight_dtype", "channel", "tile_size", "overlap", "direction", "size_mode"),
    }
)
"""Inputs that must agree with each other, or with a model: no parameter."""
_CANVAS: Final = frozenset({"EmptyImage", "SolidMask"})
_SCALERS: Final = frozenset({"ImageScale", "ImageScaleBy"})


class Proposed(NamedTuple):
    """Rules, the values that stand in the graph, and what to know about them."""

    rules: dict[str, ParameterRule]
    defaults: dict[str, Scalar]
    notes: tuple[str, ...]


def parameters_of(graph: Graph, info: ObjectInfo, wiring: Wiring, *, output: str) -> Proposed:
    """Return the parameters a graph offers, the sampler's first."""
    taken: dict[Place, str] = {place: name for name, place in wiring.places.items()}
    used = ancestors(graph, output)
    rules: dict[str, ParameterRule] = {}
    defaults: dict[str, Scalar] = {}
    for place, name in [*taken.items(), *_others(graph, taken, used, wiring)]:
        value = inputs_of(graph, place.node)[place.input]
        made = _rule(graph, info, place, name, value)
        if made is None or len(rules) >= PARAMETERS_LIMIT - len(_SIZES):
            continue
        free = name if name not in rules else f"{name}_{place.node}"
        rules[free], defaults[free] = made, value  # type: ignore[assignment]  # a rule's literal
    sized, notes = _sizes(graph, used, sampled=bool(wiring.sampler))
    return Proposed({**rules, **sized}, defaults, notes)


def _others(
    graph: Graph, taken: Mapping[Place, str], used: set[str], wiring: Wiring
) -> Iterator[tuple[Place, str]]:
    words = {wiring.prompt, wiring.negative}
    for each in literals(graph):
        place = Place(each.node, each.name)
        loads = any(is_model_file(value) for value in inputs_of(graph, each.node).values())
        if each.node not in used or place in taken or each.name in _SHAPING or loads:
            continue
        if each.node in words or is_the_agents(graph, each.node, each.name):
            continue
        yield place, _name_of(graph, place)


def _name_of(graph: Graph, place: Place) -> str:
    """Return what a parameter is called: as its input, or as what takes a constant's value."""
    name = place.input
    if class_of(graph, place.node).startswith("Primitive"):
        for node_id in graph:
            for taker, value in inputs_of(graph, node_id).items():
                link = link_of(value)
                if link is not None and link.node == place.node:
                    name = taker.rsplit(".", 1)[-1]
    return _NAMES.get(name, name)


def _rule(
    graph: Graph, info: ObjectInfo, place: Place, name: str, value: object
) -> ParameterRule | None:
    kind = class_of(graph, place.node)
    declared = object_info.inputs(info, kind, inputs_of(graph, place.node)).get(place.input)
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return _number(place, name, value, declared)
    if not isinstance(value, str):
        return None
    if declared is not None and declared.kind == object_info.COMBO:
        return _choice(place, value, declared)
    if place.input == "text" and len(value) <= TEXT_LENGTH:
        return ParameterRule(node=place.node, input=place.input, type="str", max_length=TEXT_LENGTH)
    return None


def _number(
    place: Place, name: str, value: float, declared: Declared | None
) -> ParameterRule | None:
    reverse = {alias: of for of, alias in _NAMES.items() if of != "sharpen_radius"}
    sane = _BOUNDS.get(place.input) or _BOUNDS.get(name) or _BOUNDS.get(reverse.get(name, ""))
    known = (None, None) if declared is None else (declared.minimum, declared.maximum)
    if sane is None and (None in known or _is_vast(known)):
        return _share(place, value)
    kind = sane[0] if sane else "float"
    if declared is not None and declared.kind in ("INT", "FLOAT"):
        kind = declared.kind.lower()
    lows = [each for each in (known[0], sane[1] if sane else None) if each is not None]
    highs = [each for each in (known[1], sane[2] if sane else None) if each is not None]
    return ParameterRule(
        node=place.node,
        input=place.input,
        type=kind,
        # the graph's own value is fit, whatever is thought sane
        minimum=float(min(max(lows), value)),
        maximum=float(max(min(highs), value)),
    )


def _is_vast(bounds: tuple[float | None, float | None]) -> bool:
    """Tell whether bounds say nothing: those of a constant are all numbers there are."""
    low, high = bounds
    return low is not None and high is not None and high - low > VAST


def _share(place: Place, value: float) -> ParameterRule | None:
    """Return a rule for a number nobody knows: from nothing to twice what it is."""
    if not isinstance(value, float) or not 0 < value <= 100:
        return None
    top = 1.0 if value <= 1 else 2 * value
    return ParameterRule(node=place.node, input=place.input, type="float", minimum=0.0, maximum=top)


def _choice(place: Place, value: str, declared: Declared) -> ParameterRule | None:
    choices = declared.choices or ()
    if declared.uploads or len(choices) > CHOICES_MOST or value not in choices:
        return None
    if len(choices) < 2 or not all(isinstance(each, str) for each in choices):
        return None
    if any(is_model_file(each) for each in choices):
        return None
    return ParameterRule(
        node=place.node, input=place.input, type="choice", choices=tuple(map(str, choices))
    )


_SIZES: Final[Mapping[str, tuple[str, float, float]]] = {
    "input_width": ("width", 2.0, SIZE_MOST),
    "input_height": ("height", 2.0, SIZE_MOST),
    "input_frames": ("amount", 1.0, FRAMES_MOST),
}


def _sizes(
    graph: Graph, used: set[str], *, sampled: bool
) -> tuple[dict[str, ParameterRule], tuple[str, ...]]:
    """Bind what must be as large as the clip, or as long: a canvas, and what restores its size.

    Each can be bound in one place; where a graph needs more, or a model wants a size of its own, it
    is said and left to whoever knows the graph.
    """
    found: dict[str, list[str]] = {name: [] for name in _SIZES}
    for node_id in sorted(used):
        if _is_of_clip_size(graph, node_id, sampled=sampled):
            for name in ("input_width", "input_height"):
                found[name].append(node_id)
        if class_of(graph, node_id) == "RepeatImageBatch":
            found["input_frames"].append(node_id)
    rules: dict[str, ParameterRule] = {}
    notes: list[str] = []
    for name, places in found.items():
        key, low, high = _SIZES[name]
        literal = [each for each in places if link_of(inputs_of(graph, each).get(key)) is None]
        if len(literal) == 1:
            rules[name] = ParameterRule(
                node=literal[0], input=key, type="int", minimum=low, maximum=high
            )
        elif literal:
            notes.append(
                f"nodes {', '.join(literal)} have a fixed {key}, so only clips of that size look"
                f" right: take it from one PrimitiveInt, and bind {name} to that"
            )
    return rules, tuple(notes)


def _is_of_clip_size(graph: Graph, node_id: str, *, sampled: bool) -> bool:
    kind = class_of(graph, node_id)
    if sampled or "width" not in inputs_of(graph, node_id):
        return False
    if kind in _CANVAS:
        return True
    before = ancestors(graph, node_id) - {node_id}
    return kind == "ImageScale" and any(class_of(graph, each) in _SCALERS for each in before)
