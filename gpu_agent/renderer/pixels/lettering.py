"""Drawing text in Aileron Regular, the font that real servers use, without a font library.

The outlines come from the font. Letters stand where FreeType's automatic hinting puts them, and
their heights are fitted to whole rows as it does; strokes are not, so edges differ a little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import cv2
import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gpu_agent.renderer.nodes.values import Bytes, Pixels

_DATA: Final = Path(__file__).with_name("aileron.json")
_HINTED_FROM: Final = 3
_UPRIGHT_FROM: Final = 7
# heights of small letters, capitals and others in units of the font, with how far round ones
# reach beyond; each is fitted to a whole row
_ZONES: Final = (-203, 0, 530, 690, 735)
_OVERSHOOT: Final = 14
# the top of round small letters, after which everything is enlarged, rather up than down
_SMALL_LETTERS: Final = 544
_ROUNDED_UP: Final = 40 / 64
# upright strokes in units of the font: their usual width, the widest and shortest, how straight
_STEM: Final = 84
_WIDEST_STEM: Final = 160
_SHORTEST_STEM: Final = 100
_UPRIGHT: Final = 8
# and in pixels: the thinnest, what is put into the middle of a column, how much they may differ
_THINNEST: Final = 0.75
_NARROW: Final = 1.5
_ALIKE: Final = 40 / 64
_CURVE_STEPS: Final = 6
_FINEST: Final = 16
_COARSEST: Final = 4
_SUBPIXELS: Final = 512
"""A letter is drawn this many times larger in all, divided by its size, within bounds."""
_SHIFT_BITS: Final = 4
_FAINT: Final = 4

Contour = NDArray[np.float64]


class Font:
    """Outlines and advances of the font."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._units: int = data["units"]
        self._ascent: int = data["ascent"]
        self._fit: list[str] = data["fit"]
        self._place = {char: index for index, char in enumerate(data["glyphs"])}
        self._advances = {char: glyph[0] for char, glyph in data["glyphs"].items()}
        self._contours = {
            char: [_flattened(flat) for flat in glyph[1]] for char, glyph in data["glyphs"].items()
        }
        self._stems = {char: _stems(contours) for char, contours in self._contours.items()}
        # the box that stands for unknown letters stays as it is
        self._stems[""] = []

    def ascent(self, size: int) -> int:
        """Return the rows above the line on which letters stand."""
        return math.ceil(self._ascent * size / self._units)

    def advance(self, char: str, size: int) -> int:
        """Return how far the next letter is from this one."""
        char = char if char in self._advances else ""
        plain = int(self._advances[char] * size / self._units + 0.5)
        if size > len(self._fit):
            return plain
        # hinting made it so much wider or narrower, told by a digit around three
        return plain + int(self._fit[size - 1][self._place[char]]) - 3

    def width(self, text: str, size: int) -> int:
        """Return how long a line of text is."""
        return sum(self.advance(char, size) for char in text)

    def outline(self, char: str, size: int) -> list[Contour]:
        """Return the contours of a letter in pixels, to the right and down from its origin."""
        scale = size / self._units
        char = char if char in self._contours else ""
        known, columns = _upright(self._stems[char], size, scale)
        placed = []
        for contour in self._contours[char]:
            rows = _fitted(contour[:, 1], size, scale)
            placed.append(
                np.stack([_between(contour[:, 0], known, columns, scale), -rows], axis=-1)
            )
        return placed


@lru_cache(maxsize=1)
def font() -> Font:
    """Return the font, read once."""
    return Font(msgspec.json.decode(_DATA.read_bytes()))


def _flattened(flat: Sequence[int]) -> Contour:
    """Return a closed contour of straight lines from points on it and off it."""
    points = [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat), 3)]
    whole: list[tuple[float, float, int]] = []
    for here, there in zip(points, points[1:] + points[:1], strict=True):
        whole.append(here)
        if not here[2] and not there[2]:
            # between two points off the contour lies one on it
            whole.append(((here[0] + there[0]) / 2, (here[1] + there[1]) / 2, 1))
    first = next(i for i, point in enumerate(whole) if point[2])
    whole = whole[first:] + whole[: first + 1]
    line = [whole[0][:2]]
    steps = np.arange(1, _CURVE_STEPS + 1) / _CURVE_STEPS
    for index in range(1, len(whole)):
        x, y, on = whole[index]
        if not on:
            continue
        if whole[index - 1][2]:
            line.append((x, y))
            continue
        control, start = whole[index - 1], line[-1]
        for t in steps:
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
            line.append(
                (a * start[0] + b * control[0] + c * x, a * start[1] + b * control[1] + c * y)
            )
    return np.array(line)


