"""A graph against what a real host says of its classes: everything wrong, at once."""

from __future__ import annotations

from typing import Any

import pytest

from actors.provider_registry.fitting import Verdict, compare, examine
from actors.provider_registry.importing import propose
from actors.provider_registry.shipped import shipped
from gpu_agent.fit import lacking
from schemas.base import ProviderId
from tests.contract.provider_registry.graphs import NAMES, object_info, recorded

SHIPPED = {record.provider_id: record for record in shipped()}


def verdict(graph: dict[str, Any], **choices: list[str]) -> Verdict:
    """Return what stands between a graph and a host with these files."""
    return examine(graph, object_info(**choices), models=set())


def with_input(name: str, node: str, **inputs: object) -> dict[str, Any]:
    """Return a recorded graph with other inputs at one node; ``_`` stands for a dot."""
    graph = recorded(name)
    graph[node]["inputs"] |= {key.replace("__", "."): value for key, value in inputs.items()}
    return graph


@pytest.mark.parametrize("name", [each for each in NAMES if each.startswith("fx-")])
def test_what_ran_on_a_real_host_is_able_to(name: str) -> None:
    """A check that refuses what works would be switched off by the first who meets it."""
    found = verdict(recorded(name), LoadImage__image=["reference.png"])

    assert found == Verdict()


@pytest.mark.parametrize("name", [each for each in NAMES if each.startswith("model-")])
def test_a_model_graph_lacks_its_files_and_nothing_else(name: str) -> None:
    """The real host refused just these."""
    found = verdict(recorded(name), LoadImage__image=["reference.png"])

    assert found.missing_models
    assert found == Verdict(missing_models=found.missing_models)


def test_every_missing_class_and_file_is_named_at_once() -> None:
    """An operator should not have to fetch 5 GB to learn of the next 10."""
    record = SHIPPED[ProviderId("comfy-wan-vace-v1")]
    info = object_info()
    del info["WanVaceToVideo"]
    del info["TrimVideoLatent"]
    found = compare(record, info)

    assert found.missing_classes == ("TrimVideoLatent", "WanVaceToVideo")
    assert found.missing_models == tuple(sorted(record.required_models))
    assert not found.able


def test_a_host_with_everything_can_run_it() -> None:
    """Once the files are there, and the choices list them."""
    found = compare(
        SHIPPED[ProviderId("comfy-svd-v1")],
        object_info(ImageOnlyCheckpointLoader__ckpt_name=["svd.safetensors"]),
    )

    assert found.able


@pytest.mark.parametrize("record", shipped(), ids=lambda each: each.provider_id)
def test_the_agent_agrees_about_what_is_missing(record: Any) -> None:
    """Two opinions would let a provider be enabled that no agent ever serves."""
    info = object_info()
    for kind, name in (("ImageOnlyCheckpointLoader", "ckpt_name"), ("UNETLoader", "unet_name")):
        info[kind]["input"]["required"][name][0] = list(record.required_models)
    ours = compare(record, info)
    theirs = lacking(record, info)

    missing = set(ours.missing_classes) | set(ours.missing_models)
    assert missing == {each for each in theirs if "=" not in each}


FAULTS = [
    ("fx-blur", "3", {"blur_radius": 999}, "blur_radius of node 3 (ImageBlur): 999 is above 31"),
    ("fx-blur", "3", {"blur_radius": 0}, "0 is below 1"),
    ("fx-blur", "3", {"blur_radius": 2.5}, "2.5 is no whole number"),
    ("fx-blur", "3", {"blur_radius": "4"}, "'4' is no number"),
    ("fx-blur", "3", {"blur_radius": None}, "None is no number"),
    ("fx-blur", "3", {"sigma": True}, "True is no number"),
    ("fx-bloom", "4", {"blend_mode": "dodge"}, "'dodge' is not offered; it is one of: normal"),
    ("fx-flip", "3", {"flip_method": 7}, "7 is not offered"),
    ("fx-text", "3", {"outline": "yes"}, "'yes' is neither true nor false"),
    ("fx-text", "3", {"text": 5}, "5 is no text"),
    ("fx-blur", "91", {"format": "avi"}, "format of node 91 (SaveVideo): 'avi' is not offered"),
    (
        "fx-blur",
        "91",
        {"format__codec": "vp8"},
        "format.codec of node 91 (SaveVideo): 'vp8' is not",
    ),
    (
        "fx-reencode-crf",
        "91",
        {"format__codec__encoding__crf": 99.0},
        "format.codec.encoding.crf of node 91 (SaveVideo): 99.0 is above 51",
    ),
    ("fx-blur", "3", {"image": ["2", 9]}, "GetVideoComponents has 5 outputs and no slot 9"),
    ("fx-blur", "3", {"image": ["2", "a"]}, "no slot 'a'"),
    ("fx-blur", "3", {"image": ["2", 1]}, "GetVideoComponents gives AUDIO there, not IMAGE"),
    ("fx-blur", "3", {"image": ["1", 0]}, "LoadVideo gives VIDEO there, not IMAGE"),
    ("fx-blur", "3", {"image": ["77", 0]}, "links to the absent node '77'"),
    ("fx-blur", "3", {"image": "frames"}, "'frames' stands where a link to an IMAGE is needed"),
]


@pytest.mark.parametrize(
    ("name", "node", "inputs", "why"), FAULTS, ids=[each[3] for each in FAULTS]
)
def test_what_a_host_would_refuse_or_do_wrong_is_said(
    name: str, node: str, inputs: dict[str, object], why: str
) -> None:
    """Also what it would take and fail with later: dynamic choices it does not look at."""
    found = verdict(with_input(name, node, **inputs))

    assert any(why in fault for fault in found.faults), found.faults


def test_a_missing_input_is_said() -> None:
    """By the name the host has for it, those of dynamic choices too."""
    blur = recorded("fx-blur")
    del blur["3"]["inputs"]["sigma"]
    del blur["91"]["inputs"]["format.codec"]
    found = verdict(blur)

    assert found.faults == (
        "node 3 (ImageBlur) lacks its input sigma",
        "node 91 (SaveVideo) lacks its input format.codec",
    )


def test_an_input_the_host_does_not_know_is_a_note() -> None:
    """It is ignored without a word, so somebody who misspelt it must be told."""
    found = verdict(with_input("fx-blur", "3", blur_raduis=4))

    assert found.able
    assert found.notes == (
        "blur_raduis of node 3 (ImageBlur): the host knows no such input and ignores it",
    )


def test_all_faults_come_together() -> None:
    """One look, one list."""
    graph = with_input("fx-bloom", "4", blend_mode="dodge", blend_factor=7)
    graph["3"]["inputs"]["blur_radius"] = 0

    assert len(verdict(graph).faults) == 3


@pytest.mark.parametrize(
    "strange",
    [
        None,
        [],
        {"input": None},
        {"input": {"required": None}},
        {"input": {"required": {"image": None, "blur_radius": [], "sigma": [7]}}},
        {"input": {"required": {"blur_radius": ["INT", {"min": "low", "max": None}]}}},
        {"input": {"required": {"x": ["COMFY_DYNAMICCOMBO_V3", {"options": [7, {}]}]}}},
        {"output": "IMAGE"},
    ],
)
def test_strange_declarations_break_nothing(strange: object) -> None:
    """Custom nodes declare what they like, and a host is not to be trusted."""
    info = object_info()
    info["ImageBlur"] = strange

    examine(recorded("fx-blur"), info, models=set())
    propose(recorded("fx-blur"), info=info)
