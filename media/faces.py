"""People, by faces that look at the camera. Two detectors must agree, so a cartoon is no person.

One cascade alone sees a face in one textured frame of twenty; both see one in the same place next
to never. A drawn animal may still have a face, so where there is colour it must be that of skin:
redder than it is blue, by itself or beside the rest of the picture, which holds for every skin and
under a grade laid over all. Faces in profile and people from behind are missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from cv2 import data as cascades

from media.frames import Pixels

FACE_FRAMES: Final = 8
"""Frames of a clip that are worth looking at: each costs forty milliseconds."""
_SIDE: Final = 640
_SMALLEST: Final = 32
_SCALE: Final = 1.2
_OVERLAP: Final = 0.3
_FIRST: Final = ("haarcascade_frontalface_default.xml", 4)
_SECOND: Final = ("haarcascade_frontalface_alt2.xml", 3)
"""A cascade, and how many of its windows must see the same face."""
_WEAKEST: Final = 0.4
_PER_WEIGHT: Final = 0.05
_SURE_WEIGHT: Final = 8.0
_ONE_MORE: Final = 0.1
_SUREST: Final = 0.95
_SKINLESS: Final = 0.6
"""What is left of the confidence when a face has not the colour of skin."""
_COLOURED: Final = 2.0
"""Mean distance from grey below which a picture has no colour to go by."""

LEAST: Final = 0.5
"""From here on it is a person."""

Box = Sequence[int]


class FaceFinder:
    """Finds faces in luma frames. Not to be shared between threads."""

    def __init__(self) -> None:
        self._loaded: dict[str, cv2.CascadeClassifier] = {}

    def finds(self, luma: Pixels, colour: Pixels | None = None) -> bool:
        """Say whether a frame shows a face, sure enough to speak of a person."""
        return self.confidence(luma, colour) >= LEAST

    def confidence(self, luma: Pixels, colour: Pixels | None = None) -> float:
        """Return how sure it is that a frame shows a face, 0 when the detectors do not agree.

        ``colour`` is the same frame in BGR, of any size.
        """
        scale = min(1.0, _SIDE / max(luma.shape))
        if min(luma.shape) * scale < _SMALLEST:
            return 0.0
        size = (round(luma.shape[1] * scale), round(luma.shape[0] * scale))
        picture = cv2.equalizeHist(cv2.resize(luma, size, interpolation=cv2.INTER_AREA))
        firsts = self._boxes(_FIRST, picture)
        if not firsts:
            return 0.0
        seconds = [box for box, _ in self._boxes(_SECOND, picture)]
        sure = [
            (_WEAKEST + _PER_WEIGHT * min(max(weight, 0.0), _SURE_WEIGHT))
            * (1.0 if colour is None or _skin(colour, box, size) else _SKINLESS)
            for box, weight in firsts
            if any(_overlap(box, other) >= _OVERLAP for other in seconds)
        ]
        return max(sure, default=0.0)

    def _boxes(
        self, cascade: tuple[str, int], picture: cv2.typing.MatLike
    ) -> list[tuple[Box, float]]:
        name, neighbours = cascade
        if name not in self._loaded:
            self._loaded[name] = cv2.CascadeClassifier(str(Path(cascades.haarcascades) / name))
        boxes, _, weights = self._loaded[name].detectMultiScale3(
            picture,
            scaleFactor=_SCALE,
            minNeighbors=neighbours,
            minSize=(_SMALLEST, _SMALLEST),
            outputRejectLevels=True,
        )
        return [
            (tuple(int(side) for side in box), float(weight))
            for box, weight in zip(boxes, np.ravel(weights), strict=True)
        ]


def people(confidences: Sequence[float]) -> float:
    """Return how sure it is that a scene shows somebody, from what was found in its frames.

    Frames without a face take nothing away: people turn around.

    >>> people([0.0, 0.6, 0.0, 0.7])
    0.8
    """
    best = max(confidences, default=0.0)
    confirmed = sum(each >= LEAST for each in confidences) - 1
    return round(min(_SUREST, best + _ONE_MORE * max(0, confirmed)), 3)


def _skin(colour: Pixels, box: Box, size: tuple[int, int]) -> bool:
    """Say whether the middle of a face stands out as skin does, or the picture has no colour."""
    tones = cv2.cvtColor(colour, cv2.COLOR_BGR2YCrCb)[..., 1:].astype(np.float32) - 128.0
    coloured = float(np.abs(tones).mean())
    usual = np.median(tones.reshape(-1, 2), axis=0)
    spread = float(np.abs(tones - usual).mean())
    if max(coloured, spread) < _COLOURED:
        return True
    across, down = colour.shape[1] / size[0], colour.shape[0] / size[1]
    left, top, width, height = box
    rows = slice(int((top + height / 4) * down), int((top + height * 3 / 4) * down) + 1)
    columns = slice(int((left + width / 4) * across), int((left + width * 3 / 4) * across) + 1)
    middle = tones[rows, columns]
    redder = float(np.median(middle[..., 0] - middle[..., 1]))
    return redder >= coloured or redder - float(usual[0] - usual[1]) >= max(spread, _COLOURED)


def _overlap(one: Box, other: Box) -> float:
    """Return the shared area in shares of the area that both cover."""
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right = min(one[0] + one[2], other[0] + other[2])
    bottom = min(one[1] + one[3], other[1] + other[3])
    shared = max(0, right - left) * max(0, bottom - top)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
