"""Nodes that change size, place, order or number of images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gpu_agent.renderer.nodes.context import Inputs, Result, Run, collect, each, one
from gpu_agent.renderer.nodes.values import Batch, Frame, Pixels
from gpu_agent.renderer.pixels import scaling

# one float image is made before the size of a batch is known
_PIXEL_BYTES = 12
_TURNS = {"none": 0, "90 degrees": 1, "180 degrees": 2, "270 degrees": 3}
_SPACING_COLORS = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
}


def empty_image(inputs: Inputs, run: Run) -> Result:
    """EmptyImage: one colour, stored once however many are asked for."""
    color = inputs.integer("color")
    height, width = inputs.integer("height"), inputs.integer("width")
    run.reserve(height * width * 3)
    levels = np.array([color >> 16 & 255, color >> 8 & 255, color & 255], np.uint8)
    frame = np.ascontiguousarray(np.broadcast_to(levels, (height, width, 3)))
    return one(Batch((frame,) * inputs.integer("batch_size")))


def scale(inputs: Inputs, run: Run) -> Result:
    """ImageScale: a side of 0 follows the aspect."""
    batch = inputs.batch("image")
    width, height = inputs.integer("width"), inputs.integer("height")
    if width == 0 and height == 0:
        return one(batch)
    width = width or max(1, round(batch.width * height / batch.height))
    height = height or max(1, round(batch.height * width / batch.width))
    run.reserve(width * height * _PIXEL_BYTES)
    method = inputs.text("upscale_method")
    change = scaling.fit if inputs.text("crop") == "center" else scaling.resize
    return each(run, batch, lambda image: change(image, width, height, method))


def scale_by(inputs: Inputs, run: Run) -> Result:
    """ImageScaleBy."""
    batch, factor = inputs.batch("image"), inputs.number("scale_by")
    width = max(1, round(batch.width * factor))
    height = max(1, round(batch.height * factor))
    run.reserve(width * height * _PIXEL_BYTES)
    method = inputs.text("upscale_method")
    return each(run, batch, lambda image: scaling.resize(image, width, height, method))


def crop(inputs: Inputs, run: Run) -> Result:
    """ImageCrop: never pads; a corner beyond the image is moved to its last pixel."""
    batch = inputs.batch("image")
    x = min(inputs.integer("x"), batch.width - 1)
    y = min(inputs.integer("y"), batch.height - 1)
    right, bottom = x + inputs.integer("width"), y + inputs.integer("height")
    return _moved(run, batch, lambda frame: frame[y:bottom, x:right])


def flip(inputs: Inputs, run: Run) -> Result:
    """ImageFlip."""
    if inputs.text("flip_method").startswith("x"):
        return _moved(run, inputs.batch("image"), lambda frame: frame[::-1])
    return _moved(run, inputs.batch("image"), lambda frame: frame[:, ::-1])


def rotate(inputs: Inputs, run: Run) -> Result:
    """ImageRotate: clockwise."""
    turns = _TURNS[inputs.text("rotation")]
    return _moved(run, inputs.batch("image"), lambda frame: np.rot90(frame, -turns))


def from_batch(inputs: Inputs, _run: Run) -> Result:
    """ImageFromBatch: limited to what is there; a negative start counts back."""
    batch = inputs.batch("image")
    start = inputs.integer("batch_index")
    start = max(0, start + len(batch)) if start < 0 else min(start, len(batch) - 1)
    frames = batch.frames[start : start + inputs.integer("length")]
    return one(Batch(frames, matrix=batch.matrix))


def repeat(inputs: Inputs, _run: Run) -> Result:
    """RepeatImageBatch: the whole batch again and again; no image is copied."""
    batch = inputs.batch("image")
    return one(Batch(batch.frames * inputs.integer("amount"), matrix=batch.matrix))


def join(inputs: Inputs, run: Run) -> Result:
    """ImageBatch: the second is scaled to the size of the first."""
    first, second = inputs.batch("image1"), inputs.batch("image2")
    width, height = first.width, first.height
    if (second.width, second.height) != (width, height):
        second = collect(
            run,
            second,
            lambda index: scaling.fit(second.image(index), width, height, "bilinear"),
        )
    return one(Batch(first.frames + second.frames, matrix=first.matrix))


def size(inputs: Inputs, _run: Run) -> Result:
    """GetImageSize."""
    batch = inputs.batch("image")
    return Result(values=(batch.width, batch.height, len(batch)))


def pad(inputs: Inputs, run: Run) -> Result:
    """ResizeAndPadImage: fits the image inside and centres it."""
    batch = inputs.batch("image")
    width, height = inputs.integer("target_width"), inputs.integer("target_height")
    run.reserve(width * height * _PIXEL_BYTES)
    ratio = min(width / batch.width, height / batch.height)
    new_width, new_height = int(batch.width * ratio), int(batch.height * ratio)
    left, top = (width - new_width) // 2, (height - new_height) // 2
    method = inputs.text("interpolation")
    ground = np.float32(inputs.text("padding_color") == "white")

    def work(image: Pixels) -> Pixels:
        out = np.full((height, width, image.shape[2]), ground)
        inner = scaling.resize(image, max(1, new_width), max(1, new_height), method)
        out[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
        return out

    return each(run, batch, work)


def stitch(inputs: Inputs, run: Run) -> Result:
    """ImageStitch: two images beside or above each other."""
    first = inputs.batch("image1")
    if not inputs.has("image2"):
        return one(first)
    second, direction = inputs.batch("image2"), inputs.text("direction")
    axis = 1 if direction in ("left", "right") else 0
    color = inputs.text("spacing_color")
    spacing = inputs.integer("spacing_width")
    spacing += spacing % 2
    match = inputs.flag("match_image_size")

    def work(index: int) -> Pixels:
        a = first.image(min(index, len(first) - 1))
        b = second.image(min(index, len(second) - 1))
        a, b = (a, _matched(b, a, axis)) if match else _padded(a, b, axis, color)
        parts = [b, a] if direction in ("left", "up") else [a, b]
        if spacing:
            shape = (a.shape[0], spacing, 3) if axis == 1 else (spacing, a.shape[1], 3)
            parts.insert(1, np.full(shape, _SPACING_COLORS[color], np.float32))
        return np.concatenate(parts, axis=axis)

    return one(collect(run, first, work, count=max(len(first), len(second))))


def _matched(image: Pixels, like: Pixels, axis: int) -> Pixels:
    height, width = image.shape[:2]
    if axis == 1:
        target = int(like.shape[0] * width / height), like.shape[0]
    else:
        target = like.shape[1], int(like.shape[1] * height / width)
    return scaling.resize(image, *target, "lanczos")


def _padded(a: Pixels, b: Pixels, axis: int, color: str) -> tuple[Pixels, Pixels]:
    """Centre the smaller of two images across the seam; only white spacing pads white."""
    across = 1 - axis
    length = max(a.shape[across], b.shape[across])
    ground = np.float32(color == "white")
    out = []
    for image in (a, b):
        missing = length - image.shape[across]
        widths = [(0, 0)] * 3
        widths[across] = (missing // 2, missing - missing // 2)
        out.append(np.pad(image, widths, constant_values=ground))
    return out[0], out[1]


def _moved(run: Run, batch: Batch, move: Callable[[Frame], Frame]) -> Result:
    """Rearrange pixels; what is stored in 8 bit stays in 8 bit."""

    def work(index: int) -> Frame:
        moved = move(batch.stored(index))
        return moved if moved.flags.c_contiguous else moved.copy()

    return one(collect(run, batch, work, read=(batch,)))
