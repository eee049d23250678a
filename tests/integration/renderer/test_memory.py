"""What a process takes for a long clip, and for a longer one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.renderer.support import make_clip

SHORT, LONG = 24, 72
ALLOWED_MIB = 48
"""As float images, what the longer clip has more would be 126."""

CHILD = """
import resource, sys
from pathlib import Path
from tests.contract.renderer import running
effect = lambda kind, **inputs: {"class_type": kind, "inputs": inputs}
GRAPHS = {
    "blend": {
        "3": effect("ImageBlur", image=["2", 0], blur_radius=4, sigma=1.0),
        "4": effect("ImageBlend", image1=["2", 0], image2=["3", 0], blend_factor=0.8,
                    blend_mode="soft_light"),
    },
    "transfer": {
        "3": effect("ImageFromBatch", image=["2", 0], batch_index=3, length=1),
        "4": effect("ColorTransfer", image_target=["2", 0], image_ref=["3", 0],
                    method="reinhard_lab", source_stats="uniform", strength=1.0),
    },
}
running.ran(Path(sys.argv[1]), running.clip_graph(GRAPHS[sys.argv[2]], "4"))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak_mib(root: Path, graph: str) -> int:
    """Run a graph in a process of its own and return what it took at most."""
    told = subprocess.run(  # our own program
        [sys.executable, "-c", CHILD, str(root), graph], check=True, capture_output=True, text=True
    )
    return int(told.stdout)


@pytest.mark.parametrize("graph", ["blend", "transfer"])
def test_a_clip_four_times_as_long_takes_no_more_memory(graph: str, tmp_path: Path) -> None:
    """A minute of full HD is 45 GB of float images a node; a host would be killed for it."""
    taken = []
    for frames in (SHORT, LONG):
        root = tmp_path / str(frames)
        (root / "input").mkdir(parents=True)
        make_clip(root / "input/clip.mp4", frames=frames, size=(640, 360))
        taken.append(peak_mib(root, graph))

    assert taken[1] - taken[0] <= ALLOWED_MIB
