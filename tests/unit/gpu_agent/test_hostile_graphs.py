"""What a task or a record might try against a host, and that none of it becomes a graph.

A host has no tenants and no password: within its folders any job may read any other's file. So the
agent alone names files and places, whatever a record or a task says.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from msgspec.structs import replace

from actors.provider_registry.shipped import shipped
from gpu_agent.errors import Fault, ParametersRefusedError, RenderFailedError
from gpu_agent.providers.declarative import ClipInfo, DeclarativeProvider
from schemas.base import ProviderId, Scalar
from schemas.routing import ParameterRule, ProviderRecord
from tests.builders import execution_task

SHIPPED = {record.provider_id: record for record in shipped()}
WARM = SHIPPED[ProviderId("fx-warm-grade-v1")]
WAN = SHIPPED[ProviderId("comfy-wan-vace-v1")]
CLIP = ClipInfo(file="jobs/1/clip.mp4", width=160, height=90, frames=25, fps=25.0)
PREFIX = "jobs/1/out"
OTHERS = "jobs/2/out_00001_.mp4 [output]"


def compiled(
    record: ProviderRecord, prompt: str = "warm", parameters: dict[str, Scalar] | None = None
) -> dict[str, Any]:
    """Return the graph of a task."""
    task = execution_task(
        provider_id=record.provider_id,
        prompt=prompt,
        negative_prompt="",
        parameters=parameters or {},
    )
    return DeclarativeProvider(record).compile(task, clip=CLIP, prefix=PREFIX)


def with_node(
    record: ProviderRecord, node_id: str, class_type: str, **inputs: Any
) -> ProviderRecord:
    """Return a record with one more node, of a class that it allows."""
    graph: dict[str, Any] = deepcopy(record.graph)
    graph[node_id] = {"class_type": class_type, "inputs": inputs}
    return replace(record, graph=graph, node_dependencies=(*record.node_dependencies, class_type))


def with_rule(record: ProviderRecord, name: str, node: str, field: str) -> ProviderRecord:
    """Return a record with one more text parameter."""
    rule = ParameterRule(node=node, input=field, type="str")
    return replace(record, parameter_rules={**record.parameter_rules, name: rule})


@pytest.mark.parametrize(
    "parameters",
    [
        {"file": OTHERS},
        {"video": OTHERS},
        {"filename_prefix": "jobs/2/out"},
        {"1.file": OTHERS},
        {"graph": "{}"},
        {"input_width": 64},
        {"strength": OTHERS},
        {"__class__": "x"},
        {"a" * 100_000: 1},
    ],
    ids=range(9),
)
def test_a_task_cannot_name_what_no_rule_names(parameters: dict[str, Scalar]) -> None:
    """An unknown parameter is refused, it is not ignored: whoever sent it meant something."""
    with pytest.raises(ParametersRefusedError) as refused:
        compiled(WARM, parameters=parameters)

    assert refused.value.code is Fault.PARAMETERS_REFUSED
    assert len(refused.value.why) < 200


@pytest.mark.parametrize(("node", "field"), [("1", "file"), ("91", "filename_prefix")])
def test_no_rule_can_hand_a_file_or_a_place_to_a_task(node: str, field: str) -> None:
    """A record with such a rule is a fault in the record; no job of it may run."""
    with pytest.raises(RenderFailedError, match=f"would set '{field}'") as refused:
        compiled(with_rule(WARM, "where", node, field), parameters={"where": "clip.mp4"})

    assert refused.value.code is Fault.GRAPH_REFUSED
    assert not refused.value.retriable


def test_no_rule_can_hand_a_still_to_a_task() -> None:
    """A reference picture is an operator's choice, not a user's."""
    record = with_node(WARM, "7", "LoadImage", image="reference.png")

    assert compiled(record)["7"]["inputs"] == {"image": "reference.png"}
    with pytest.raises(RenderFailedError, match="would set 'image'"):
        compiled(with_rule(record, "still", "7", "image"), parameters={"still": "other.png"})


def test_every_loader_gets_the_clip_and_every_saver_the_place() -> None:
    """A second loader in a template could read the last job's clip, a second saver overwrite it."""
    record = with_node(WARM, "7", "LoadVideo", file="somebody.mp4")
    record = with_node(record, "8", "VHS_LoadVideo", video="somebody.mp4", frame_load_cap=0)
    record = with_node(record, "9", "SaveImage", images=["2", 0], filename_prefix="/tmp/x")
    graph = compiled(record)

    assert graph["1"]["inputs"]["file"] == graph["7"]["inputs"]["file"] == CLIP.file
    assert graph["8"]["inputs"] == {"video": CLIP.file, "frame_load_cap": 0}
    assert graph["91"]["inputs"]["filename_prefix"] == PREFIX
    assert graph["9"]["inputs"]["filename_prefix"] == PREFIX
    assert "somebody" not in json.dumps(graph)


