"""Faces that look at the camera. Two detectors must agree, so that a cartoon is no person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
from cv2 import data as cascades

from media.frames import Pixels

_SIDE: Final = 480
_SMALLEST: Final = 32
_NEIGHBOURS: Final = 5
_SCALE: Final = 1.15
_OVERLAP: Final = 0.3
_FIRST: Final = "haarcascade_frontalface_default.xml"
_SECOND: Final = "haarcascade_frontalface_alt2.xml"

Box = Sequence[int]


class FaceFinder:
    """Finds faces in luma frames. Not to be shared between threads."""

    def __init__(self) -> None:
        self._loaded: dict[str, cv2.CascadeClassifier] = {}

    def finds(self, luma: Pixels) -> bool:
        """Say whether both detectors see a face in the same place."""
        scale = min(1.0, _SIDE / max(luma.shape))
        size = (round(luma.shape[1] * scale), round(luma.shape[0] * scale))
        picture = cv2.equalizeHist(cv2.resize(luma, size, interpolation=cv2.INTER_AREA))
        firsts = self._boxes(_FIRST, picture)
        if not firsts:
            return False
        seconds = self._boxes(_SECOND, picture)
        return any(_overlap(one, other) >= _OVERLAP for one in firsts for other in seconds)

    def _boxes(self, name: str, picture: cv2.typing.MatLike) -> list[Box]:
        if name not in self._loaded:
            self._loaded[name] = cv2.CascadeClassifier(str(Path(cascades.haarcascades) / name))
        found = self._loaded[name].detectMultiScale(
            picture,
            scaleFactor=_SCALE,
            minNeighbors=_NEIGHBOURS,
            minSize=(_SMALLEST, _SMALLEST),
        )
        return [tuple(int(side) for side in box) for box in found]


def _overlap(one: Box, other: Box) -> float:
    """Return the shared area in shares of the area that both cover."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    shared = max(0, right - left) * max(0, bottom - top)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
