"""Movement between neighbouring frames, as dense optical flow on small frames."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from media.frames import Footage, Numbers, Pixels

_BORDER: Final = cv2.BORDER_REPLICATE


def greys(small: Pixels) -> Pixels:
    """Return BGR frames as grey ones."""
    return np.asarray([cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in small], dtype=np.uint8)


class Flow:
    """Dense flow from one frame to the next. Not to be shared between threads."""

    def __init__(self) -> None:
        self._engine = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def between(self, first: Pixels, second: Pixels) -> Numbers:
        """Return rows, columns, 2: how far each pixel of ``first`` goes, in pixels."""
        return self._engine.calc(first, second, None)  # type: ignore[call-overload, no-any-return]  # the stubs do not allow an absent buffer


def carry_back(second: Pixels | Numbers, flow: Numbers) -> Numbers:
    """Return ``second`` moved back along ``flow``: what the first frame should look like."""
    rows, columns = second.shape
    across, down = np.meshgrid(
        np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32)
    )
    moved = cv2.remap(
        second, across + flow[..., 0], down + flow[..., 1], cv2.INTER_LINEAR, borderMode=_BORDER
    )
    return moved.astype(np.float32)


def speeds(footage: Footage, pairs: list[int]) -> Numbers:
    """Return the mean speed after each of the frames ``pairs``, in picture widths a second."""
    grey = {
        index: cv2.cvtColor(footage.small[index], cv2.COLOR_BGR2GRAY)
        for pair in pairs
        for index in (pair, pair + 1)
    }
    flow = Flow()
    width = footage.small.shape[2]
    moved = [
        float(np.linalg.norm(flow.between(grey[i], grey[i + 1]), axis=2).mean()) for i in pairs
    ]
    return np.asarray(moved, dtype=np.float32) * np.float32(footage.fps / width)
