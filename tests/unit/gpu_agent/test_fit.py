"""Which providers a host can run, from what it says it has."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from actors.provider_registry.shipped import shipped
from gpu_agent.fit import Fit, capable, fit, lacking
from schemas.base import ProviderId

SHIPPED = {record.provider_id: record for record in shipped()}
SVD = replace(SHIPPED[ProviderId("comfy-svd-v1")], status="active")


def host_with(*models: str, spelling: str = "old") -> dict[str, Any]:
    """Return the object info of a host that knows every class SVD needs, and these models."""
    info: dict[str, Any] = {str(node["class_type"]): {} for node in SVD.graph.values()}
    choices: list[Any] = [list(models)]
    if spelling == "new":
        choices = ["COMBO", {"options": list(models)}]
    info["ImageOnlyCheckpointLoader"] = {"input": {"required": {"ckpt_name": choices}}}
    return info


@pytest.mark.parametrize("spelling", ["old", "new"])
def test_a_host_with_classes_and_models_can_run_a_provider(spelling: str) -> None:
    """ComfyUI spells choices in two ways."""
    assert lacking(SVD, host_with("svd.safetensors", spelling=spelling)) == ()
    assert capable([SVD], host_with("svd.safetensors", spelling=spelling)) == ["comfy-svd-v1"]


@pytest.mark.parametrize("spelling", ["old", "new"])
def test_a_missing_model_file_is_named(spelling: str) -> None:
    """It is what an operator has to fetch."""
    assert lacking(SVD, host_with("sd15.safetensors", spelling=spelling)) == ("svd.safetensors",)


def test_a_missing_node_class_is_named() -> None:
    """The host is too old, or a custom node is not installed."""
    info = host_with("svd.safetensors")
    del info["VideoLinearCFGGuidance"]

    assert lacking(SVD, info) == ("VideoLinearCFGGuidance",)
    assert capable([SVD], info) == []


@pytest.mark.parametrize("spelling", ["old", "new"])
def test_a_choice_the_host_does_not_have_is_named(spelling: str) -> None:
    """An older host lacks a sampler; it would refuse every job of the provider."""
    info = host_with("svd.safetensors", spelling=spelling)
    samplers: list[Any] = [["heun"]] if spelling == "old" else ["COMBO", {"options": ["heun"]}]
    info["KSampler"] = {"input": {"required": {"sampler_name": samplers}}}

    assert fit(SVD, info) == Fit(choices=("KSampler.sampler_name=euler",))
    assert capable([SVD], info) == []


def test_the_clip_need_not_lie_on_the_host_yet() -> None:
    """The agent brings it; the template's own name for it is nobody's file."""
    info = host_with("svd.safetensors")
    info["LoadVideo"] = {"input": {"required": {"file": ["COMBO", {"options": []}]}}}

    assert fit(SVD, info).able


def test_a_still_must_lie_on_the_host() -> None:
    """The agent brings no reference pictures; an operator does."""
    still: dict[str, object] = {"class_type": "LoadImage", "inputs": {"image": "reference.png"}}
    record = replace(SVD, graph={**SVD.graph, "5": still})
    info = host_with("svd.safetensors")
    info["LoadImage"] = {"input": {"required": {"image": [["other.png"]]}}}

    assert fit(record, info).missing == ("LoadImage.image=reference.png",)
    info["LoadImage"]["input"]["required"]["image"][0].append("reference.png")
    assert fit(record, info).able


def test_a_disabled_provider_is_run_by_nobody() -> None:
    """Its host must not pull work for it."""
    info = host_with("svd.safetensors")

    assert capable([replace(SVD, status="disabled")], info) == []
    assert capable([replace(SVD, status="shadow")], info) == ["comfy-svd-v1"]


def test_strange_object_info_offers_nothing() -> None:
    """A custom node may declare its inputs in ways of its own."""
    for declared in ({}, {"input": None}, {"input": {"required": {"ckpt_name": ["COMBO"]}}}):
        info = host_with() | {"ImageOnlyCheckpointLoader": declared}
        assert lacking(SVD, info) == ("svd.safetensors",)
