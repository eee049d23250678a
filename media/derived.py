"""What is made of a clip beside the mezzanine, from the pictures that go into it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from media.fingerprint import PICTURES, SIDE, fingerprint
from media.job import POSTER_NAME, PREVIEW_NAME
from media.stills import PREVIEW_SIDE, shrunk, write_poster, write_preview

PREVIEW_PICTURES: Final = 24
"""Three seconds, whatever the length of the clip."""
SAMPLE_SIDE: Final = 256
_POSTER_AT_SECONDS: Final = 1


class Derived:
    """Looks at each picture of a mezzanine as it is written, and keeps the few that it needs."""

    def __init__(self, folder: Path, *, total: int, rate: Fraction) -> None:
        self._folder = folder
        self._poster_slot = min(round(rate * _POSTER_AT_SECONDS), total - 1)
        self._preview_slots = set(spread(min(PREVIEW_PICTURES, total), total))
        self._sample_slots = spread(PICTURES, total)
        self._preview: list[VideoFrame] = []
        self._grey: list[NDArray[np.uint8]] = []
        self.samples: list[NDArray[np.uint8]] = []
        """Square RGB pictures for screening."""

    def see(self, slot: int, picture: VideoFrame) -> None:
        """Take what is needed of the picture in one slot."""
        if slot == self._poster_slot:
            write_poster(picture, self._folder / POSTER_NAME)
        if slot in self._preview_slots:
            self._preview.append(shrunk(picture, PREVIEW_SIDE))
        # a very short clip has some picture more than once
        for _ in range(self._sample_slots.count(slot)):
            self._grey.append(_reshaped(picture, SIDE, "gray", "AREA"))
            self.samples.append(_reshaped(picture, SAMPLE_SIDE, "rgb24", "BILINEAR"))

    def finish(self) -> str:
        """Write the preview; return the clip's fingerprint, empty when it has none."""
        write_preview(self._preview, self._folder / PREVIEW_NAME)
        return fingerprint(self._grey)


def spread(count: int, total: int) -> list[int]:
    """Return so many slots, evenly spaced, none at the very edge.

    >>> spread(4, 100), spread(4, 2)
    ([12, 37, 62, 87], [0, 0, 1, 1])
    """
    return [(2 * index + 1) * total // (2 * count) for index in range(count)]


def _reshaped(picture: VideoFrame, side: int, form: str, how: str) -> NDArray[np.uint8]:
    pixels = picture.reformat(width=side, height=side, format=form, interpolation=how)
    return np.ascontiguousarray(pixels.to_ndarray(), dtype=np.uint8)
