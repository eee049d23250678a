"""Every model-free graph that a real server was recorded with runs here, on a small clip."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from gpu_agent.renderer.behaviour import Limits
from tests.contract.renderer.running import STREAMED, clip_graph, decoded, outputs, ran, start
from tests.contract.renderer.support import make_clip

WORKFLOWS = Path(__file__).with_name("workflows")
NAMES = sorted(path.stem for path in WORKFLOWS.glob("fx-*.json"))
FRAMES = 36
SIZE = (160, 90)
SIZES = {
    "fx-crop": (20, 90),
    "fx-rotate": (90, 160),
    "fx-letterbox": (360, 640),
    "fx-upscale2x": (320, 180),
    "fx-pixelate": (640, 360),
    "fx-luma-key": (640, 360),
    "fx-vignette-mask": (640, 360),
    "fx-edges-small": (160, 90),
    "fx-edge-glow-small": (160, 90),
    "fx-side-by-side": (324, 90),
}
COUNTS = {
    "fx-slice": 23,
    "fx-loop-twice": 2 * FRAMES,
    "fx-edges-small": 12,
    "fx-edge-glow-small": 12,
    "fx-luma-key": 60,
    "fx-vignette-mask": 60,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a server's folder with a clip and a picture."""
    (tmp_path / "input").mkdir()
    make_clip(tmp_path / "input/clip.mp4", frames=FRAMES, size=SIZE, sound=True)
    picture = np.random.default_rng(1).integers(0, 256, (32, 40, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "input/reference.png"), picture)
    return tmp_path


def graph(name: str) -> dict[str, Any]:
    """Return a recorded graph."""
    loaded: dict[str, Any] = json.loads((WORKFLOWS / f"{name}.json").read_text())
    return loaded


@pytest.mark.parametrize("name", NAMES)
def test_a_recorded_graph_runs(name: str, root: Path) -> None:
    """These are the looks that the platform offers; a host that cannot run one is no host."""
    ran(root, graph(name), limits=STREAMED)

    files = outputs(root)
    [video] = [path for suffix, path in files.items() if suffix in (".mp4", ".webm")]
    frames = decoded(video)
    assert len(frames) == COUNTS.get(name, FRAMES)
    assert frames[0].shape[1::-1] == SIZES.get(name, SIZE)
    if name == "fx-poster-and-sheet":
        assert set(files) == {".mp4", ".png", ".webp"}


def video_graph(node: str, **inputs: Any) -> dict[str, Any]:
    """Return a graph that passes the loaded clip through one node and saves it again."""
    saved = {"video": ["3", 0], "filename_prefix": "out", "format": "mp4", "format.codec": "h264"}
    return {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "clip.mp4"}},
        "3": {"class_type": node, "inputs": {"video": ["1", 0], **inputs}},
        "t": {"class_type": "SaveVideo", "inputs": saved},
    }


@pytest.mark.parametrize(
    ("node", "inputs", "frames", "seconds"),
    [
        ("Video Slice", {"start_time": -0.4, "duration": 0.2, "strict_duration": False}, 5, 0.2),
        ("Video Slice", {"start_time": 0.4, "duration": 0, "strict_duration": True}, 26, 1.04),
        ("VideoTemporalCrop", {"start_frame": 30, "length": 100}, 6, 0.24),
        ("VideoRandomTemporalCrop", {"length": 10, "seed": 3}, 10, 0.4),
        ("VideoFrameSample", {"num_frames": 9, "strategy": "uniform", "seed": 0}, 9, None),
        ("VideoFrameSample", {"num_frames": 9, "strategy": "tail", "seed": 0}, 9, None),
    ],
)
def test_a_clip_is_cut_with_its_sound(
    node: str, inputs: dict[str, Any], frames: int, seconds: float | None, root: Path
) -> None:
    """A cut of the images alone would leave the sound to run on."""
    ran(root, video_graph(node, **inputs), limits=STREAMED)

    with av.open(str(outputs(root)[".mp4"])) as container:
        assert sum(1 for _ in container.decode(video=0)) == frames
        sound = container.streams.audio[0] if container.streams.audio else None
        length = None if sound is None else float(sound.duration * sound.time_base)
    assert length == (None if seconds is None else pytest.approx(seconds, abs=0.13))


