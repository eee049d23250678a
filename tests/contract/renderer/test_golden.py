"""Each node's pixels against pictures that a real ComfyUI saved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gpu_agent.renderer.behaviour import Behaviour, Limits
from gpu_agent.renderer.cache import Cache
from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.execution import Execution, Failures, Outcome
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.nodes import NODES
from gpu_agent.renderer.validation import validate

GOLDEN = Path(__file__).with_name("golden")
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "cases.json").read_text())["cases"]
PICTURES = [case for case in CASES if "outputs" in case]
ERRORS = [case for case in CASES if "error" in case]
NOISE = [case for case in CASES if "statistics" in case]
EXACT = frozenset(
    {
        "LoadImage",
        "SaveImage",
        "ImageCrop",
        "ImageFlip",
        "ImageRotate",
        "ImageFromBatch",
        "RepeatImageBatch",
        "ThresholdMask",
        "GrowMask",
        "Morphology",
    }
)
FLOAT_MEAN = 0.05
TRANSFER_MEAN = 0.2
NOISE_SIGMAS = 6
NOISE_SPREAD = 0.03


def name(case: Mapping[str, Any]) -> str:
    """Return the name a case goes by."""
    return str(case["case"])


def limits(case: Mapping[str, Any]) -> tuple[float, float]:
    """Return the largest and the mean difference allowed, in 8-bit steps."""
    parameters = [node["inputs"] for node in case["graph"].values()]
    sharp = any(p.get("upscale_method") in ("lanczos", "nearest-exact") for p in parameters)
    if case["node"] in EXACT or (case["node"] in ("ImageScale", "ImageScaleBy") and sharp):
        return 0, 0
    if case["node"] == "ColorTransfer":
        return 2, TRANSFER_MEAN
    return 1, FLOAT_MEAN


def run(case: Mapping[str, Any], root: Path) -> Outcome:
    """Run a case's graph as the server would, without the server."""
    folders = Folders(root)
    for file in case["inputs"]:
        shutil.copy(GOLDEN / file, root / "input")
    catalog = Catalog(folders)
    valid = validate(case["graph"], catalog, folders, limit_nodes=len(case["graph"]))
    execution = Execution(
        "golden",
        valid.graph,
        valid.outputs,
        folders=folders,
        catalog=catalog,
        cache=Cache(limit_bytes=0, limit_entries=0),
        failures=Failures(Behaviour()),
        behaviour=Behaviour(),
        # nothing fits into such a cache, so every batch that can be spent is
        limits=Limits(cache_bytes=0),
        say=lambda _kind, _data: None,
        now_ms=lambda: 0,
    )
    return execution.run()


def saved(outcome: Outcome, root: Path) -> list[np.ndarray[Any, Any]]:
    """Return the pictures that a run saved, in order."""
    [output] = outcome.outputs.values()
    files = [root / "output" / file["filename"] for file in output["images"]]
    pictures = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
    return [picture.astype(int) for picture in pictures if picture is not None]


@pytest.mark.parametrize("case", PICTURES, ids=name)
def test_a_node_gives_the_pixels_of_a_real_server(case: Mapping[str, Any], tmp_path: Path) -> None:
    """An agent must not be able to tell from the result which server it spoke to."""
    outcome = run(case, tmp_path)
    most, mean = limits(case)

    assert outcome.succeeded, outcome.messages
    for picture, expected in zip(saved(outcome, tmp_path), case["outputs"], strict=True):
        golden = cv2.imread(str(GOLDEN / expected["file"]), cv2.IMREAD_UNCHANGED)
        assert golden is not None
        assert picture.shape == golden.shape
        difference = np.abs(picture - golden.astype(int))
        assert difference.max() <= most
        assert difference.mean() <= mean


@pytest.mark.parametrize("case", ERRORS, ids=name)
def test_a_node_fails_where_a_real_server_fails(case: Mapping[str, Any], tmp_path: Path) -> None:
    """A template that cannot work must be found out here, not on the first GPU host."""
    outcome = run(case, tmp_path)

    kind, data = outcome.messages[-1]
    assert kind == "execution_error"
    assert data["node_type"] == case["error"]["node_type"]


@pytest.mark.parametrize("case", NOISE, ids=name)
def test_noise_has_the_statistics_of_a_real_server(case: Mapping[str, Any], tmp_path: Path) -> None:
    """The numbers come from another generator, their distribution must not."""
    [picture] = saved(run(case, tmp_path), tmp_path)
    told = case["statistics"]
    samples = told["samples_per_channel"]

    for channel, mean, spread in zip((2, 1, 0), told["mean"], told["std"], strict=True):
        values = picture[..., channel]
        assert abs(values.mean() - mean) <= NOISE_SIGMAS * spread / samples**0.5
        assert abs(values.std() - spread) <= NOISE_SPREAD * spread


def test_every_node_but_the_video_ones_has_a_golden_case() -> None:
    """A node without one would be claimed without proof."""
    proven = {node["class_type"] for case in CASES for node in case["graph"].values()}

    assert set(NODES) - proven == {
        "LoadVideo",
        "GetVideoComponents",
        "CreateVideo",
        "SaveVideo",
        "PreviewImage",
        "GetImageSize",
    }
