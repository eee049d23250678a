"""Hosts of two ages take one record, each in its own spelling."""

from __future__ import annotations

from typing import Any

from actors.provider_registry.shipped import shipped
from gpu_agent.dialect import spoken
from gpu_agent.fit import fit
from gpu_agent.providers.declarative import ClipInfo, DeclarativeProvider
from schemas.base import ProviderId
from tests.builders import execution_task
from tests.unit.gpu_agent.schema import object_info

NEW = object_info("recorded")
OLD_SAVER: dict[str, Any] = {
    "input": {
        "required": {
            "video": ["VIDEO", {}],
            "filename_prefix": ["STRING", {}],
            "format": [["auto", "mp4"], {}],
            "codec": [["auto", "h264"], {}],
        }
    },
    "output": [],
}
"""As 0.3.64 declares ``SaveVideo``: two plain choices."""
OLD = {**NEW, "SaveVideo": OLD_SAVER}
DREAM = next(one for one in shipped() if one.provider_id == ProviderId("fx-dream-v1"))
CLIP = ClipInfo(file="jobs/1/clip.mp4", width=160, height=90, frames=25, fps=25.0)


def compiled() -> dict[str, dict[str, object]]:
    """Return a graph in the spelling of the records."""
    task = execution_task(provider_id=DREAM.provider_id, prompt="", parameters={})
    return DeclarativeProvider(DREAM).compile(task, clip=CLIP, prefix="jobs/1/out")


def test_a_new_host_gets_the_graph_as_it_is() -> None:
    """The records are written for it."""
    assert spoken(compiled(), NEW) == compiled()


def test_an_old_host_gets_plain_names() -> None:
    """It refuses the dotted ones: ``Required input is missing: codec``."""
    graph = spoken(compiled(), OLD)

    assert graph["91"]["inputs"] == {
        "video": ["90", 0],
        "filename_prefix": "jobs/1/out",
        "format": "mp4",
        "codec": "h264",
    }
    assert {key: node for key, node in graph.items() if key != "91"} == {
        key: node for key, node in compiled().items() if key != "91"
    }


def test_the_template_is_left_alone() -> None:
    """It serves the next host too."""
    graph = compiled()
    spoken(graph, OLD)

    assert graph == compiled()


def test_what_a_host_does_not_declare_is_left_as_it_is() -> None:
    """An unknown class is for the fit to report, a growing list of links is dotted everywhere."""
    growing: dict[str, Any] = {"input": {"required": {"images": ["COMFY_AUTOGROW_V3", {}]}}}
    graph = {"1": {"class_type": "Join", "inputs": {"images.image0": ["2", 0]}}}

    assert spoken(graph, {}) == graph
    assert spoken(graph, {"Join": growing}) == graph


def test_both_hosts_can_run_the_record() -> None:
    """The fit reads the graph as each host will get it."""
    assert fit(DREAM, NEW).able
    assert fit(DREAM, OLD).able


def test_an_input_that_only_this_host_asks_for_is_named() -> None:
    """It would refuse every job of the provider."""
    newer = {"input": {"required": {**OLD_SAVER["input"]["required"], "quality": ["INT", {}]}}}

    assert fit(DREAM, {**NEW, "SaveVideo": newer}).missing == ("SaveVideo.quality",)
