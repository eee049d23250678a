"""Few colours: a palette by median cut, and images in it, plain or dithered, as Pillow does it."""

from __future__ import annotations

from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gpu_agent.renderer.nodes.values import Bytes

# what the eye sees of red, green and blue decides along which a box is cut
_WEIGHTS: Final = np.array([77, 150, 29])
_COLORS_COUNTED: Final = 65_536
"""With more different colours in an image, low bits are dropped until there are no more."""
# palette entries are looked up with the six upper bits of each channel
_LOOKED_UP: Final = np.uint8(0xFC)
_CELL_BITS: Final = 6
_SPREAD: Final = 512


class _Box(Struct):
    """Some colours of an image, how many pixels have each, and what these add up to."""

    colors: NDArray[np.int32]
    counts: NDArray[np.int64]
    sums: NDArray[np.int64]
    halves: tuple[_Box, _Box] | None = None

    @property
    def pixels(self) -> int:
        """Return how many pixels have these colours."""
        return int(self.counts.sum())

    def part(self, chosen: NDArray[np.bool_]) -> _Box:
        """Return a box with some of the colours."""
        return _Box(colors=self.colors[chosen], counts=self.counts[chosen], sums=self.sums[chosen])

    def leaves(self) -> list[_Box]:
        """Return the boxes that were not cut, in order."""
        if self.halves is None:
            return [self]
        return self.halves[0].leaves() + self.halves[1].leaves()


def quantize(image: Bytes, colors: int, dither: str) -> Bytes:
    """Return an image with no more than so many colours of its own."""
    found = palette(image, colors)
    if dither == "floyd-steinberg":
        return found[_diffused(image, found)]
    if dither.startswith("bayer-"):
        image = _ordered(image, int(dither.removeprefix("bayer-")), colors)
    return found[_nearest(image, found)]


def palette(image: Bytes, colors: int) -> Bytes:
    """Return colours that stand for the image: it is halved, most pixels first, by median."""
    root = _counted(image)
    waiting = _Heap()
    waiting.put(root)
    made = 1
    while made < colors and waiting:
        box = waiting.take()
        if len(box.colors) == 1:
            continue
        box.halves = _halved(box)
        made += 1
        for half in box.halves:
            waiting.put(half)
    means = [leaf.sums.sum(axis=0) / leaf.pixels for leaf in root.leaves()]
    return (np.array(means) + 0.5).astype(np.uint8)


