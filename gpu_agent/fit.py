"""Which providers a host can run: its classes, files and choices against each record.

Pure. Whatever is missing is found in one pass, so that an operator fetches it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from gpu_agent.dialect import spoken
from schemas.base import ProviderId
from schemas.routing import ProviderRecord
from workflows import graphs, object_info
from workflows.graphs import LOADERS, Graph, class_of, inputs_of
from workflows.object_info import COMBO, Declared, ObjectInfo

Known = Mapping[str, Mapping[str, Declared]]
"""A host's classes, and the inputs of each."""


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


def capable(records: Iterable[ProviderRecord], info: ObjectInfo) -> list[ProviderId]:
    """Return the ids of the providers this host can run, sorted."""
    return sorted(
        record.provider_id
        for record in records
        if record.status != "disabled" and fit(record, info).able
    )


def lacking(record: ProviderRecord, info: ObjectInfo) -> tuple[str, ...]:
    """Return what the host lacks for a provider, one word each."""
    return fit(record, info).missing


def fit(record: ProviderRecord, info: ObjectInfo) -> Fit:
    """Return what a host lacks for a provider.

    A record is runnable when the host knows every node class of its graph, offers every model file
    at an input that names it, offers what the graph chooses where there is a choice, and asks for
    no input that the graph does not give.
    """
    graph = spoken(record.graph, info)
    used = {str(node.get("class_type")) for node in graph.values()}
    known = {name: object_info.inputs(info, name, {}) for name in used}
    chosen = list(_chosen(graph))
    models = tuple(
        model
        for model in record.required_models
        if not any(
            model in (_choices(known, *place) or ()) for place, value in chosen if value == model
        )
    )
    # a loader's choices are the files that lie there now; the agent brings the clip later
    others = {
        f"{class_type}.{name}={value}"
        for (class_type, name), value in chosen
        if value not in record.required_models
        and class_type not in LOADERS
        and (offered := _choices(known, class_type, name)) is not None
        and value not in offered
    }
    return Fit(
        classes=tuple(sorted(used - info.keys())),
        models=models,
        choices=tuple(sorted(others)),
        inputs=tuple(sorted(set(_not_given(graph, known)))),
    )


def _not_given(graph: Graph, known: Known) -> Iterator[str]:
    for node_id in graph:
        class_type, given = class_of(graph, node_id), set(inputs_of(graph, node_id))
        # a growing list of links is given as ``images.image0`` and so on
        given |= {name.partition(".")[0] for name in given}
        for name, declared in known.get(class_type, {}).items():
            if declared.required and name not in given:
                yield f"{class_type}.{name}"


def _chosen(graph: Graph) -> Iterator[tuple[tuple[str, str], str]]:
    for each in graphs.literals(graph):
        if isinstance(each.value, str):
            yield (each.class_type, each.name), each.value


def _choices(known: Known, class_type: str, name: str) -> tuple[object, ...] | None:
    """Return the choices of one input, ``None``: no choice.

    A dynamic choice is left alone: which inputs come with it is the host's business.
    """
    declared = known.get(class_type, {}).get(name)
    return declared.choices if declared is not None and declared.kind == COMBO else None
