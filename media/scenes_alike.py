"""Whether two frames show the same place, whatever the light and wherever the camera went.

Structure is compared, not colour: each frame's detail relative to its surroundings, after one
frame was laid over the other along the flow between them. Different places have little in common
however they are moved; a step of the light, a caption or a pan leaves most of it.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from media.frames import Footage, Numbers, Pixels

GRID: Final = (32, 18)
_SURROUNDINGS: Final = 6.0
_LEAST_DETAIL: Final = 3.0
"""Levels of grey; weaker detail is grain or coding and counts less."""
_FAR: Final = 3.0
"""Pixels; a picture that moved further as a whole is also laid over by that move first."""
_LEAST_COMMON: Final = 0.4
"""Share of the picture that two frames must have in common to be compared."""
_SAME_COLOURS: Final = 3.0
"""Frames this close cell by cell are alike without a look at their detail."""
_USUAL_RATE: Final = 28.0
_BAR: Final = 24
_LEAST_LEFT: Final = 0.4
_LEAST_SIDE: Final = 48
_LOOKED_AT: Final = 200
_SHADES: Final = 50.0
_KEPT: Final = 600
"""Frames whose detail is kept: at most 35 MB."""
_FLAT: Final = (3.5, 6.0)
"""Contrast of a picture with nothing in it: at night little, beside a bright shot more."""
_FLAT_SHARE: Final = 0.15
_DARK: Final = 40.0
_BRIGHT: Final = 215.0


class Views:
    """A clip's frames, made ready to be compared with each other. Not for two threads."""

    def __init__(self, footage: Footage) -> None:
        small = _large_enough(_without_bars(footage.small))
        height, width = small.shape[1:3]
        self.pace = max(1, round(footage.fps / _USUAL_RATE))
        """How many frames pass while one passes in a clip of the usual rate."""
        self.grid = _grids(small)
        """Cells of each frame in Lab, where equal distances look alike."""
        self.grey = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in small]
        level = np.array([frame.mean() for frame in self.grey])
        self.contrast = np.array([frame.std() for frame in self.grey])
        self.flat = self.contrast < _flatness(self.contrast, 12 * self.pace)
        self.plain = self.flat & ((level < _DARK) | (level > _BRIGHT))
        """Which frames are black or white and nothing else."""
        self._size = (width, height)
        self._window = cv2.createHanningWindow((width, height), cv2.CV_32F)
        across = np.arange(width, dtype=np.float32)
        down = np.arange(height, dtype=np.float32)
        self._places = np.stack(np.meshgrid(across, down), axis=-1)
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._detail: dict[int, Numbers] = {}
        self._known: dict[tuple[int, int], float] = {}

    def __len__(self) -> int:
        return len(self.grid)

    def apart(self, one: int, other: int) -> float:
        """Return how far colours are from each other, cell by cell."""
        return float(np.abs(self.grid[one] - self.grid[other]).mean(axis=(0, 1)).sum())

    def alike(self, one: int, other: int) -> float:
        """Return 1 for the same picture, near 0 for two places. Frames outside are clamped."""
        pair = (max(0, min(one, len(self) - 1)), max(0, min(other, len(self) - 1)))
        if pair not in self._known:
            same = pair[0] == pair[1] or self.apart(*pair) < _SAME_COLOURS
            self._known[pair] = 1.0 if same else self._compared(*pair)
        return self._known[pair]

    def _compared(self, one: int, other: int) -> float:
        first, second = self._detail_of(one), self._detail_of(other)
        # the window is applied to what is given, so it is given copies
        moved, _ = cv2.phaseCorrelate(first.copy(), second.copy(), self._window)
        right, down = moved
        starts = [(0.0, 0.0)]
        if abs(right) + abs(down) > _FAR:
            starts.append((right, down))
        return max(self._laid_over(first, second, start) for start in starts)

    def _laid_over(self, first: Numbers, second: Numbers, start: tuple[float, float]) -> float:
        """Return the correlation of what both show, after the second was moved onto the first."""
        guess = np.empty((*first.shape, 2), np.float32)
        guess[...] = start
        flow = self._flow.calc(_shades(first), _shades(second), guess)
        target = self._places + flow
        moved = cv2.remap(second, target, None, cv2.INTER_LINEAR)  # type: ignore[call-overload]  # the stubs do not allow one map
        inside = ((target >= 0) & (target < np.array(self._size))).all(axis=-1)
        if inside.mean() < _LEAST_COMMON:
            return 0.0
        both = first[inside], moved[inside]
        strength = float(np.sqrt((both[0] ** 2).sum() * (both[1] ** 2).sum()))
        return float((both[0] * both[1]).sum()) / (strength + 1e-6)

    def _detail_of(self, index: int) -> Numbers:
        if index not in self._detail:
            grey = self.grey[index].astype(np.float32)
            detail = grey - cv2.GaussianBlur(grey, (0, 0), _SURROUNDINGS)
            around = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _SURROUNDINGS))
            if len(self._detail) >= _KEPT:
                self._detail.pop(next(iter(self._detail)))
            self._detail[index] = np.asarray(detail / (around + _LEAST_DETAIL), np.float32)
        return self._detail[index]


def _shades(detail: Numbers) -> Pixels:
    return np.asarray(np.clip(detail * _SHADES + 128, 0, 255), dtype=np.uint8)


def _grids(small: Pixels) -> NDArray[np.float32]:
    tiny = [cv2.resize(frame, GRID, interpolation=cv2.INTER_AREA) for frame in small]
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_BGR2Lab) for frame in tiny]).astype(np.float32)


def _flatness(contrast: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Return below which contrast each frame is flat, from the strongest one around it."""
    padded = np.pad(contrast, reach, mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=-1)
    return np.asarray(np.clip(_FLAT_SHARE * around, *_FLAT), dtype=np.float64)


def _large_enough(small: Pixels) -> Pixels:
    """Grow very narrow pictures: the flow engine writes beyond its own memory on them."""
    height, width = small.shape[1:3]
    if min(height, width) >= _LEAST_SIDE:
        return small
    grow = -(-_LEAST_SIDE // min(height, width))
    return small.repeat(grow, axis=1).repeat(grow, axis=2)


def _without_bars(small: Pixels) -> Pixels:
    """Cut away what is dark in every frame: its edges are the same in all shots."""
    brightest = small[:: max(1, len(small) // _LOOKED_AT)].max(axis=(0, 3))
    rows, columns = _lit(brightest.mean(axis=1)), _lit(brightest.mean(axis=0))
    height, width = brightest.shape
    if rows[1] - rows[0] < _LEAST_LEFT * height or columns[1] - columns[0] < _LEAST_LEFT * width:
        return small
    return small[:, rows[0] : rows[1], columns[0] : columns[1]]


def _lit(bright: NDArray[np.float64]) -> tuple[int, int]:
    """Return where light begins and ends, one line further in where there was a bar."""
    lit = np.flatnonzero(bright > _BAR)
    if not lit.size:
        return 0, len(bright)
    first, last = int(lit[0]), int(lit[-1]) + 1
    return first + (first > 0), last - (last < len(bright))
