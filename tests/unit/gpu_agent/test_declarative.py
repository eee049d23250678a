"""A record and a task give one graph, always the same, and never one out of bounds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.provider_registry.shipped import shipped
from gpu_agent.errors import ParametersRefusedError
from gpu_agent.providers.declarative import ClipInfo, DeclarativeProvider, Graph
from schemas.base import ProviderId, Scalar
from schemas.routing import ProviderRecord
from schemas.tasks import ExecutionTask
from tests.builders import execution_task

SHIPPED = {record.provider_id: record for record in shipped()}
GOLDEN = Path(__file__).with_name("golden")
CLIP = ClipInfo(file="jobs/clip.mp4", width=720, height=404, frames=83, fps=25.0)
PREFIX = "jobs/11111111-1111-1111-1111-111111111111/out"


def task_for(record: ProviderRecord, **parameters: Scalar) -> ExecutionTask:
    """Return a task as the orchestrator sends it to any provider."""
    return execution_task(
        provider_id=record.provider_id,
        prompt="a warm evening",
        negative_prompt="blurry",
        parameters={"strength": 0.42, "seed": 1234, "steps": 12, "cfg_scale": 6.5} | parameters,
    )


def compiled(name: str, **parameters: Scalar) -> Graph:
    """Return the graph of a shipped provider."""
    record = SHIPPED[ProviderId(name)]
    return DeclarativeProvider(record).compile(
        task_for(record, **parameters), clip=CLIP, prefix=PREFIX
    )


def inputs(graph: Graph, node: str) -> dict[str, object]:
    """Return the inputs of a node."""
    found = graph[node]["inputs"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("record", SHIPPED.values(), ids=lambda record: record.provider_id)
def test_every_shipped_provider_compiles_to_its_golden_graph(record: ProviderRecord) -> None:
    """A change of what is sent to hosts must be seen in a review."""
    graph = DeclarativeProvider(record).compile(task_for(record), clip=CLIP, prefix=PREFIX)

    golden = json.loads(Path(GOLDEN, f"{record.provider_id}.json").read_text())
    assert graph == golden


@pytest.mark.parametrize("record", SHIPPED.values(), ids=lambda record: record.provider_id)
def test_compiling_twice_gives_the_same_graph(record: ProviderRecord) -> None:
    """A retry must cost what the first try cost, and the template must stay as it is."""
    provider, before = DeclarativeProvider(record), json.dumps(record.graph)
    first = provider.compile(task_for(record), clip=CLIP, prefix=PREFIX)

    assert provider.compile(task_for(record), clip=CLIP, prefix=PREFIX) == first
    assert json.dumps(record.graph) == before


@pytest.mark.parametrize(
    "record",
    [record for record in SHIPPED.values() if record.status == "active"],
    ids=lambda record: record.provider_id,
)
def test_strength_reaches_the_graph(record: ProviderRecord) -> None:
    """Variants that differ in nothing would be paid for twice."""
    provider = DeclarativeProvider(record)
    weak, strong = (
        provider.compile(task_for(record, strength=value), clip=CLIP, prefix=PREFIX)
        for value in (0.2, 0.9)
    )

    assert weak != strong


def test_the_task_wins_over_the_defaults_and_the_clip_fills_the_rest() -> None:
    """Three sources, one order."""
    graph = compiled("fx-film-warm-v1", grain=0.1)

    assert inputs(graph, "4")["blend_factor"] == 0.42
    assert inputs(graph, "5") == {"image": ["4", 0], "seed": 1234, "strength": 0.1}
    assert (inputs(graph, "3")["width"], inputs(graph, "3")["height"]) == (720, 404)
    assert inputs(graph, "1")["file"] == "jobs/clip.mp4"
    assert inputs(graph, "91")["filename_prefix"] == PREFIX


def test_a_parameter_that_is_null_means_the_default() -> None:
    """Prompts leave out what they do not care about by null."""
    assert inputs(compiled("fx-warm-grade-v1", strength=None), "4")["blend_factor"] == 0.6


def test_words_go_where_the_node_map_says() -> None:
    """A provider without a prompt node has no use for them."""
    graph = compiled("comfy-wan-vace-v1")

    assert inputs(graph, "13")["text"] == "a warm evening"
    assert inputs(graph, "14")["text"] == "blurry"
    assert "warm evening" not in json.dumps(compiled("fx-warm-grade-v1"))


def test_a_template_keeps_its_own_negative_prompt_when_the_task_has_none() -> None:
    """An empty text is no wish."""
    record = SHIPPED[ProviderId("comfy-wan-vace-v1")]
    task = replace(task_for(record), negative_prompt="")
    graph = DeclarativeProvider(record).compile(task, clip=CLIP, prefix=PREFIX)

    assert "watermark" in str(inputs(graph, "14")["text"])


def test_another_loader_takes_the_clip_by_its_own_name() -> None:
    """Only ComfyUI's own LoadVideo calls it ``file``."""
    record = SHIPPED[ProviderId("fx-warm-grade-v1")]
    loader: dict[str, object] = {"class_type": "VHS_LoadVideo", "inputs": {"video": ""}}
    other = replace(
        record,
        graph={**record.graph, "1": loader},
        node_dependencies=(*record.node_dependencies, "VHS_LoadVideo"),
    )
    graph = DeclarativeProvider(other).compile(task_for(other), clip=CLIP, prefix=PREFIX)

    assert inputs(graph, "1") == {"video": "jobs/clip.mp4"}


