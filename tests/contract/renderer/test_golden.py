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
from gpu_agent.renderer.execution import Execution, Outcome
from gpu_agent.renderer.faults import Faults
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.nodes import NODES
from gpu_agent.renderer.validation import validate

GOLDEN = Path(__file__).with_name("golden")
CASES: list[dict[str, Any]] = json.loads((GOLDEN / "cases.json").read_text())["cases"]
TEXTS = [case for case in CASES if case["node"] == "TextOverlay"]
PICTURES = [case for case in CASES if "outputs" in case and case not in TEXTS]
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
        # the limit is a mean of 2, but nothing less than all of Pillow's steps gets there
        "ImageQuantize",
    }
)
FLOAT_MEAN = 0.05
TRANSFER_MEAN = 0.2
CODEC_MEAN = 3.0
NOISE_SIGMAS = 6
NOISE_SPREAD = 0.03
TEXT_PIXELS = 2
TEXT_COVERAGE = 0.15


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
    if case["node"] == "LTXVPreprocess" and case["parameters"]["img_compression"]:
        return 255, CODEC_MEAN
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
        faults=Faults(Behaviour()),
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
    """The numbers themselves must be torch's: their mean is recorded to four places."""
    [picture] = saved(run(case, tmp_path), tmp_path)
    told = case["statistics"]
    samples = told["samples_per_channel"]

    for channel, mean, spread in zip((2, 1, 0), told["mean"], told["std"], strict=True):
        values = picture[..., channel]
        assert abs(values.mean() - mean) <= min(NOISE_SIGMAS * spread / samples**0.5, 0.001)
        assert abs(values.std() - spread) <= NOISE_SPREAD * spread


@pytest.mark.parametrize("case", TEXTS, ids=name)
def test_text_stands_where_a_real_server_puts_it(case: Mapping[str, Any], tmp_path: Path) -> None:
    """The font is the same, its rasteriser is not: place and amount of ink are compared."""
    [picture] = saved(run(case, tmp_path), tmp_path)
    before, golden = (
        cv2.imread(str(GOLDEN / file)).astype(int)
        for file in (case["inputs"][0], case["outputs"][0]["file"])
    )
    ours, theirs = (np.abs(after - before) for after in (picture, golden))

    assert picture.shape == golden.shape
    assert abs(ours.mean() - theirs.mean()) <= TEXT_COVERAGE * theirs.mean()
    assert np.abs(box(ours) - box(theirs)).max() <= TEXT_PIXELS


def box(difference: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return left, top, right and bottom of what is not zero."""
    rows, columns = np.nonzero(difference.any(axis=-1))
    if not len(rows):
        return np.zeros(4, int)
    return np.array([columns.min(), rows.min(), columns.max(), rows.max()])


def test_every_recorded_case_is_a_test() -> None:
    """None may be left out because it is hard to meet."""
    assert len(CASES) == len(PICTURES) + len(TEXTS) + len(ERRORS) + len(NOISE) == 219


def test_every_node_but_the_video_ones_has_a_golden_case() -> None:
    """A node without one would be claimed without proof."""
    proven = {node["class_type"] for case in CASES for node in case["graph"].values()}

    assert set(NODES) - proven == {
        # clips
        "LoadVideo",
        "GetVideoComponents",
        "CreateVideo",
        "SaveVideo",
        "Video Slice",
        "VideoTemporalCrop",
        "VideoRandomTemporalCrop",
        "VideoFrameSample",
        "SaveWEBM",
        "SaveAnimatedWEBP",
        "SaveAnimatedPNG",
        # its counterpart has one
        "SplitImageWithAlpha",
        # values
        "PreviewImage",
        "PreviewAny",
        "SaveImageWebsocket",
        "GetImageSize",
        "PrimitiveInt",
        "PrimitiveFloat",
        "PrimitiveString",
        "PrimitiveBoolean",
        # known by what they are said to do only
        "Canny",
        "CenterCropImages",
        "CropMask",
        "ImageColorToMask",
        "ImagePadForOutpaint",
        "ImageScaleToMaxDimension",
        "ImageScaleToTotalPixels",
        "MaskComposite",
        "NormalizeImages",
        "ResizeImagesByLongerEdge",
        "ResizeImagesByShorterEdge",
    }
