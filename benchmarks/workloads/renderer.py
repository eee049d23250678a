"""One run of one graph of the embedded renderer, with nothing cached."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import av

from gpu_agent.renderer.behaviour import Behaviour, Limits
from gpu_agent.renderer.cache import Cache
from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.execution import Execution
from gpu_agent.renderer.faults import Faults
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.validation import validate


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def _blur(radius: int, sigma: float) -> dict[str, Any]:
    return _node("ImageBlur", image=["2", 0], blur_radius=radius, sigma=sigma)


EFFECTS: Final[dict[str, dict[str, Any]]] = {
    "passthrough": {},
    "invert": {"4": _node("ImageInvert", image=["2", 0])},
    "blur": {"4": _blur(4, 2.0)},
    "sharpen": {"4": _node("ImageSharpen", image=["2", 0], sharpen_radius=2, sigma=1.0, alpha=1.5)},
    "soft_light": {
        "3": _blur(8, 4.0),
        "4": _node(
            "ImageBlend",
            image1=["2", 0],
            image2=["3", 0],
            blend_factor=0.7,
            blend_mode="soft_light",
        ),
    },
    "color_transfer": {
        "3": _node("LoadImage", image="reference.png"),
        "4": _node(
            "ColorTransfer",
            image_target=["2", 0],
            image_ref=["3", 0],
            method="reinhard_lab",
            source_stats="uniform",
            strength=1.0,
        ),
    },
}


def graph(name: str) -> dict[str, Any]:
    """Return load, effect, save."""
    effects = EFFECTS[name]
    last = "4" if effects else "2"
    return {
        "1": _node("LoadVideo", file="clip.mp4"),
        "2": _node("GetVideoComponents", video=["1", 0]),
        **effects,
        "5": _node("CreateVideo", images=[last, 0], fps=["2", 2], audio=["2", 1]),
        "6": _node(
            "SaveVideo",
            video=["5", 0],
            filename_prefix="out",
            format="mp4",
            **{"format.codec": "h264"},
        ),
    }


def run(name: str, clip: Path, root: Path) -> dict[str, float]:
    """Run a graph and return what it took."""
    folders = Folders(root)
    shutil.copy(clip, root / "input" / "clip.mp4")
    with av.open(str(clip)) as container:
        first = next(container.decode(video=0)).to_ndarray(format="rgb24")
    _write_png(root / "input" / "reference.png", first[::-1, :, ::-1])
    catalog, behaviour, limits = Catalog(folders), Behaviour(), Limits()
    valid = validate(graph(name), catalog, folders, limit_nodes=limits.graph_nodes)
    execution = Execution(
        "bench",
        valid.graph,
        valid.outputs,
        folders=folders,
        catalog=catalog,
        cache=Cache(limit_bytes=limits.cache_bytes, limit_entries=limits.cache_entries),
        faults=Faults(behaviour),
        behaviour=behaviour,
        limits=limits,
        say=lambda _kind, _data: None,
        now_ms=lambda: 0,
    )
    wall, cpu = time.perf_counter(), time.process_time()
    outcome = execution.run()
    if not outcome.succeeded:
        sys.exit(str(outcome.messages[-1]))
    return {
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def _write_png(path: Path, picture: Any) -> None:
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "rgb24"
        frame = av.VideoFrame.from_ndarray(picture.copy(), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    job = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        took = run(job["graph"], Path(job["clip"]), Path(home))
    sys.stdout.write(json.dumps(took) + "\n")
