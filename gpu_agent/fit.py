"""Which providers a host can run: its classes, files and choices against each record.

Pure. Whatever is missing is found in one pass, so that an operator fetches it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from gpu_agent.dialect import Graph, ObjectInfo, declared, group, spoken
from schemas.base import ProviderId
from schemas.routing import ProviderRecord

_CLIP_LOADERS: Final = frozenset({"LoadVideo", "VHS_LoadVideo"})
"""Their choices are the files that lie on the host now; the agent brings the clip later."""


class Fit(Struct, frozen=True, kw_only=True):
    """What a host lacks for a provider."""

    classes: tuple[str, ...] = ()
    """Node classes: the host is too old, or a custom node is not installed."""
    models: tuple[str, ...] = ()
    """Model files."""
    choices: tuple[str, ...] = ()
    """Other values that the host does not offer, as ``Class.input=value``."""
    inputs: tuple[str, ...] = ()
    """Inputs that the host asks for and the graph does not give, as ``Class.input``."""

    @property
    def able(self) -> bool:
        """Whether the host can run it."""
        return not self.missing

    @property
    def missing(self) -> tuple[str, ...]:
        """Everything, one word each."""
        return (*self.classes, *self.models, *self.choices, *self.inputs)


def capable(records: Iterable[ProviderRecord], object_info: ObjectInfo) -> list[ProviderId]:
    """Return the ids of the providers this host can run, sorted."""
    return sorted(
        record.provider_id
        for record in records
        if record.status != "disabled" and fit(record, object_info).able
    )


def lacking(record: ProviderRecord, object_info: ObjectInfo) -> tuple[str, ...]:
    """Return what the host lacks for a provider, one word each."""
    return fit(record, object_info).missing


def fit(record: ProviderRecord, object_info: ObjectInfo) -> Fit:
    """Return what a host lacks for a provider.

    A record is runnable when the host knows every node class of its graph, offers every model file
    at an input that names it, offers what the graph chooses where there is a choice, and asks for
    no input that the graph does not give.
    """
    graph = spoken(record.graph, object_info)
    classes = {str(node.get("class_type")) for node in graph.values()}
    chosen = list(_chosen(graph))
    models = tuple(
        model
        for model in record.required_models
        if not any(
            model in (_choices(object_info, *place) or ())
            for place, value in chosen
            if value == model
        )
    )
    others = {
        f"{class_type}.{name}={value}"
        for (class_type, name), value in chosen
        if value not in record.required_models
        and class_type not in _CLIP_LOADERS
        and (offered := _choices(object_info, class_type, name)) is not None
        and value not in offered
    }
    return Fit(
        classes=tuple(sorted(classes - object_info.keys())),
        models=models,
        choices=tuple(sorted(others)),
        inputs=tuple(sorted(set(_not_given(graph, object_info)))),
    )


def _not_given(graph: Graph, object_info: ObjectInfo) -> Iterator[str]:
    for node in graph.values():
        class_type, inputs = str(node.get("class_type")), node.get("inputs")
        given = set(inputs) if isinstance(inputs, dict) else set()
        # a growing list of links is given as ``images.image0`` and so on
        given |= {name.partition(".")[0] for name in given}
        for name in group(object_info, class_type, "required"):
            if name not in given:
                yield f"{class_type}.{name}"


def _chosen(graph: Graph) -> Iterator[tuple[tuple[str, str], str]]:
    for node in graph.values():
        inputs = node.get("inputs")
        if isinstance(inputs, dict):
            for name, value in inputs.items():
                if isinstance(value, str):
                    yield (str(node.get("class_type")), name), value


def _choices(object_info: ObjectInfo, class_type: str, name: str) -> tuple[object, ...] | None:
    """Return the choices of one input, in either of ComfyUI's two spellings; ``None``: no choice.

    A dynamic choice is left alone: its options are declared in a way of their own.
    """
    declaration = declared(object_info, class_type).get(name)
    if not isinstance(declaration, list) or not declaration:
        return None
    if isinstance(declaration[0], list):
        return tuple(declaration[0])
    options = declaration[1].get("options") if _is_combo(declaration) else None
    return tuple(options) if isinstance(options, list) else None


def _is_combo(declaration: list[object]) -> bool:
    return declaration[0] == "COMBO" and len(declaration) > 1 and isinstance(declaration[1], dict)
