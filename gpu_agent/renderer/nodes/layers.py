"""Nodes that work with transparency: layers, alpha channels, text over images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from msgspec import structs

from gpu_agent.renderer.errors import SizeMismatchError, UnsupportedError
from gpu_agent.renderer.nodes.context import Inputs, Result, Run, collect, each, one
from gpu_agent.renderer.nodes.lengths import Longest, Shortest
from gpu_agent.renderer.nodes.values import Batch, Frame, Pixels
from gpu_agent.renderer.pixels import lettering, porterduff, scaling

LETTERS_LIMIT: Final = 10_000
"""A longer text is refused: drawing it could not be interrupted."""
_MARGIN: Final = 0.01
_LINE_HEIGHT: Final = 1.2
_OUTLINE: Final = 0.04
_SMALLEST: Final = 10
_SMALLEST_SHARE: Final = 0.02
_SHRINK: Final = 0.9
_HEX: Final = re.compile(r"#([0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
_FUNCTION: Final = re.compile(r"rgba?\(((?:\s*\d{1,3}%?\s*,?){3,4})\)")
_NAMES: Final = {
    "black": "#000000",
    "white": "#ffffff",
    "red": "#ff0000",
    "lime": "#00ff00",
    "green": "#008000",
    "blue": "#0000ff",
    "yellow": "#ffff00",
    "cyan": "#00ffff",
    "aqua": "#00ffff",
    "magenta": "#ff00ff",
    "fuchsia": "#ff00ff",
    "orange": "#ffa500",
    "purple": "#800080",
    "pink": "#ffc0cb",
    "brown": "#a52a2a",
    "gold": "#ffd700",
    "silver": "#c0c0c0",
    "gray": "#808080",
    "grey": "#808080",
    "maroon": "#800000",
    "navy": "#000080",
    "olive": "#808000",
    "teal": "#008080",
}


def porter_duff(inputs: Inputs, run: Run) -> Result:
    """PorterDuffImageComposite: masks and source are scaled to the destination."""
    source, target = inputs.batch("source"), inputs.batch("destination")
    masks = inputs.batch("source_alpha"), inputs.batch("destination_alpha")
    mode = inputs.text("mode")
    if source.shape[2] != target.shape[2]:
        raise SizeMismatchError(
            f"source has {source.shape[2]} channels, destination {target.shape[2]}"
        )
    width, height = target.width, target.height
    reads = (target, source, *masks)
    length = Shortest(tuple(batch.length for batch in reads))

    def fitted(batch: Batch, index: int) -> Pixels:
        image = batch.image(index)
        if image.shape[:2] == (height, width):
            return image
        return scaling.fit(image, width, height, "bicubic")

    def both(index: int) -> tuple[Pixels, Pixels]:
        return porterduff.composite(
            fitted(source, index),
            fitted(masks[0], index),
            fitted(target, index),
            fitted(masks[1], index),
            mode,
        )

    images = collect(run, lambda index: both(index)[0], length=length, reads=reads)
    alphas = collect(run, lambda index: both(index)[1], length=length, reads=reads)
    return Result(values=(images, alphas))


def join_alpha(inputs: Inputs, run: Run) -> Result:
    """JoinImageWithAlpha: a mask is 1 where the image becomes transparent."""
    batch, mask = inputs.batch("image"), inputs.batch("alpha")

    def work(index: int) -> Pixels:
        image = batch.around(index)
        alpha = 1 - scaling.resize(mask.around(index), batch.width, batch.height, "bilinear")
        return np.concatenate([image[..., :3], alpha[..., None]], axis=-1)

    length = Longest(batch.length, mask.length)
    return one(collect(run, work, length=length, reads=(batch, mask)))


def split_alpha(inputs: Inputs, run: Run) -> Result:
    """SplitImageWithAlpha: an image without alpha is opaque."""
    batch = inputs.batch("image")

    def colors(index: int) -> Frame:
        frame: Frame = batch.stored(index)[..., :3]
        return frame if frame.flags.c_contiguous else frame.copy()

    def mask(index: int) -> Pixels:
        image = batch.image(index)
        if image.shape[2] < 4:
            return np.zeros(image.shape[:2], np.float32)
        return 1 - image[..., 3]

    return Result(
        values=tuple(
            collect(run, work, length=batch.length, reads=(batch,)) for work in (colors, mask)
        )
    )


def text_overlay(inputs: Inputs, run: Run) -> Result:
    """TextOverlay: drawn once for all images; it wraps, and shrinks until it fits."""
    batch, text = inputs.batch("images"), inputs.text("text")
    if not text.strip():
        return one(batch)
    if len(text) > LETTERS_LIMIT:
        raise UnsupportedError(f"more than {LETTERS_LIMIT} letters: {len(text)}")
    run.allow(batch.width * batch.height * 16)
    style = lettering.Style(size=1, stroke=int(inputs.flag("outline")), color=_color(inputs))
    size = max(1, round(inputs.number("font_size") / 100 * batch.height))
    block = _Block(text.replace("\\n", "\n").replace("\\t", "\t"), batch.width, batch.height)
    lines, style = block.fitted(size, style)
    placed = block.placed(lines, style, inputs.text("position"), inputs.text("align"))
    layer = lettering.draw(placed, style, batch.width, batch.height)
    # only the rows with text are worked, the others stay as they are
    inked = np.flatnonzero(layer[..., 3].any(axis=1))
    top, bottom = (int(inked[0]), int(inked[-1]) + 1) if len(inked) else (0, 0)
    alpha = layer[top:bottom, :, 3:]
    drawn, rest = layer[top:bottom, :, :3] * alpha, 1 - alpha

    def work(image: Pixels) -> Pixels:
        out = image.copy()
        part = out[top:bottom, :, :3]
        part *= rest
        part += drawn
        return out

    return each(run, batch, work)


class _Block:
    """A text that is to stand in an image."""

    def __init__(self, text: str, width: int, height: int) -> None:
        self._text = text
        self._width = width
        self._height = height
        self._margin = round(_MARGIN * min(width, height))

    def fitted(self, size: int, style: lettering.Style) -> tuple[list[str], lettering.Style]:
        """Return the lines and a style in which they fit, or the smallest one."""
        room = max(1, self._height - 2 * self._margin)
        smallest = min(size, max(_SMALLEST, round(_SMALLEST_SHARE * self._height)))
        while True:
            stroke = max(1, round(size * _OUTLINE)) if style.stroke else 0
            style = structs.replace(style, size=size, stroke=stroke)
            lines = self._wrapped(size)
            first, end = lettering.extent(lines, style, _advance(size))
            if end - first <= room or size <= smallest:
                return lines, style
            size = max(smallest, int(size * _SHRINK))

    def placed(
        self, lines: Sequence[str], style: lettering.Style, position: str, align: str
    ) -> list[lettering.Line]:
        """Return where the lines stand; the ink is flush with the margin."""
        letters, advance = lettering.font(), _advance(style.size)
        first, end = lettering.extent(lines, style, advance)
        top = self._margin - first
        if position == "bottom":
            top = self._height - self._margin - end
        placed = []
        for index, line in enumerate(lines):
            length = letters.width(line, style.size)
            x = {
                "left": float(self._margin),
                "center": self._width / 2 - length / 2,
                "right": float(self._width - self._margin - length),
            }[align]
            y = top + letters.ascent(style.size) + index * advance
            placed.append(lettering.Line(line, x, y))
        return placed

    def _wrapped(self, size: int) -> list[str]:
        room = max(1, self._width - 2 * self._margin)
        letters = lettering.font()
        lines: list[str] = []
        for raw in self._text.split("\n"):
            current = ""
            for word in _pieces(raw.split(), size, room):
                longer = f"{current} {word}" if current else word
                if current and letters.width(longer, size) > room:
                    lines.append(current)
                    current = word
                else:
                    current = longer
            lines.append(current)
        return lines


def _pieces(words: Sequence[str], size: int, room: int) -> list[str]:
    """Return the words, those wider than a line in pieces."""
    letters = lettering.font()
    pieces = []
    for word in words:
        start, length = 0, 0
        for index, char in enumerate(word):
            step = letters.advance(char, size)
            if index > start and length + step > room:
                pieces.append(word[start:index])
                start, length = index, 0
            length += step
        pieces.append(word[start:])
    return pieces


def _advance(size: int) -> int:
    return round(size * _LINE_HEIGHT)


def _color(inputs: Inputs) -> tuple[int, int, int, int]:
    text = inputs.text("color").strip().lower()
    text = _NAMES.get(text, text)
    if match := _HEX.fullmatch(text):
        digits = match[1] if len(match[1]) > 4 else "".join(d * 2 for d in match[1])
        levels = [int(digits[i : i + 2], 16) for i in range(0, len(digits), 2)]
    elif match := _FUNCTION.fullmatch(text):
        parts = re.findall(r"(\d+)(%?)", match[1])
        levels = [round(int(n) * 2.55) if share else int(n) for n, share in parts]
    else:
        raise UnsupportedError(f"unknown color specifier: {text!r}")
    red, green, blue, alpha = (*levels, 255)[:4]
    return min(red, 255), min(green, 255), min(blue, 255), min(alpha, 255)
