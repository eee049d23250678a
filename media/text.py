"""Whether writing stands in the picture: captions, titles, signs. No model, only shapes.

Letters are strokes: much brighter or darker than what is beside them, parted from each other, of
about one height and tone, in a row that stands level on its base. Leaves, grass and faces have
strokes too, but fainter and not on one line; windows are on one line, but alike in shape. Nothing
is read. The share is the median over frames, so that a chance row in one of them is no text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float64]
Box = tuple[int, int, int, int]
"""Left, top, width, height."""

TEXT_FRAMES: Final = 6
"""Frames of a scene that are worth looking at; each costs about ten milliseconds."""
LEAST_SHARE: Final = 0.002
_SIDE: Final = 800
_NEIGHBOURHOODS: Final = (11, 25)
"""Sides of the surroundings that strokes stand out of: small writing, and titles."""
_STANDS_OUT: Final = ((45, 72.0, 90.0), (90, 130.0, 150.0))
"""Levels of 255: of a mark, of a row of them, and of a row of fewer than ``_FEW_LETTERS``, which
may be chance. Of rows of letters on real footage 5 in 100 fall short of the second, of others 95.
At the higher level strong letters part from what lies behind them."""
_MOST_MARKS: Final = 600
_HEIGHTS: Final = (7, 120)
_FILLS: Final = (0.15, 0.95)
_SHAPES: Final = (0.08, 2.0)
"""Width by height."""
_LETTERS: Final = 4
_FEW_LETTERS: Final = 5
_SAME_HEIGHT: Final = 2.0
_SAME_ROW: Final = 0.5
_APART: Final = 0.9
_OVERLAP: Final = 0.3
_SAME_TONE: Final = 40.0
_SLOPE: Final = 0.08
_OFF_BASE: Final = 0.15
_UNLIKE_HEIGHTS: Final = 0.45
_UNLIKE_STROKES: Final = 0.45
_STROKES: Final = (0.11, 0.42)
"""Strokes by height: thinner are twigs and rims, thicker are spots."""
_UNLIKE_SHAPES: Final = 0.06

_LEFT, _TOP, _WIDTH, _HEIGHT, _TONE, _STROKE, _STRENGTH = range(7)


def text_share(frames: Sequence[Pixels]) -> float:
    """Return the share of the picture that rows of writing cover: the median over the frames."""
    return float(np.median([_share(frame) for frame in frames])) if frames else 0.0


def has_text(frames: Sequence[Pixels], *, least: float = LEAST_SHARE) -> bool:
    """Say whether writing stands in at least half of the frames, BGR or luma."""
    return text_share(frames) >= least


def text_rows(frame: Pixels) -> list[Box]:
    """Return the rows of writing in a frame, in its own pixels."""
    luma = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) if frame.ndim == 3 else frame
    scale = _SIDE / max(luma.shape)
    if scale < 1.0:
        size = (max(1, round(luma.shape[1] * scale)), max(1, round(luma.shape[0] * scale)))
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    scale = min(1.0, scale)
    found = [
        box
        for strength in _strengths(luma)
        for least, many, few in _STANDS_OUT
        for box in _rows(_marks(strength, luma, least), many, few)
    ]
    return [
        (round(x / scale), round(y / scale), round(w / scale), round(h / scale))
        for x, y, w, h in found
    ]


def _share(frame: Pixels) -> float:
    covered = np.zeros(frame.shape[:2], np.uint8)
    for left, top, width, height in text_rows(frame):
        covered[top : top + height, left : left + width] = 1
    return float(covered.mean())


def _strengths(luma: cv2.typing.MatLike) -> Iterable[cv2.typing.MatLike]:
    """Return by how much each point stands out of what is on both sides of it."""
    for side in _NEIGHBOURHOODS:
        kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (side, side))
        for way in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT):
            yield cv2.morphologyEx(luma, way, kernel)


def _marks(strength: cv2.typing.MatLike, luma: cv2.typing.MatLike, least: int) -> Numbers:
    """Return what may be letters, one a row of numbers."""
    strokes = (strength >= least).astype(np.uint8)
    count, names, stats, _ = cv2.connectedComponentsWithStats(strokes, connectivity=8)
    width, height = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    area = stats[:, cv2.CC_STAT_AREA]
    letters = _within(height, _HEIGHTS) & _within(area / (width * height), _FILLS)
    letters &= _within(width / height, _SHAPES)
    letters[0] = False  # what does not stand out
    kept = np.flatnonzero(letters)
    if len(kept) < _LETTERS:
        return np.empty((0, 7))
    kept = kept[np.argsort(-area[kept], kind="stable")[:_MOST_MARKS]]
    edge = (strokes - cv2.erode(strokes, np.ones((3, 3), np.uint8))) > 0
    around = np.bincount(names[edge], minlength=count)
    flat = names.ravel()
    columns = (
        stats[:, cv2.CC_STAT_LEFT],
        stats[:, cv2.CC_STAT_TOP],
        width,
        height,
        np.bincount(flat, luma.ravel(), minlength=count) / area,
        2.0 * area / np.maximum(around, 1),
        np.bincount(flat, strength.ravel(), minlength=count) / area,
    )
    return np.stack(columns, axis=1)[kept].astype(np.float64)


def _within(values: NDArray[Any], bounds: tuple[float, float]) -> NDArray[np.bool_]:
    return (values >= bounds[0]) & (values <= bounds[1])


def _rows(marks: Numbers, many: float, few: float) -> list[Box]:
    if not len(marks):
        return []
    marks = marks[np.argsort(marks[:, _LEFT], kind="stable")]
    return [
        _around(row)
        for row in _chained(marks)
        if len(row) >= _LETTERS
        and float(row[:, _STRENGTH].mean()) >= (many if len(row) >= _FEW_LETTERS else few)
        and _is_writing(row)
    ]


def _chained(marks: Numbers) -> list[Numbers]:
    """Return groups of marks that follow each other from left to right."""
    left, top = marks[:, _LEFT], marks[:, _TOP]
    right, bottom = left + marks[:, _WIDTH], top + marks[:, _HEIGHT]
    height = marks[:, _HEIGHT]
    low = np.minimum(height[:, None], height[None])
    shared = np.minimum(bottom[:, None], bottom[None]) - np.maximum(top[:, None], top[None])
    gap = left[None] - right[:, None]
    follows = (
        (gap > -_OVERLAP * low)
        & (gap < _APART * np.maximum(height[:, None], height[None]))
        & (left[None] > left[:, None])
        & (shared >= _SAME_ROW * low)
        & (np.maximum(height[:, None], height[None]) <= _SAME_HEIGHT * low)
        & (np.abs(marks[:, None, _TONE] - marks[None, :, _TONE]) <= _SAME_TONE)
    )
    group = list(range(len(marks)))
    for one, other in np.argwhere(follows).tolist():
        first, second = _root(group, one), _root(group, other)
        group[max(first, second)] = min(first, second)
    roots = np.array([_root(group, each) for each in range(len(marks))])
    return [marks[roots == root] for root in np.unique(roots)]


def _root(group: list[int], member: int) -> int:
    while group[member] != member:
        group[member] = group[group[member]]
        member = group[member]
    return member


def _is_writing(row: Numbers) -> bool:
    """Say whether strong marks in a row are letters: level, and alike where letters are alike."""
    height = row[:, _HEIGHT]
    base = row[:, _TOP] + height
    middle = row[:, _LEFT] + row[:, _WIDTH] / 2
    slope = float(np.polyfit(middle, base, 1)[0])
    level = base - slope * middle
    usual = float(np.median(height))
    # some letters hang below the line, so the median and not the mean
    off_base = float(np.median(np.abs(level - np.median(level)))) / usual
    stroke = row[:, _STROKE]
    return (
        abs(slope) <= _SLOPE
        and off_base <= _OFF_BASE
        and float(height.std()) <= _UNLIKE_HEIGHTS * usual
        and _STROKES[0] * usual <= float(stroke.mean()) <= _STROKES[1] * usual
        and float(stroke.std()) <= _UNLIKE_STROKES * float(stroke.mean())
        and float((row[:, _WIDTH] / height).std()) >= _UNLIKE_SHAPES
    )


def _around(row: Numbers) -> Box:
    left, top = row[:, _LEFT].min(), row[:, _TOP].min()
    right = (row[:, _LEFT] + row[:, _WIDTH]).max()
    bottom = (row[:, _TOP] + row[:, _HEIGHT]).max()
    return int(left), int(top), int(right - left), int(bottom - top)