def test_a_slice_that_is_too_short_is_refused_where_asked(root: Path) -> None:
    """Else a template would quietly give less than was paid for."""
    prompt = video_graph("Video Slice", start_time=1.0, duration=9.0, strict_duration=True)
    outcome = start(root, prompt).run()

    assert outcome.messages[-1][1]["node_type"] == "Video Slice"


@pytest.mark.parametrize("space", ["auto", "sRGB", "HDR", "HDR PQ"])
def test_a_colour_space_is_written_as_chosen(space: str, root: Path) -> None:
    """Players read the tags; HDR in eight bits would show bands."""
    prompt = clip_graph({}, "2")
    prompt["t"]["inputs"] |= {
        "format.codec.encoding": "re-encode",
        "format.codec.encoding.crf": 30,
        "format.codec.encoding.color_space": space,
    }
    ran(root, prompt)

    with av.open(str(outputs(root)[".mp4"])) as container:
        context = container.streams.video[0].codec_context
        pixels = "yuv420p10le" if space.startswith("HDR") else "yuv420p"
        assert context.pix_fmt == pixels
        curves = {"auto": 2, "sRGB": 13, "HDR": 18, "HDR PQ": 16}
        assert context.color_trc == curves[space]


@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_webm_keeps_rate_and_number_of_frames(codec: str, root: Path) -> None:
    """Both codecs of the node are there."""
    prompt = clip_graph({}, "2")
    del prompt["s"], prompt["t"]
    webm = {"images": ["2", 0], "filename_prefix": "o", "codec": codec, "fps": 12.5, "crf": 40}
    prompt["w"] = {"class_type": "SaveWEBM", "inputs": webm}
    ran(root, prompt)

    with av.open(str(outputs(root)[".webm"])) as container:
        assert container.streams.video[0].average_rate == 12.5
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


@pytest.mark.skipif(sys.platform != "linux", reason="only there may an encoder become real-time")
def test_an_encoder_takes_no_more_of_the_machine_than_others(root: Path) -> None:
    """SVT-AV1 made itself and whoever opened it real-time, and the servers beside it starved."""
    prompt = clip_graph({}, "2")
    del prompt["s"], prompt["t"]
    webm = {"images": ["2", 0], "filename_prefix": "o", "codec": "av1", "fps": 12.5, "crf": 40}
    prompt["w"] = {"class_type": "SaveWEBM", "inputs": webm}
    ran(root, prompt)

    tasks = [int(each.name) for each in Path("/proc/self/task").iterdir()]
    now = {os.sched_getscheduler(task) for task in tasks}
    assert not now & {os.SCHED_FIFO, os.SCHED_RR}


def test_a_value_is_shown_as_text(root: Path) -> None:
    """PreviewAny is how a graph tells a number to its sender."""
    prompt = {
        "1": {"class_type": "PrimitiveFloat", "inputs": {"value": 2.5}},
        "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
    }

    assert ran(root, prompt).outputs == {"2": {"text": ["2.5"]}}


@pytest.mark.parametrize("color", ["#12", "blurple", "rgb(1,2)", "{{color}}"])
def test_an_unknown_colour_is_refused_by_the_node(color: str, root: Path) -> None:
    """As on a real server, and with the colour named."""
    text = {"images": ["2", 0], "text": "x", "font_size": 20, "color": color}
    text |= {"position": "top", "align": "left", "outline": True}
    prompt = clip_graph({"3": {"class_type": "TextOverlay", "inputs": text}}, "3")
    kind, data = start(root, prompt).run().messages[-1]

    assert kind == "execution_error"
    assert data["node_id"] == "3"
    assert color in data["exception_message"]


def test_one_frame_beyond_the_memory_is_refused(root: Path) -> None:
    """Length does not matter, but a frame has to fit."""
    scaled = {"image": ["2", 0], "upscale_method": "bilinear", "width": 4096, "height": 4096}
    effects = {"3": {"class_type": "ImageScale", "inputs": {**scaled, "crop": "disabled"}}}
    outcome = start(root, clip_graph(effects, "3"), limits=Limits(memory_bytes=1 << 20)).run()

    assert outcome.messages[-1][1]["node_id"] == "3"
    assert outcome.messages[-1][1]["exception_message"].startswith("out of memory budget")
