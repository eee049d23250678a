"""Where the shots of a clip begin.

A cut is a frame that differs from the one before far more than its neighbours do, and stays
different: a flash or a passing object returns to what was there, a new shot does not.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from media.frames import Footage, Numbers, Pixels

MIN_SCENE_FRAMES: Final = 8
_WINDOW: Final = 3
"""Neighbours on each side that a change is compared with."""
_RATIO: Final = 2.6
_LEAST_CHANGE: Final = 9.0
_CALM: Final = 0.5
"""Added to the neighbours' change, so that a still clip has no cut at every tremor."""
_LASTING: Final = 0.55
"""Share of the change that must still be there a few frames away on both sides."""
_REACH: Final = 4
_GRID: Final = (32, 18)


def cuts(footage: Footage) -> tuple[int, ...]:
    """Return the index of the first frame of every shot but the first."""
    if len(footage) < 2 * MIN_SCENE_FRAMES:
        return ()
    views = _views(footage.small)
    change = np.concatenate(([0.0], _distance(views[1:], views[:-1])))
    found: list[int] = []
    for index in np.flatnonzero(change >= _LEAST_CHANGE):
        last = found[-1] if found else 0
        too_short = index - last < MIN_SCENE_FRAMES or len(footage) - index < MIN_SCENE_FRAMES
        if not too_short and _stands_out(change, int(index)) and _lasts(views, change, int(index)):
            found.append(int(index))
    return tuple(found)


def spans(footage: Footage) -> tuple[tuple[int, int], ...]:
    """Return first and last-plus-one frame of every shot; together they are the whole clip."""
    edges = (0, *cuts(footage), len(footage))
    return tuple(pairwise(edges))


def _views(small: Pixels) -> Numbers:
    """Return tiny frames in a space where equal distances look alike."""
    tiny = [cv2.resize(frame, _GRID, interpolation=cv2.INTER_AREA) for frame in small]
    lab = [cv2.cvtColor(frame, cv2.COLOR_BGR2Lab) for frame in tiny]
    return np.stack(lab).astype(np.float32)


def _distance(one: Numbers, other: Numbers) -> NDArray[np.float64]:
    apart = np.abs(one - other).mean(axis=(-3, -2)).sum(axis=-1)
    return np.asarray(apart, dtype=np.float64)


def _stands_out(change: NDArray[np.float64], index: int) -> bool:
    around = np.concatenate(
        (change[max(1, index - _WINDOW) : index], change[index + 1 : index + 1 + _WINDOW])
    )
    return bool(change[index] >= _RATIO * (float(around.mean()) + _CALM))


def _lasts(views: Numbers, change: NDArray[np.float64], index: int) -> bool:
    before = views[max(0, index - _REACH)]
    after = views[min(len(views) - 1, index + _REACH)]
    return bool(_distance(before, after) >= _LASTING * change[index])
