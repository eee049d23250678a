"""Make ``media/styles.json`` from real shots with looks put on: ``python -m benchmarks.styles``.

Every look at three strengths through the coder at the quality of intake. ``benchmarks.analysis``
measures on the same rows how well a style is recognised on a film that none of them came from.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np
from msgspec import Struct

from benchmarks.analysis_clips import SOURCES, Source
from media import style
from media.frames import load
from media.style import Named, StyleBook, Styles, Vector
from tests.effects_made import LOOKS, Frame
from tests.unit.media_analysis.clips import write_clip

AMOUNTS: Final = (0.7, 1.0, 1.4)
_FRAMES: Final = slice(0, 26, 2)
_INTAKE_CRF: Final = 20
_COARSE_CRF: Final = 28
_FILE: Final = Path(style.__file__).with_name("styles.json")


class Sample(Struct, frozen=True, kw_only=True):
    """The numbers of one clip with one look, and of the clip without."""

    film: str
    look: str
    amount: float
    alone: list[float]
    plain: list[float]

    def numbers(self, *, against: bool) -> Vector:
        """Return what is compared: the numbers alone, or what changed."""
        alone = np.asarray(self.alone)
        return alone - np.asarray(self.plain) if against else alone


def samples(sources: Sequence[Source] = SOURCES) -> list[Sample]:
    """Put every look on every source and measure."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return [each for found in pool.map(_of_source, sources) for each in found]


def _of_source(source: Source) -> list[Sample]:
    cv2.setNumThreads(1)
    frames = [_even(frame) for frame in source.frames()[_FRAMES]]
    with tempfile.TemporaryDirectory(prefix="styles-") as folder:
        file = Path(folder) / "a.mp4"

        def measured(pictures: Sequence[Frame], crf: int = _INTAKE_CRF) -> list[float]:
            clip = load(write_clip(file, pictures, crf=crf), colour=True)
            return [float(value) for value in style.features(clip)]

        plain = measured(frames)

        def sample(look: str, amount: float, alone: list[float]) -> Sample:
            return Sample(film=source.film, look=look, amount=amount, alone=alone, plain=plain)

        found = [
            sample(style.NATURAL, 0.0, plain),
            sample(style.NATURAL, 0.0, measured(frames, _COARSE_CRF)),
        ]
        for look in LOOKS:
            for amount in AMOUNTS:
                done = [look(frame, amount) for frame in frames]
                found.append(sample(look.__name__, amount, measured(done)))
    return found


def _even(frame: Frame) -> Frame:
    return frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2]


def learnt(known: Sequence[Sample], *, against: bool) -> Styles:
    """Return the discriminants of some samples."""
    rows = np.stack([each.numbers(against=against) for each in known])
    return style.fit(rows, [each.look for each in known])


def tried(known: Sequence[Sample], *, against: bool) -> list[tuple[Sample, Named]]:
    """Name every sample by what the other films teach."""
    found = []
    for film in dict.fromkeys(each.film for each in known):
        taught = learnt([each for each in known if each.film != film], against=against)
        found += [
            (each, style.settled(style.nearest(each.numbers(against=against), taught)))
            if not against
            else (each, style.nearest(each.numbers(against=against), taught))
            for each in known
            if each.film == film
        ]
    return found


def main() -> int:
    """Measure, learn, write down."""
    known = samples()
    book = StyleBook(alone=learnt(known, against=False), against=learnt(known, against=True))
    _FILE.write_bytes(msgspec.json.format(msgspec.json.encode(book), indent=1) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
