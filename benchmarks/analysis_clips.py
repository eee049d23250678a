"""Real shots to put effects and looks on: films, and photographs that a camera moves over.

A source belongs to a film; what was learnt from one shot of a film is never tried on another of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from msgspec import Struct

from benchmarks.running import WorkloadError
from effectmesh import clips
from tests.unit.media_analysis.clips import Frame, read_frames

COUNT: Final = 40
_SIZE: Final = (640, 360)
_STEP: Final = 0.8
"""Columns that the camera moves over a photograph from frame to frame."""


class Source(Struct, frozen=True, kw_only=True):
    """Some frames of one shot. ``has`` names the effects that a person sees in it untouched."""

    name: str
    film: str
    file: str
    first: int = 0
    count: int = COUNT
    size: tuple[int, int] = _SIZE
    held: bool = False
    """Reported by itself; its pictures were seen while limits were set, so no fresh evidence."""
    has: frozenset[str] = frozenset()

    def frames(self) -> list[Frame]:
        """Decode them, or move over the photograph."""
        path = found(self.file)
        if path.suffix in {".jpg", ".jpeg", ".png"}:
            return _moved_over(path, self.count)
        return read_frames(path, size=self.size, first=self.first, count=self.count)


def found(name: str) -> Path:
    """Return a fetched file.

    Raises:
        WorkloadError: it was not fetched.
    """
    try:
        return clips.find_clip(name)
    except clips.NoClipError as missing:
        raise WorkloadError("analysis", str(missing)) from missing


def _moved_over(path: Path, count: int) -> list[Frame]:
    picture = cv2.imread(str(path))
    assert picture is not None
    width, height = _SIZE
    scale = max((width + COUNT) / picture.shape[1], (height + 30) / picture.shape[0])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    grown = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way)
    top = (grown.shape[0] - height) / 2
    frames = []
    for at in range(count):
        place = np.array([[1, 0, -at * _STEP], [0, 1, -top]], np.float32)
        shown = cv2.warpAffine(grown, place, _SIZE, borderMode=cv2.BORDER_REFLECT)
        frames.append(np.asarray(shown, np.uint8))
    return frames


def _photo(file: str, *has: str, held: bool = False) -> Source:
    name = Path(file).stem
    return Source(name=name, film=name, file=file, held=held, has=frozenset(has))


def _bikes(number: int, first: int, *, count: int = COUNT, held: bool = False) -> Source:
    return Source(
        name=f"bikes{number}",
        film="bikes",
        file="bikes.mp4",
        first=first,
        count=count,
        size=(640, 272),
        held=held,
    )


_COOL: Final = frozenset({"color_grade_cool"})
SOURCES: Final[Sequence[Source]] = (
    Source(name="city1", film="city", file="cityCC0.mpg", first=20, has=_COOL),
    Source(name="city2", film="city", file="cityCC0.mpg", first=125, held=True, has=_COOL),
    Source(name="bunny", film="bunny", file="bigbuckbunny.mp4", first=40),
    _bikes(0, 0, count=30),
    _bikes(1, 32, held=True),
    _bikes(2, 90),
    _bikes(3, 140, held=True),
    _bikes(4, 190),
    Source(
        name="phone",
        film="phone",
        file="carphone_pristine.mp4",
        first=10,
        size=(176, 144),
        held=True,
    ),
    Source(name="world", film="world", file="world.mp4", first=300, size=(480, 270), held=True),
    _photo("Bubbles.jpg"),
    _photo("Ill1.jpg", held=True),
    _photo("Wall.jpg"),
    _photo("astronaut.png", held=True),
    _photo("cheetah.jpg", "color_grade_warm"),
    _photo("chelsea.png", "color_grade_warm", held=True),
    _photo("coffee.png", "color_grade_warm"),
    _photo("faust_github.jpg", held=True),
    _photo("groot.jpeg"),
    _photo("motorcycle_left.png", held=True),
    _photo("rocket.jpg", "color_grade_cool"),
    _photo("tower.jpg", "teal_orange", held=True),
)
