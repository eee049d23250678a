"""A run without a server: stopped at an exact frame, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gpu_agent.renderer.behaviour import Behaviour, Limits
from gpu_agent.renderer.cache import Cache
from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.execution import Execution, Outcome
from gpu_agent.renderer.faults import Faults
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.validation import validate
from tests.contract.renderer.support import graph, make_clip


def run(
    root: Path,
    prompt: dict[str, Any],
    *,
    stop_at: tuple[str, int] = ("", 0),
    behaviour: Behaviour | None = None,
) -> tuple[Outcome, list[tuple[str, int]]]:
    """Run a graph, ask it to stop after a frame of a node; return the frames it told of."""
    folders = Folders(root)
    catalog = Catalog(folders)
    valid = validate(prompt, catalog, folders, limit_nodes=len(prompt))
    told: list[tuple[str, int]] = []

    def say(kind: str, data: dict[str, Any]) -> None:
        if kind == "progress":
            told.append((data["node"], data["value"]))
            if told[-1] == stop_at:
                execution.stop.set()

    execution = Execution(
        "p",
        valid.graph,
        valid.outputs,
        folders=folders,
        catalog=catalog,
        cache=Cache(limit_bytes=0, limit_entries=0),
        faults=Faults(behaviour or Behaviour()),
        behaviour=behaviour or Behaviour(),
        limits=Limits(),
        say=say,
        now_ms=lambda: 0,
    )
    return execution.run(), told


def test_a_run_stops_at_the_next_frame(tmp_path: Path) -> None:
    """A cancelled job must free the host at once, not when the node happens to be over."""
    make_clip(Folders(tmp_path).folder("input") / "clip.mp4")
    outcome, told = run(tmp_path, graph(), stop_at=("3", 2))

    assert told[-1] == ("3", 2)
    assert outcome.messages[-1][0] == "execution_interrupted"
    assert outcome.messages[-1][1]["executed"] == ["1", "2"]


def test_a_run_stopped_while_it_saves_leaves_no_file(tmp_path: Path) -> None:
    """Half a video under its final name would be taken for the result."""
    make_clip(Folders(tmp_path).folder("input") / "clip.mp4")
    outcome, _ = run(tmp_path, graph("last/out"), stop_at=("5", 2))

    assert outcome.messages[-1][0] == "execution_interrupted"
    assert list((tmp_path / "output/last").iterdir()) == []


def test_the_original_stops_between_nodes_only(tmp_path: Path) -> None:
    """So the last node always ends in success, as recorded."""
    make_clip(Folders(tmp_path).folder("input") / "clip.mp4")
    original = Behaviour(interrupt_between_nodes=True)
    middle, _ = run(tmp_path, graph("a"), stop_at=("3", 2), behaviour=original)
    last, _ = run(tmp_path, graph("b"), stop_at=("5", 2), behaviour=original)

    assert middle.messages[-1][0] == "execution_interrupted"
    assert middle.messages[-1][1]["node_id"] == "4"
    assert last.succeeded


def test_output_nodes_that_are_ready_go_first(tmp_path: Path) -> None:
    """As on a real server; it also frees their images early."""
    empty = {"width": 8, "height": 8, "batch_size": 1, "color": 0}
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": empty},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "b"}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    }
    _, told = run(tmp_path, prompt)

    assert [node for node, _ in told] == ["4", "2", "3"]