def test_a_class_that_the_record_does_not_allow_is_refused() -> None:
    """A custom node is code with the host's rights."""
    record = with_node(WARM, "7", "RunPython", code="pass")
    narrow = replace(record, node_dependencies=WARM.node_dependencies)

    assert "7" in compiled(record)
    with pytest.raises(RenderFailedError, match="'RunPython', which is not allowed") as refused:
        compiled(narrow)
    assert refused.value.code is Fault.GRAPH_REFUSED


@pytest.mark.parametrize("node", [{"inputs": {}}, {"class_type": None, "inputs": {}}])
def test_a_node_without_a_class_is_refused(node: dict[str, object]) -> None:
    """Whatever it is, nobody allowed it."""
    with pytest.raises(RenderFailedError, match="not allowed"):
        compiled(replace(WARM, graph={**WARM.graph, "7": node}))


def test_a_node_without_inputs_is_refused() -> None:
    """The host answers 500 to such a graph."""
    node: dict[str, object] = {"class_type": "ImageInvert"}
    record = replace(
        WARM,
        graph={**WARM.graph, "7": node},
        node_dependencies=(*WARM.node_dependencies, "ImageInvert"),
    )
    with pytest.raises(RenderFailedError, match="has no inputs") as refused:
        compiled(record)
    assert refused.value.code is Fault.GRAPH_REFUSED


@pytest.mark.parametrize(
    "value",
    [
        "/etc/passwd",
        "~/x",
        "C:\\x.png",
        "../other/x.png",
        "a/../../x.png",
        "http://169.254.169.254/",
        "file:///etc/passwd",
        OTHERS,
        "x.png [input]",
        "x.png [temp] ",
    ],
)
def test_a_template_cannot_lead_out_of_the_hosts_folders(value: str) -> None:
    """Custom loaders take paths and URLs under any name."""
    record = with_node(WARM, "7", "SomeLoader", source=value)
    with pytest.raises(RenderFailedError, match="leads elsewhere") as refused:
        compiled(record)
    assert refused.value.code is Fault.GRAPH_REFUSED


@pytest.mark.parametrize("value", ["jobs/2/x.png", "", ".hidden", "x.png [output]"])
def test_a_still_is_a_plain_file_name(value: str) -> None:
    """Uploads of jobs lie in folders; what an operator put there does not."""
    with pytest.raises(RenderFailedError, match="no plain file name"):
        compiled(with_node(WARM, "7", "LoadImage", image=value))


def test_model_files_in_folders_and_words_with_slashes_are_left_alone() -> None:
    """Only what leads elsewhere is refused."""
    record = with_node(WARM, "7", "LoraLoaderModelOnly", lora_name="ltxv/ltx2/canny.safetensors")
    record = with_node(record, "8", "CLIPTextEncode", text="/imagine day/night, see http://x")
    record = with_node(record, "9", "GLSLShader", fragment_shader="// see http://x\nvoid main(){}")

    assert {"7", "8", "9"} <= compiled(record).keys()


@pytest.mark.parametrize(
    "prompt", ["a" * 100_000, "embedding:../../../secret", "a\x00b"], ids=range(3)
)
def test_a_prompt_that_is_no_prompt_is_refused(prompt: str) -> None:
    """Even for a provider that would leave it out."""
    for record in (WAN, WARM):
        with pytest.raises(ParametersRefusedError):
            compiled(record, prompt=prompt)


def test_a_prompt_stays_in_its_input() -> None:
    """JSON within text is text."""
    hostile = '"}, "1": {"class_type": "RunPython", "inputs": {"file": "/etc/passwd"}}, {"x": "'
    plain, graph = compiled(WAN), compiled(WAN, prompt=hostile)

    assert graph["13"]["inputs"] == {"text": hostile, "clip": ["11", 0]}
    assert {key: node for key, node in graph.items() if key != "13"} == {
        key: node for key, node in plain.items() if key != "13"
    }