class _Heap:
    """Boxes, the one with most pixels first; among equals the order that Pillow's heap gives."""

    def __init__(self) -> None:
        self._boxes: list[tuple[int, _Box]] = []

    def __len__(self) -> int:
        return len(self._boxes)

    def put(self, box: _Box) -> None:
        """Add a box below all that are no smaller."""
        boxes, entry = self._boxes, (box.pixels, box)
        boxes.append(entry)
        at = len(boxes)
        while at > 1 and entry[0] > boxes[at // 2 - 1][0]:
            boxes[at - 1] = boxes[at // 2 - 1]
            at //= 2
        boxes[at - 1] = entry

    def take(self) -> _Box:
        """Remove the first box."""
        boxes = self._boxes
        first, last = boxes[0][1], boxes.pop()
        at = 1
        while at * 2 <= len(boxes):
            below = at * 2
            if below < len(boxes) and boxes[below - 1][0] < boxes[below][0]:
                below += 1
            if last[0] > boxes[below - 1][0]:
                break
            boxes[at - 1] = boxes[below - 1]
            at = below
        if boxes:
            boxes[at - 1] = last
        return first


def _counted(image: Bytes) -> _Box:
    packed = _packed(image.reshape(-1, 3).astype(np.int32), 8)
    values, counts = np.unique(packed, return_counts=True)
    colors = _unpacked(values)
    sums = colors * counts[:, None]
    dropped = 0
    while len(values) > _COLORS_COUNTED:
        dropped += 1
        values, which = np.unique(_packed(colors >> dropped << dropped, 8), return_inverse=True)
        merged = np.zeros((len(values), 4), np.int64)
        np.add.at(merged, which, np.column_stack([counts, sums]))
        colors, counts, sums = _unpacked(values), merged[:, 0], merged[:, 1:]
    return _Box(colors=colors, counts=counts, sums=sums)


def _packed(colors: NDArray[np.int32], bits: int) -> NDArray[np.int32]:
    packed: NDArray[np.int32] = colors[..., 0] << 2 * bits | colors[..., 1] << bits | colors[..., 2]
    return packed


def _unpacked(values: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.stack([values >> 16, values >> 8 & 255, values & 255], axis=-1)


def _halved(box: _Box) -> tuple[_Box, _Box]:
    """Cut a box across its longest side, where more than half of its pixels are above."""
    sides = (box.colors.max(axis=0) - box.colors.min(axis=0)) * _WEIGHTS
    values = box.colors[:, int(np.argmax(sides))]
    amounts = np.bincount(values, weights=box.counts)
    above = np.cumsum(amounts[::-1])[::-1]
    # the upper half ends with the value by which it holds more than half of the pixels
    limit = int(np.flatnonzero(above * 2 > box.pixels)[-1])
    if limit == values.min():
        limit += 1
    upper = values >= limit
    return box.part(upper), box.part(~upper)


def _nearest(image: Bytes, found: Bytes) -> NDArray[np.intp]:
    """Return for each pixel the palette entry next to it, by six bits of each channel."""
    cells = _packed(image.astype(np.int32) >> (8 - _CELL_BITS), _CELL_BITS)
    present, which = np.unique(cells, return_inverse=True)
    mask = (1 << _CELL_BITS) - 1
    parts = [present >> 2 * _CELL_BITS, present >> _CELL_BITS & mask, present & mask]
    colors = np.stack(parts, axis=-1) << (8 - _CELL_BITS)
    entries = _closest(colors.astype(np.float32), found.astype(np.float32))
    chosen: NDArray[np.intp] = entries[which].reshape(image.shape[:2])
    return chosen


def _closest(colors: NDArray[np.float32], entries: NDArray[np.float32]) -> NDArray[np.intp]:
    # squares of the colours themselves do not matter; all numbers are whole and exact in float32
    distance = (entries * entries).sum(axis=1) - 2 * (colors @ entries.T)
    closest: NDArray[np.intp] = distance.argmin(axis=1)
    return closest


def _ordered(image: Bytes, order: int, colors: int) -> Bytes:
    """Return the image with Bayer's pattern added, the stronger the fewer colours there are."""
    pattern = np.zeros((1, 1))
    while len(pattern) < order:
        scaled = pattern * (4 * len(pattern) ** 2)
        pattern = np.block([[scaled - 1.5, scaled + 0.5], [scaled + 1.5, scaled - 0.5]])
        pattern /= len(pattern) ** 2
    added = (_SPREAD / colors * pattern + 0.5).astype(np.float32)
    height, width = image.shape[:2]
    tiled = np.tile(added, (-(-height // order), -(-width // order)))[:height, :width, None]
    added_to: Bytes = np.clip(image + tiled, 0, 255).astype(np.uint8)
    return added_to


def _diffused(image: Bytes, found: Bytes) -> NDArray[np.intp]:
    """Spread what each pixel lacks over its neighbours (Floyd and Steinberg 1976).

    A pixel needs its left neighbour and three of the row above, so all pixels with one sum of
    column and twice the row can be worked at once.
    """
    height, width = image.shape[:2]
    entries = found.astype(np.float32)
    whole = found.astype(np.int32)
    chosen = np.zeros((height, width), np.intp)
    # what flows to each pixel, in sixteenths, with a margin for what flows out
    flow = np.zeros((height + 1, width + 2, 3), np.int32)
    for wave in range(width + 2 * height - 2):
        top = max(0, (wave - width + 2) // 2)
        rows = np.arange(top, min(height, wave // 2 + 1))
        columns = wave - 2 * rows
        taken = flow[rows, columns + 1]
        # towards zero, as whole numbers are divided in C
        carried = np.where(taken < 0, -(-taken >> 4), taken >> 4)
        wanted = np.clip(image[rows, columns] + carried, 0, 255)
        entry = _closest((wanted & int(_LOOKED_UP)).astype(np.float32), entries)
        chosen[rows, columns] = entry
        lacking = wanted - whole[entry]
        flow[rows, columns + 2] += 7 * lacking
        flow[rows + 1, columns] += 3 * lacking
        flow[rows + 1, columns + 1] += 5 * lacking
        flow[rows + 1, columns + 2] += lacking
        if columns[0] == width - 1:
            # Pillow hands what the last column owes in blue down to the other two as well
            blue = lacking[0, 2]
            flow[rows[0] + 1, width] = (flow[rows[0] + 1, width, 2], blue, blue)
    return chosen
