"""Shipped graphs against what hosts declare: nobody here has the models, so this stands for a run.

Each record is checked as ComfyUI checks a prompt, and so are the bounds of its parameters: a rule
that lets through more than its node takes would sell a job that every host refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from msgspec.structs import replace

from actors.provider_registry.shipped import shipped
from gpu_agent.fit import fit
from schemas.base import ProviderId
from schemas.routing import ParameterRule, ProviderRecord
from tests.unit.gpu_agent.schema import misfits, object_info

RECORDED = object_info("recorded")
PUBLISHED = object_info("published")
SHIPPED = {record.provider_id: record for record in shipped()}
ON_A_PLAIN_HOST = {"comfy-svd-v1", "comfy-wan-vace-v1", "comfy-wan-fun-control-v1"}
"""Model records whose every class the recorded server had."""


def ids(record: ProviderRecord) -> str:
    """Return the name of a case."""
    return record.provider_id


@pytest.mark.parametrize("record", SHIPPED.values(), ids=ids)
def test_a_host_takes_every_shipped_graph(record: ProviderRecord) -> None:
    """Up to the model files: classes, links, types, bounds, choices and required inputs."""
    assert list(misfits(record, RECORDED | PUBLISHED)) == []


@pytest.mark.parametrize("name", sorted(ON_A_PLAIN_HOST))
def test_the_recorded_server_lacks_the_model_files_and_nothing_else(name: str) -> None:
    """What an operator has to fetch is all that is missing, and all of it is named at once."""
    record = SHIPPED[ProviderId(name)]
    lacks = fit(record, RECORDED)

    assert lacks.models == record.required_models
    assert lacks.classes == lacks.choices == ()


@pytest.mark.parametrize("name", ["comfy-animatediff-v1", "comfy-ltx2-canny-v1"])
def test_what_a_plain_host_lacks_is_named_by_class(name: str) -> None:
    """Custom nodes, and nodes newer than the host."""
    record = SHIPPED[ProviderId(name)]
    lacks = fit(record, RECORDED)

    assert set(lacks.classes) == set(record.node_dependencies) - RECORDED.keys()
    assert set(lacks.classes) <= PUBLISHED.keys()
    assert lacks.models == record.required_models


def test_custom_nodes_are_named_by_their_package() -> None:
    """The class names alone do not say where to get them."""
    assert SHIPPED[ProviderId("comfy-animatediff-v1")].required_custom_nodes == (
        "ComfyUI-AnimateDiff-Evolved",
        "ComfyUI-VideoHelperSuite",
    )


def _without_the_clip(graph: dict[str, Any]) -> None:
    del graph["4"]["inputs"]["image2"]


def _wrong_link(graph: dict[str, Any]) -> None:
    graph["4"]["inputs"]["image1"] = ["1", 0]


def _beyond(graph: dict[str, Any]) -> None:
    graph["3"]["inputs"]["blur_radius"] = 32


def _no_choice(graph: dict[str, Any]) -> None:
    graph["4"]["inputs"]["blend_mode"] = "burn"


def _no_codec(graph: dict[str, Any]) -> None:
    del graph["91"]["inputs"]["format.codec"]


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (_without_the_clip, "image2 is missing"),
        (_wrong_link, "image1 takes IMAGE, node 1 gives VIDEO"),
        (_beyond, "blur_radius: 32 is out of bounds"),
        (_no_choice, "'burn' is no choice"),
        (_no_codec, "format.codec is missing"),
    ],
)
def test_the_check_bites(spoil: Callable[[dict[str, Any]], None], why: str) -> None:
    """A check that finds nothing in a broken graph would find nothing in ours."""
    record = SHIPPED[ProviderId("fx-dream-v1")]
    graph = deepcopy(record.graph)
    spoil(graph)

    assert [each for each in misfits(replace(record, graph=graph), RECORDED) if why in each]


def test_the_check_bites_on_a_rule_that_allows_too_much() -> None:
    """``AdjustContrast`` takes 2 at most, whatever a record says."""
    record = SHIPPED[ProviderId("fx-warm-grade-v1")]
    wide = ParameterRule(node="5", input="factor", type="float", minimum=0.5, maximum=3.0)

    found = misfits(replace(record, parameter_rules={"contrast": wide}), RECORDED)

    assert list(found) == ["parameter contrast: AdjustContrast.factor takes less than 0.5 to 3.0"]