@pytest.mark.parametrize(
    ("provider", "parameters"),
    [
        ("fx-warm-grade-v1", {"strength": 1.01}),
        ("fx-warm-grade-v1", {"strength": -0.01}),
        ("fx-warm-grade-v1", {"strength": "0.5"}),
        ("fx-warm-grade-v1", {"strength": True}),
        ("fx-warm-grade-v1", {"strength": float("nan")}),
        ("fx-warm-grade-v1", {"bloom": 0.5}),
        ("fx-warm-grade-v1", {"input_width": 4000}),
        ("fx-warm-grade-v1", {"input_frames": 1}),
        ("fx-film-warm-v1", {"seed": 1.5}),
        ("fx-film-warm-v1", {"seed": 2**32}),
        ("fx-painterly-v1", {"operation": "gradient"}),
        ("fx-painterly-v1", {"operation": 3}),
    ],
)
def test_what_a_provider_does_not_take_is_refused(
    provider: str, parameters: dict[str, Scalar]
) -> None:
    """A host would coerce it, ignore it, or use up its memory."""
    with pytest.raises(ParametersRefusedError) as refused:
        compiled(provider, **parameters)

    assert not refused.value.retriable
    assert next(iter(parameters)) in refused.value.why


@pytest.mark.parametrize("record", SHIPPED.values(), ids=lambda record: record.provider_id)
def test_a_compiled_graph_reads_the_clip_and_writes_to_its_own_place(
    record: ProviderRecord,
) -> None:
    """Nothing of the template's own names is left."""
    graph = DeclarativeProvider(record).compile(task_for(record), clip=CLIP, prefix=PREFIX)
    told = json.dumps(graph)

    assert told.count(CLIP.file) == told.count(PREFIX) == 1
    assert '"clip.mp4"' not in told
    assert "jobs/template" not in told


def test_a_strength_means_something_else_to_each_node() -> None:
    """One scale from 0 to 1 for users, whatever a node calls strong."""
    assert inputs(compiled("fx-film-grain-v1", strength=1.0), "3")["strength"] == 0.1
    assert inputs(compiled("fx-crisp-v1", strength=0.5), "3")["alpha"] == 0.06
    assert inputs(compiled("fx-posterize-v1", strength=0.0), "3")["colors"] == 24
    assert inputs(compiled("fx-posterize-v1", strength=1.0), "3")["colors"] == 4
    assert isinstance(inputs(compiled("fx-posterize-v1", strength=0.33), "3")["colors"], int)


def test_a_caption_is_the_prompt_itself() -> None:
    """Braces, dollars and quotes are letters here, as are those of other scripts."""
    record = SHIPPED[ProviderId("fx-caption-v1")]
    text = "{{ 7 * 7 }} ${HOME} {a|b} %date% <lora:x> 東京 🎬 \u202e"
    task = replace(task_for(record), prompt=text)
    graph = DeclarativeProvider(record).compile(task, clip=CLIP, prefix=PREFIX)

    assert inputs(graph, "3")["text"] == text


def test_health_names_everything_a_host_lacks_at_once() -> None:
    """An operator fetches it in one go."""
    record = SHIPPED[ProviderId("comfy-animatediff-v1")]
    lacks = DeclarativeProvider(record).health({"KSampler": {}})

    assert not lacks.able
    assert set(lacks.classes) == set(record.node_dependencies) - {"KSampler"}
    assert lacks.models == record.required_models


def test_a_provider_supports_its_effect_types_and_its_looks() -> None:
    """Answered from data."""
    provider = DeclarativeProvider(SHIPPED[ProviderId("fx-warm-grade-v1")])

    assert provider.supports("color_correction")
    assert provider.supports("cinematic_warm")
    assert not provider.supports("style_transfer")
