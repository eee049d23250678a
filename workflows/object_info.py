"""What a host says of its node classes in ``/object_info``. Pure; nothing in it is trusted.

An input is declared as ``[type, options]``. Choices have two spellings: old nodes give the list of
choices as the type, new ones ``["COMBO", {"options": [...]}]``. A dynamic choice
(``COMFY_DYNAMICCOMBO_V3``) brings inputs of its own, written with dots: ``format.codec``; a growing
input (``COMFY_AUTOGROW_V3``) is as many inputs as a graph likes: ``images.image0``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

ObjectInfo = Mapping[str, object]
"""Node class to its declaration."""

COMBO: Final = "COMBO"
DYNAMIC: Final = "COMFY_DYNAMICCOMBO_V3"
GROWING: Final = "COMFY_AUTOGROW_V3"
ANY: Final = "*"
WIDGETS: Final = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", COMBO, DYNAMIC, "COLOR"})
"""Types whose value may stand in the graph; all others come by a link."""
DEPTH_LIMIT: Final = 6
"""Dynamic choices within dynamic choices."""

_CHOOSES_FILES: Final = frozenset({"image_upload", "video_upload", "audio_upload", "file_upload"})


class Declared(Struct, frozen=True, kw_only=True):
    """One input of one class."""

    kind: str
    """The type of what it takes; ``COMBO`` for both spellings of a choice."""
    required: bool = True
    choices: tuple[object, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    uploads: bool = False
    """Whether its choices are files that somebody uploads."""
    growing: str = ""
    """What each name of a growing input begins with."""


def knows(info: ObjectInfo, class_type: str) -> bool:
    """Tell whether a host has a class."""
    return isinstance(info.get(class_type), Mapping)


def is_paid(info: ObjectInfo, class_type: str) -> bool:
    """Tell whether a class calls a paid service."""
    about = info.get(class_type)
    if not isinstance(about, Mapping):
        return False
    category = about.get("category")
    return bool(about.get("api_node")) or (
        isinstance(category, str) and category.startswith("api node")
    )


def is_output(info: ObjectInfo, class_type: str) -> bool:
    """Tell whether a class writes something."""
    about = info.get(class_type)
    return isinstance(about, Mapping) and about.get("output_node") is True


def outputs(info: ObjectInfo, class_type: str) -> tuple[str, ...] | None:
    """Return the types of a class's outputs; ``None`` when the host does not say."""
    about = info.get(class_type)
    given = about.get("output") if isinstance(about, Mapping) else None
    if not isinstance(given, list):
        return None
    return tuple(each if isinstance(each, str) else COMBO for each in given)


def inputs(
    info: ObjectInfo, class_type: str, chosen: Mapping[str, object]
) -> Mapping[str, Declared]:
    """Return the inputs of a class by name, those too that the ``chosen`` values bring."""
    about = info.get(class_type)
    groups = about.get("input") if isinstance(about, Mapping) else None
    return dict(_grouped(groups, chosen, prefix="", depth=0))


def _grouped(
    groups: object, chosen: Mapping[str, object], *, prefix: str, depth: int
) -> Iterator[tuple[str, Declared]]:
    if not isinstance(groups, Mapping) or depth > DEPTH_LIMIT:
        return
    for group in ("required", "optional"):
        named = groups.get(group)
        if not isinstance(named, Mapping):
            continue
        for name, declared in named.items():
            if (read := _declared(declared, required=group == "required")) is None:
                continue
            whole = f"{prefix}{name}"
            yield whole, read
            if read.kind == DYNAMIC:
                picked = _picked(declared, chosen.get(whole))
                yield from _grouped(picked, chosen, prefix=f"{whole}.", depth=depth + 1)


def _declared(declared: object, *, required: bool) -> Declared | None:
    if not isinstance(declared, list) or not declared:
        return None
    kind = declared[0]
    options = declared[1] if len(declared) > 1 and isinstance(declared[1], Mapping) else {}
    uploads = any(options.get(flag) for flag in _CHOOSES_FILES)
    if isinstance(kind, list):
        return Declared(kind=COMBO, required=required, choices=tuple(kind), uploads=uploads)
    if not isinstance(kind, str):
        return None
    return Declared(
        kind=kind,
        required=required,
        choices=_choices(kind, options),
        minimum=_number(options.get("min")),
        maximum=_number(options.get("max")),
        uploads=uploads,
        growing=_growing(kind, options),
    )


def _choices(kind: str, options: Mapping[str, object]) -> tuple[object, ...] | None:
    given = options.get("options")
    if kind not in (COMBO, DYNAMIC) or not isinstance(given, list):
        return None
    if kind == COMBO:
        return tuple(given)
    return tuple(each.get("key") for each in given if isinstance(each, Mapping))


def _picked(declared: object, key: object) -> object:
    """Return the inputs that come with the chosen key of a dynamic choice."""
    options = declared[1].get("options") if isinstance(declared, list) else None
    for each in options if isinstance(options, list) else ():
        if isinstance(each, Mapping) and each.get("key") == key:
            return each.get("inputs")
    return None


def _growing(kind: str, options: Mapping[str, object]) -> str:
    template = options.get("template")
    prefix = template.get("prefix") if isinstance(template, Mapping) else None
    return prefix if kind == GROWING and isinstance(prefix, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)
