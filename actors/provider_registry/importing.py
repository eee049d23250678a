"""From a graph that somebody exported to a record that could be stored. Pure.

A proposal is a draft to read and to edit. What cannot become a provider is refused, with every
reason at once: a graph of the user interface, no clip in or no video out, several outputs, nodes
that call paid services, ways out of the host's folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, cast

import msgspec
from msgspec import Struct

from actors.provider_registry import core, fitting, guessing, safety
from actors.provider_registry.parameters import parameters_of
from actors.provider_registry.wiring import Wiring, wire
from schemas.base import ProviderId, WorkflowId
from schemas.routing import NodeMap, ProviderRecord
from workflows import graphs, object_info
from workflows.graphs import LOADERS, SAVERS, STILLS, Graph, class_of
from workflows.object_info import ObjectInfo
from workflows.values import shown

DECLARATIVE: Final = "declarative"
ID_LIMIT: Final = 80

_OUTPUTS: Final = frozenset(
    {
        *SAVERS,
        *("SaveImage", "PreviewImage", "PreviewAny", "PreviewAudio", "PreviewVideo", "SaveAudio"),
        *("SaveAnimatedWEBP", "SaveAnimatedPNG", "SaveImageWebsocket", "VHS_VideoCombine"),
        *("SaveAudioMP3", "SaveAudioOpus", "SaveLatent", "SaveGLB", "MaskPreview"),
    }
)
"""Output nodes that are known without asking a host."""
_PAID: Final = re.compile(
    r"(Kling|Luma[A-Z]|Runway|OpenAI|Minimax|MiniMax|Pika|Veo|Stability[A-Z]|StabilityStable"
    r"|Ideogram|FluxPro|FluxKontextPro|Flux2Pro|Recraft|Vidu|Moonvalley|ByteDance|Gemini|Tripo"
    r"|Rodin|Sora|Bria|Topaz|Magnific|HitPaw|Hitpaw|ElevenLabs|Pixverse|PixVerse|Grok|Meshy)\w*"
    r"|\w+Api(Node)?"
)
"""Classes that call paid services, for when no host says so."""
_NOT_IN_IDS: Final = re.compile(r"[^a-z0-9]+")
_VERSION: Final = re.compile(r"-v[0-9]+$")
_NODE_CLASS: Final = re.compile(r"[^\x00-\x1f]{1,128}")


class Proposal(Struct, frozen=True, kw_only=True):
    """Either a record and what to know about it, or every reason why there is none."""

    record: ProviderRecord | None = None
    notes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()


def propose(
    graph: object, *, provider_id: str = "", title: str = "", info: ObjectInfo | None = None
) -> Proposal:
    """Return the record that a graph would make; bounds and choices are read from ``info``."""
    info = info or {}
    if why := _other_shape(graph):
        return Proposal(refusals=(why,))
    unwrapped = _unwrapped(cast("Mapping[str, object]", graph))
    read = cast("Graph", unwrapped)
    refusals = [*_misshapen(unwrapped)]
    if not refusals:
        refusals = [*_unsafe(read), *_ends(read, info), *_paid(read, info)]
    if refusals:
        return Proposal(refusals=tuple(refusals))
    record, notes = _proposed(read, info, provider_id=provider_id, title=title)
    verdict = fitting.examine(read, info, models=set(record.required_models)) if info else None
    found = [*core.faults(record)]
    if verdict is not None:
        found += [f"the host has no class {name}" for name in verdict.missing_classes]
        found += verdict.faults
        notes += [f"the host lacks the file {name}" for name in verdict.missing_models]
        notes += verdict.notes
    else:
        notes.append("no host was asked: bounds are guesses, and choices are left out")
    if found:
        return Proposal(refusals=tuple(dict.fromkeys(found)), notes=tuple(notes))
    return Proposal(record=record, notes=tuple(notes))


def slug_of(title: str) -> str:
    """Return what a provider of this title may be called.

    >>> slug_of("My Look.json"), slug_of("fx-soft-light-v2"), slug_of("../äöü")
    ('my-look-v1', 'fx-soft-light-v2', 'custom-v1')
    """
    plain = _NOT_IN_IDS.sub("-", title.lower().removesuffix(".json")).strip("-")[:ID_LIMIT]
    plain = plain.strip("-") or "custom"
    return plain if _VERSION.search(plain) else f"{plain}-v1"


def _other_shape(graph: object) -> str:
    if not isinstance(graph, dict):
        return "it is no graph: a JSON object of nodes is needed"
    if isinstance(graph.get("nodes"), list) and "links" in graph:
        return (
            "it is in the user interface's format, which hosts do not take: "
            "choose Workflow, Export (API) in ComfyUI"
        )
    if not graph:
        return "it is empty"
    return ""


def _unwrapped(graph: Mapping[str, object]) -> Mapping[str, object]:
    """Return the graph within the body of a ``POST /prompt``, else what was given."""
    inner = graph.get("prompt")
    if isinstance(inner, dict) and "class_type" not in inner:
        return inner
    return graph


def _misshapen(graph: Mapping[str, object]) -> Iterator[str]:
    for node_id, node in graph.items():
        if not isinstance(node, dict):
            yield f"node {shown(node_id)} is no object"
        elif not isinstance(node.get("class_type"), str) or not node["class_type"]:
            yield f"node {shown(node_id)} has no class_type"
        elif not _NODE_CLASS.fullmatch(node["class_type"]):
            yield f"node {shown(node_id)} has no readable class_type"
        elif not isinstance(node.get("inputs"), dict):
            yield f"node {shown(node_id)} has no inputs"


def _unsafe(graph: Graph) -> Iterator[str]:
    yield from safety.unsafe(graph)
    if len(msgspec.json.encode(graph)) > safety.GRAPH_BYTES:
        yield f"graph has more than {safety.GRAPH_BYTES} bytes"
    for node_id in graph:
        for name, (source, _) in graphs.links(graph, node_id):
            if source not in graph:
                yield f"node {node_id} links {name} to the absent node {shown(source)}"


def _ends(graph: Graph, info: ObjectInfo) -> Iterator[str]:
    """Refuse what has not one clip in and one video out."""
    ends = [
        node_id
        for node_id in graph
        if class_of(graph, node_id) in _OUTPUTS
        or object_info.is_output(info, class_of(graph, node_id))
    ]
    videos = [node_id for node_id in ends if class_of(graph, node_id) in SAVERS]
    if not videos:
        others = [f"{each} ({class_of(graph, each)})" for each in ends]
        what = f", and {', '.join(others)} cannot take its place" if others else ""
        yield f"no video output: a {' or '.join(SAVERS)} is needed{what}"
        return
    if len(ends) > 1:
        named = ", ".join(f"{each} ({class_of(graph, each)})" for each in ends)
        yield f"several outputs: {named}; keep the one that is the result"
        return
    before = graphs.ancestors(graph, videos[0])
    clips = [each for each in graphs.of_classes(graph, LOADERS) if each in before]
    if not clips:
        yield (
            f"no video input: output {videos[0]} does not depend on a"
            f" {' or '.join(LOADERS)}, and a job brings a clip"
        )
    if len(clips) > 1:
        yield f"several video inputs: {', '.join(clips)}; a job brings one clip"


def _paid(graph: Graph, info: ObjectInfo) -> Iterator[str]:
    for node_id in graph:
        kind = class_of(graph, node_id)
        known = object_info.knows(info, kind)
        if object_info.is_paid(info, kind) or (not known and _PAID.fullmatch(kind)):
            yield f"node {node_id} ({kind}) calls a paid service"


def _proposed(
    graph: Graph, info: ObjectInfo, *, provider_id: str, title: str
) -> tuple[ProviderRecord, list[str]]:
    [output] = graphs.of_classes(graph, SAVERS)
    before = graphs.ancestors(graph, output)
    [clip] = [each for each in graphs.of_classes(graph, LOADERS) if each in before]
    found = wire(graph, output)
    offered = parameters_of(graph, info, found, output=output)
    name = provider_id or slug_of(title)
    effect, look, told = guessing.effect_of(graph, title or provider_id)
    models = _models(graph, info)
    notes = [*found.notes, *offered.notes, *_remarks(graph, before, found, models)]
    if not told:
        notes.append(f"nothing tells which effect it is: {effect} is a guess")
    steps = offered.defaults.get("steps", 1)
    record = ProviderRecord(
        provider_id=ProviderId(name),
        display_name=title or name,
        adapter_class=DECLARATIVE,
        config_path="",
        workflow_json_path="",
        capabilities=(effect,),
        supported_effect_types=(core.token_of(look),),
        node_dependencies=tuple(sorted(graphs.classes(graph))),
        cost_model=guessing.cost_of(
            graph,
            sampled=bool(found.sampler),
            steps=steps if isinstance(steps, int) else 20,
            models=sum(graphs.is_model_file(each) for each in models),
        ),
        workflow_id=WorkflowId("wf_" + name.replace("-", "_")),
        status=core.DRAFT,
        node_mapping=NodeMap(
            video_input_node=clip,
            output_node=output,
            prompt_node=found.prompt,
            negative_prompt_node=found.negative,
            sampler_node=found.sampler,
            checkpoint_loader=found.loader,
        ),
        parameter_rules=offered.rules,
        default_parameters=offered.defaults,
        required_models=models,
        graph={node_id: dict(node) for node_id, node in graph.items()},
    )
    return record, notes


def _models(graph: Graph, info: ObjectInfo) -> tuple[str, ...]:
    """Return the files a host must have: models, and stills that are read from its folder."""
    found: dict[str, None] = {}
    for each in graphs.literals(graph):
        still = STILLS.get(each.class_type) == each.name
        if isinstance(each.value, str) and (still or graphs.is_model_file(each.value)):
            found[each.value] = None
            continue
        declared = object_info.inputs(info, each.class_type, graphs.inputs_of(graph, each.node))
        choices = declared[each.name].choices if each.name in declared else None
        if isinstance(each.value, str) and any(graphs.is_model_file(one) for one in choices or ()):
            found[each.value] = None
    return tuple(found)


def _remarks(
    graph: Graph, before: set[str], wiring: Wiring, models: tuple[str, ...]
) -> Iterator[str]:
    stray = [node_id for node_id in graph if node_id not in before]
    if stray:
        yield f"nodes {', '.join(stray)} lead to no output and are never run"
    for each in models:
        if not graphs.is_model_file(each):
            yield f"the host must have {each} in its input folder"
    if wiring.sampler and not wiring.prompt:
        yield "no prompt node was found: the words of a job have no effect"
    for node_id in before:
        length = graphs.inputs_of(graph, node_id).get("length")
        if isinstance(length, int) and length > 1:
            yield f"node {node_id} takes {length} frames, whatever the clip's length"
