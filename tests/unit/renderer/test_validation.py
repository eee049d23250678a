"""What the transcripts do not show: choices that bring inputs of their own, and bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.validation import Refusal, Validated, validate

LIMIT = 20


def graph(**save: object) -> dict[str, Any]:
    """Return a graph that saves two empty frames."""
    inputs = {"video": ["2", 0], "filename_prefix": "x", "format": "mp4", "format.codec": "h264"}
    return {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 8, "height": 8, "batch_size": 2, "color": 0},
        },
        "2": {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 25}},
        "3": {"class_type": "SaveVideo", "inputs": {**inputs, **save}},
    }


def check(prompt: dict[str, Any], root: Path) -> Validated:
    """Validate a graph over empty folders."""
    folders = Folders(root)
    return validate(prompt, Catalog(folders), folders, limit_nodes=LIMIT)


def refused(prompt: dict[str, Any], root: Path) -> list[tuple[str, str]]:
    """Return node and type of each fault."""
    with pytest.raises(Refusal) as refusal:
        check(prompt, root)
    errors = refusal.value.node_errors
    return [(at, fault["type"]) for at, told in errors.items() for fault in told["errors"]]


def test_a_wrong_choice_of_a_dynamic_combo_is_refused(tmp_path: Path) -> None:
    """A real server accepts it and fails when the work is done and paid for."""
    assert refused(graph(format="avi"), tmp_path) == [("3", "value_not_in_list")]
    assert refused(graph(**{"format.codec": "vp9"}), tmp_path) == [("3", "value_not_in_list")]


def test_inner_inputs_are_checked_to_the_last_level(tmp_path: Path) -> None:
    """The quality is three choices deep."""
    deep = {"format.codec.encoding": "re-encode", "format.codec.encoding.color_space": "auto"}
    far = refused(graph(**deep, **{"format.codec.encoding.crf": 99}), tmp_path)
    missing = refused(graph(**deep), tmp_path)

    assert far == [("3", "value_bigger_than_max")]
    assert missing == [("3", "required_input_missing")]


def test_the_flat_names_of_older_servers_are_taken(tmp_path: Path) -> None:
    """Graphs saved by older front ends must run."""
    prompt = graph(codec="h264")
    del prompt["3"]["inputs"]["format.codec"]

    assert check(prompt, tmp_path).outputs == ("3",)


def test_values_are_converted(tmp_path: Path) -> None:
    """As real servers do: ``"8"`` is 8."""
    prompt = graph()
    prompt["1"]["inputs"]["width"] = "8"

    assert check(prompt, tmp_path).graph["1"].inputs["width"] == 8


def test_a_list_given_as_a_value_is_no_link(tmp_path: Path) -> None:
    """It would be followed to a node that validation never saw."""
    prompt = graph()
    prompt["2"]["inputs"]["images"] = {"__value__": ["9", 0]}

    assert refused(prompt, tmp_path) == [("2", "invalid_input_type")]


def test_too_many_nodes_are_refused(tmp_path: Path) -> None:
    """Graphs are walked recursively, so there is a bound."""
    node = graph()["1"]

    with pytest.raises(Refusal, match="More than"):
        check({str(n): node for n in range(LIMIT + 1)}, tmp_path)


def test_branches_that_lead_nowhere_are_left_out(tmp_path: Path) -> None:
    """They are not validated and never run."""
    prompt = graph()
    prompt["9"] = {"class_type": "ImageBlur", "inputs": {}}

    assert set(check(prompt, tmp_path).graph) == {"1", "2", "3"}