def _fitted(heights: NDArray[np.float64], size: int, scale: float) -> NDArray[np.float64]:
    """Return heights in pixels, with the tops and bottoms of letters on whole rows."""
    if size < _HINTED_FROM:
        return heights * scale
    small = _SMALL_LETTERS * scale
    grown = scale * max(1.0, math.floor(small + _ROUNDED_UP)) / small
    zones = np.array(_ZONES)
    rows = np.floor(zones * grown + 0.5)
    # round letters reach beyond their zone only where that is more than half a row
    beyond = _OVERSHOOT if _OVERSHOOT * grown >= 0.5 else 0
    low = np.where(zones <= 0, zones - _OVERSHOOT, zones)
    high = np.where(zones > 0, zones + _OVERSHOOT, zones)
    known = np.ravel(np.column_stack([low, high])).astype(float)
    step = beyond * grown
    bottoms, tops = np.where(zones <= 0, rows - step, rows), np.where(zones > 0, rows + step, rows)
    placed = np.ravel(np.column_stack([bottoms, tops]))
    inside: NDArray[np.float64] = np.interp(heights, known, placed)
    below, above = heights < known[0], heights > known[-1]
    inside[below] = placed[0] + (heights[below] - known[0]) * grown
    inside[above] = placed[-1] + (heights[above] - known[-1]) * grown
    return inside


def _stems(contours: Sequence[Contour]) -> list[tuple[float, float]]:
    """Return left and right of the upright strokes of a letter, from left to right."""
    edges = [edge for contour in contours for edge in _edges(contour)]
    stems: list[tuple[float, float]] = []
    for left, low, high in sorted((x, low, high) for x, low, high, rises in edges if rises):
        rights = [
            x
            for x, other_low, other_high, rises in edges
            if not rises and 0 < x - left <= _WIDEST_STEM and other_low < high and low < other_high
        ]
        if rights and (not stems or left > stems[-1][1]):
            stems.append((left, min(rights)))
    return stems


def _edges(contour: Contour) -> list[tuple[float, float, float, bool]]:
    """Return the nearly upright parts of a contour: column, lower and upper end, way."""
    found = []
    start = 0
    for index in range(1, len(contour) + 1):
        run = contour[start:index]
        same_way = len(run) < 3 or (run[-1, 1] - run[-2, 1]) * (run[1, 1] - run[0, 1]) >= 0
        ended = index == len(contour) or abs(contour[index, 0] - contour[start, 0]) > _UPRIGHT
        if not ended and same_way:
            continue
        rise = run[-1, 1] - run[0, 1]
        if abs(rise) >= _SHORTEST_STEM:
            column = float(run[:, 0].min() if rise > 0 else run[:, 0].max())
            found.append((column, float(run[:, 1].min()), float(run[:, 1].max()), bool(rise > 0)))
        start = index - 1 if index < len(contour) and start != index - 1 else index
    return found


