"""Clips that are worked frame by frame: the same result, in little memory, stopped at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_agent.renderer.behaviour import Limits
from gpu_agent.renderer.cache import Cache
from gpu_agent.renderer.nodes.film import CURSORS_LIMIT, Film
from gpu_agent.renderer.nodes.values import Clip, Lazy
from tests.contract.renderer.running import STREAMED, clip_graph, decoded, outputs, ran, start
from tests.contract.renderer.support import make_clip

FRAMES = 60
SIZE = (66, 46)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a server's folder with a clip that ``STREAMED`` has no room for."""
    (tmp_path / "input").mkdir()
    make_clip(tmp_path / "input/clip.mp4", frames=FRAMES, size=SIZE)
    return tmp_path


def effect(class_type: str, **inputs: Any) -> dict[str, Any]:
    """Return one node."""
    return {"class_type": class_type, "inputs": inputs}


BLUR = effect("ImageBlur", image=["2", 0], blur_radius=3, sigma=1.0)
TAIL = effect("ImageFromBatch", image=["2", 0], batch_index=-20, length=100)
GRAPHS: dict[str, dict[str, Any]] = {
    "comes together again": {
        "3": BLUR,
        "4": effect(
            "ImageBlend", image1=["2", 0], image2=["3", 0], blend_factor=0.7, blend_mode="overlay"
        ),
    },
    "needs the whole clip first": {
        "3": BLUR,
        "5": effect("ImageFromBatch", image=["2", 0], batch_index=7, length=1),
        "4": effect(
            "ColorTransfer",
            image_target=["3", 0],
            image_ref=["5", 0],
            method="mkl_lab",
            source_stats="uniform",
            strength=1.0,
        ),
    },
    "reads two places": {
        "3": TAIL,
        "5": effect("RepeatImageBatch", image=["3", 0], amount=3),
        "4": effect(
            "ImageBlend", image1=["2", 0], image2=["5", 0], blend_factor=0.5, blend_mode="screen"
        ),
    },
    "starts over": {
        "3": effect("ImageInvert", image=["2", 0]),
        "4": effect("ImageBatch", image1=["3", 0], image2=["2", 0]),
    },
    "ends before the other": {
        "3": TAIL,
        "4": effect(
            "ImageStitch",
            image1=["2", 0],
            image2=["3", 0],
            direction="right",
            match_image_size=True,
            spacing_width=4,
            spacing_color="red",
        ),
    },
    "draws numbers in order": {
        "3": effect("ImageAddNoise", image=["2", 0], seed=5, strength=0.2),
        "5": effect("ImageBatch", image1=["3", 0], image2=["3", 0]),
        "4": effect("ImageFlip", image=["5", 0], flip_method="y-axis: horizontally"),
    },
    "goes through masks": {
        "3": effect("ImageToMask", image=["2", 0], channel="red"),
        "5": effect("GrowMask", mask=["3", 0], expand=2, tapered_corners=True),
        "4": effect(
            "ImageCompositeMasked",
            destination=["2", 0],
            source=["2", 0],
            x=5,
            y=3,
            resize_source=False,
            mask=["5", 0],
        ),
    },
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_streamed_clip_is_the_clip_that_was_held(name: str, root: Path) -> None:
    """How much memory a host has must not show in the result."""
    ran(root, clip_graph(GRAPHS[name], "4"))
    held = outputs(root)[".mp4"].read_bytes()
    outputs(root)[".mp4"].unlink()
    ran(root, clip_graph(GRAPHS[name], "4"), limits=STREAMED)

    assert outputs(root)[".mp4"].read_bytes() == held


def test_a_streamed_run_stops_within_a_frame(root: Path) -> None:
    """The work of a streamed node is done while the last one saves; a cancel must reach it."""
    told: list[tuple[str, int]] = []

    def said(kind: str, data: Any) -> None:
        if kind == "progress":
            told.append((data["node"], data["value"]))
            if told[-1] == ("t", 5):
                run.stop.set()

    run = start(root, clip_graph({"3": BLUR}, "3"), limits=STREAMED, said=said)
    outcome = run.run()

    assert told[-1] == ("t", 5)
    assert outcome.messages[-1][0] == "execution_interrupted"
    assert list((root / "output").iterdir()) == []


def test_a_failure_is_told_of_the_node_in_which_it_happens(root: Path) -> None:
    """Half way through a clip it is the last node that runs, and hardly ever the one to blame."""
    clip = root / "input/clip.mp4"
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    clip.write_bytes(data)
    kind, told = start(root, clip_graph({"3": BLUR}, "3"), limits=STREAMED).run().messages[-1]

    assert kind == "execution_error"
    assert told["node_id"] == "2"
    assert told["executed"] == ["1"]


def test_what_was_only_streamed_is_not_said_to_be_cached(root: Path) -> None:
    """A run is priced by what the cache saved it; frames that are made again saved nothing."""
    cache = Cache(limit_bytes=1 << 20, limit_entries=9)
    skipped = []

    def said(kind: str, data: Any) -> None:
        if kind == "execution_cached":
            skipped.append(data["nodes"])

    for prefix in ("a", "b"):
        prompt = clip_graph({"3": BLUR}, "3")
        prompt["t"]["inputs"]["filename_prefix"] = prefix
        start(root, prompt, limits=STREAMED, said=said, cache=cache).run()

    assert skipped == [[], ["1"]]


class FakeRun:
    """Makes frames, and counts them."""

    def __init__(self) -> None:
        self.made = 0
        self.current = None

    def make(self, _owner: str | None, work: Any, index: int) -> Any:
        """Count and make."""
        self.made += 1
        return work(index)

    def may_keep(self, _nbytes: int) -> bool:
        """Allow it."""
        return True

    def check(self) -> None:
        """Go on."""

    def at_end(self, _close: Any) -> None:
        """Keep it open."""


def film(root: Path, **part: Any) -> Film:
    """Return the clip as a film."""
    run: Any = FakeRun()
    return Film(Clip(path=root / "input/clip.mp4", **part), run)


def test_a_graph_that_parts_and_meets_again_makes_every_frame_once(root: Path) -> None:
    """Each such place would double the work of all above it: twelve of them, four thousandfold."""
    run = FakeRun()
    batch: Any = film(root)
    for _ in range(12):
        left, right = (
            Lazy(
                lambda index, above=batch: above.stored(index) // 2,
                length=batch.length,
                reads=(batch,),
                matrix=2,
                maker=run,
                owner=None,
            )
            for _ in range(2)
        )
        batch = Lazy(
            lambda index, a=left, b=right: a.stored(index) + b.stored(index),
            length=left.length,
            reads=(left, right),
            matrix=2,
            maker=run,
            owner=None,
        )
    run.made = 0
    for index in range(1, 11):
        batch.stored(index)

    assert run.made == 10 * 12 * 3


def test_a_film_gives_any_frame_in_any_order(root: Path) -> None:
    """Nodes join, repeat and cut; each reads from where it wants."""
    straight = decoded(root / "input/clip.mp4")
    batch = film(root)

    for index in (0, 30, 3, 59, 31, 2, 58, 0):
        assert np.array_equal(batch.stored(index), straight[index])
    assert len(batch) == FRAMES
    assert not batch.has(FRAMES)
    assert len(batch._cursors) <= CURSORS_LIMIT  # each is an open file


@pytest.mark.parametrize("reach_end", [False, True])
def test_the_length_of_a_film_is_known_by_counting_or_by_reading(
    root: Path, reach_end: bool
) -> None:
    """What the file says of itself is only a guess."""
    batch = film(root)
    if reach_end:
        assert batch.has(FRAMES - 1)
        assert not batch.has(FRAMES)

    assert batch.total() == FRAMES


def test_a_large_clip_is_not_held_although_its_file_hides_its_length(root: Path) -> None:
    """A stream without an index says nothing; it must not fill the memory."""
    raw = root / "input/clip.mpg"
    make_clip(root / "input/other.mp4", frames=FRAMES, size=SIZE)
    (root / "input/other.mp4").rename(raw)
    prompt = clip_graph({"3": BLUR}, "3")
    prompt["1"]["inputs"]["file"] = "clip.mpg"
    ran(root, prompt, limits=Limits(memory_bytes=2_000_000))

    assert len(decoded(outputs(root)[".mp4"])) == FRAMES
