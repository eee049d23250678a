"""Whether shots are told apart, by cuts and gradually, and what that costs.

Clips are composed of painted and of filmed shots, so the truth is known; see ``composed``. The
paintings and the seeds are others than those the detector's weights were fitted on. Real clips
with known cuts are looked at too.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from msgspec import Struct, field

from benchmarks import composed
from benchmarks.composed import GRADUAL, Join, Trick
from benchmarks.results import Outcome, Seen, row
from benchmarks.running import SLOW_ROUNDS, WorkloadError, spread
from benchmarks.scenery import Source, filmed, painted, still
from effectmesh import clips
from media import scenes
from media.frames import load
from media.scenes import Transition
from tests.unit.media_analysis.clips import read_frames, write_clip

SEEDS: Final = tuple(range(5_000, 5_024))
TOLERANCE: Final = 1
REAL: Final = {
    "bikes.mp4": (30, 76, 137, 187, 242),
    "cityCC0.mpg": (116,),
    "bigbuckbunny.mp4": (),
    "carphone_pristine.mp4": (),
}
"""Where the shots of real clips begin, told by looking."""
_SECONDS: Final = 10
_RATE: Final = 30
_LARGE: Final = (1280, 720)


class Tally(Struct, kw_only=True):
    """What was found of what is there."""

    right: int = 0
    missed: int = 0
    wrong: int = 0
    """Found where neither a cut nor a gradual join is."""
    offsets: list[float] = field(default_factory=list)
    there: Counter[str] = field(default_factory=Counter)
    """Gradual joins by kind."""
    found: Counter[str] = field(default_factory=Counter)
    tricks: Counter[str] = field(default_factory=Counter)
    fooled: Counter[str] = field(default_factory=Counter)

    @property
    def precision(self) -> float:
        """Return which share of the places named sharp is right."""
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Return which share of the cuts is found."""
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Return the harmonic mean of both."""
        return 2 * self.right / max(1, 2 * self.right + self.wrong + self.missed)

    def add(
        self, seen: Sequence[Transition], joins: Sequence[Join], tricks: Sequence[Trick]
    ) -> None:
        """Compare what was seen in one clip with its truth; each join is found once."""
        left = [each.at for each in seen]
        for join in joins:
            reached = [at for at in left if join.first - TOLERANCE <= at <= join.end + TOLERANCE]
            middle = (join.first + join.end) / 2
            at = min(reached, key=lambda place: abs(place - middle), default=None)
            if at is not None:
                left.remove(at)
            if join.kind in GRADUAL:
                self.there[join.kind] += 1
                self.found[join.kind] += at is not None
            elif at is None:
                self.missed += 1
            else:
                self.right += 1
                self.offsets.append(abs(at - join.first))
        self.wrong += len(left)
        for trick in tricks:
            self.tricks[trick.kind] += 1
            self.fooled[trick.kind] += any(
                trick.first - TOLERANCE <= at <= trick.end + TOLERANCE for at in left
            )

    def plus(self, other: Tally) -> Tally:
        """Return both together."""
        return Tally(
            right=self.right + other.right,
            missed=self.missed + other.missed,
            wrong=self.wrong + other.wrong,
            offsets=self.offsets + other.offsets,
            there=self.there + other.there,
            found=self.found + other.found,
            tricks=self.tricks + other.tricks,
            fooled=self.fooled + other.fooled,
        )


def run() -> Outcome:
    """Compose, look, compare; then the real clips, then the cost."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        tallies = list(pool.map(_looked_at, SEEDS))
    tally = tallies[0]
    for each in tallies[1:]:
        tally = tally.plus(each)
    strayed = {name: _strayed(name, wanted) for name, wanted in REAL.items()}
    detecting, both = _cost()
    rows = [
        row("shots.f1", [tally.f1]),
        row("shots.gradual", [tally.found.total() / max(1, tally.there.total())]),
        row("shots.fooled", [100 * tally.fooled.total() / max(1, tally.tricks.total())]),
        row("shots.offset", [float(np.mean(tally.offsets))]),
        row("shots.real", [sum(strayed.values())]),
        row("shots.cpu", detecting),
    ]
    seen = [
        Seen(what="cuts", wall=f"P {tally.precision:.3f}", remark=f"R {tally.recall:.3f}"),
        *(
            Seen(what=kind, wall=f"{tally.found[kind]} of {count}", remark="found")
            for kind, count in sorted(tally.there.items())
        ),
        *(
            Seen(what=kind, wall=f"{tally.fooled[kind]} of {count}", remark="fooled")
            for kind, count in sorted(tally.tricks.items())
        ),
        *(Seen(what=name, wall=str(count), remark="wrong") for name, count in strayed.items()),
        Seen(what="10 s 720p, decoded too", wall="", cpu=spread(both, "s", digits=2)),
    ]
    return Outcome(rows=rows, seen=seen)


def sources() -> list[Source]:
    """Return what the composed clips are made of."""
    rabbit, phone = _clip("bigbuckbunny.mp4"), _clip("carphone_pristine.mp4")
    [meadow] = read_frames(rabbit, size=(640, 360), first=20, count=1)
    [face] = read_frames(phone, size=(352, 288), first=60, count=1)
    return [
        *(painted(kind) for kind in ("rooms", "cells", "pages")),
        filmed(_clip(clips.NAME), first=117, end=190),
        filmed(rabbit, first=0, end=130),
        filmed(phone, first=0, end=110),
        still(meadow),
        still(face),
    ]


def _looked_at(seed: int) -> Tally:
    cv2.setNumThreads(1)
    clip = composed.compose(sources(), seed=seed)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        footage = load(write_clip(Path(folder) / "composed.mp4", clip.frames, crf=24))
    tally = Tally()
    tally.add(scenes.transitions(footage), clip.joins, clip.tricks)
    return tally


def _strayed(name: str, wanted: Sequence[int]) -> int:
    """Return how many places in a real clip are named that are none, or the other way round."""
    return len(set(scenes.cuts(load(_clip(name)))) ^ set(wanted))


def _cost() -> tuple[list[float], list[float]]:
    """Return CPU seconds of detection alone, and with decoding, for ten seconds with cuts."""
    frames = read_frames(_clip("bikes.mp4"), size=_LARGE, first=0, count=250)
    filled = [frames[at % len(frames)] for at in range(_SECONDS * _RATE)]
    alone, both = [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = write_clip(Path(folder) / "large.mp4", filled, fps=_RATE)
        for _ in range(SLOW_ROUNDS):
            began = time.process_time()
            footage = load(path)
            decoded = time.process_time()
            scenes.transitions(footage)
            alone.append(time.process_time() - decoded)
            both.append(time.process_time() - began)
    return alone, both


def _clip(name: str) -> Path:
    for folder in (clips.FOLDER, Path(tempfile.gettempdir()) / "clips"):
        found = sorted(folder.rglob(name))
        if found:
            return found[0]
    raise WorkloadError("shots", f"the clip {name} is not in {clips.FOLDER}")