def _upright(
    stems: Sequence[tuple[float, float]], size: int, scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return columns of a letter in units of the font, and where they are put in pixels."""
    known: list[float] = []
    placed: list[float] = []
    moved = 0.0
    for left, right in stems if size >= _UPRIGHT_FROM else ():
        width = max(
            _THINNEST,
            _STEM * scale if abs(right - left - _STEM) * scale < _ALIKE else (right - left) * scale,
        )
        middle = (left + right) / 2 * scale + moved
        if width < _NARROW:
            begin = math.floor(middle) + 0.5 - width / 2
        else:
            begin = math.floor(middle - width / 2 + 0.5)
        if not known:
            moved = begin + width / 2 - middle
        known += [left, right]
        placed += [begin, begin + width]
    return np.array(known), np.array(placed)


def _between(
    columns: NDArray[np.float64],
    known: NDArray[np.float64],
    placed: NDArray[np.float64],
    scale: float,
) -> NDArray[np.float64]:
    """Return where columns are put that lie on, between or beside the upright strokes."""
    if not len(known):
        return columns * scale
    inside: NDArray[np.float64] = np.interp(columns, known, placed)
    left, right = columns < known[0], columns > known[-1]
    inside[left] = placed[0] + (columns[left] - known[0]) * scale
    inside[right] = placed[-1] + (columns[right] - known[-1]) * scale
    return inside


class Style(Struct, frozen=True, kw_only=True):
    """How a block of text is drawn. Colours are RGBA from 0 to 255."""

    size: int
    stroke: int
    color: tuple[int, int, int, int]
    outline: tuple[int, int, int, int] = (0, 0, 0, 255)


class Line(Struct, frozen=True):
    """A line of text and where it begins: its left end, and the row on which letters stand."""

    text: str
    x: float
    y: float


def extent(lines: Sequence[str], style: Style, advance: int) -> tuple[int, int]:
    """Return the first row with ink and the one after the last, the first line's top being 0."""
    letters = font()
    tops, bottoms = [], []
    for index, line in enumerate(lines):
        baseline = letters.ascent(style.size) + index * advance
        for char in line:
            for contour in letters.outline(char, style.size):
                tops.append(baseline + math.floor(contour[:, 1].min() + 1e-6))
                bottoms.append(baseline + math.ceil(contour[:, 1].max() - 1e-6))
    if not tops:
        return 0, 0
    return min(tops) - style.stroke, max(bottoms) + style.stroke


def draw(lines: Sequence[Line], style: Style, width: int, height: int) -> Pixels:
    """Return a layer with the text in RGBA from 0 to 1, transparent elsewhere."""
    layer = np.zeros((height, width, 4), np.float32)
    fine = max(_COARSEST, min(_FINEST, _SUBPIXELS // max(1, style.size)))
    for line in lines:
        _draw_line(layer, line, style, fine)
    return layer / np.float32(255)


def _draw_line(layer: Pixels, line: Line, style: Style, fine: int) -> None:
    height, width = layer.shape[:2]
    letters = font()
    margin = style.stroke + style.size
    top = max(0, math.floor(line.y) - margin)
    bottom = min(height, math.ceil(line.y) + margin)
    if bottom <= top:
        return
    mask = np.zeros(((bottom - top) * fine, width * fine), np.uint8)
    x = line.x
    for char in line.text:
        contours = letters.outline(char, style.size)
        if contours:
            # whole numbers are the middles of fine pixels
            origin = np.array([x, line.y - top])
            placed = [((c + origin) * fine - 0.5) * (1 << _SHIFT_BITS) for c in contours]
            fixed = [np.round(c).astype(np.int32) for c in placed]
            cv2.fillPoly(mask, fixed, 255, shift=_SHIFT_BITS)
        x += letters.advance(char, style.size)
    part = layer[top:bottom]
    if style.stroke:
        _blend(part, _thick(mask, style.stroke * fine), fine, style.outline)
    _blend(part, mask, fine, style.color)


def _thick(mask: Bytes, radius: int) -> Bytes:
    far = cv2.distanceTransform(cv2.bitwise_not(mask), cv2.DIST_L2, cv2.DIST_MASK_5)
    return (far <= radius - 0.5).astype(np.uint8) * 255


def _blend(part: Pixels, mask: Bytes, fine: int, color: tuple[int, int, int, int]) -> None:
    """Mix a colour, its transparency included, into a layer, as Pillow does with RGBA."""
    size = (mask.shape[1] // fine, mask.shape[0] // fine)
    cover = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    # outlines are drawn half a fine pixel too wide; what only that covers is left out
    cover[cover < _FAINT + 128 // fine] = 0
    share = (cover.astype(np.float32) / 255)[..., None]
    # where nothing was drawn yet the colour counts in full, and only its alpha by the share
    fresh = (part[..., 3:] == 0) & (share > 0)
    whole = np.concatenate([np.where(fresh, 1, share)] * 3 + [share], axis=-1)
    part += whole * (np.array(color, np.float32) - part)
    np.round(part, out=part)
