"""Nodes that change size, place, order or number of images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from gpu_agent.renderer.errors import RendererError
from gpu_agent.renderer.nodes.context import Inputs, Result, Run, collect, each, one
from gpu_agent.renderer.nodes.lengths import Cut, Joined, Length, Longest, Loop
from gpu_agent.renderer.nodes.values import Batch, Frame, Held, Pixels
from gpu_agent.renderer.pixels import blending, scaling

FRAMES_LIMIT: Final = 1_000_000
"""A batch may be repeated to so many frames and no more."""
_PIXEL_BYTES: Final = 12
_MEGAPIXEL: Final = 1024 * 1024
_TURNS: Final = {"none": 0, "90 degrees": 1, "180 degrees": 2, "270 degrees": 3}
_SPACING_COLORS: Final = {
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
    run.allow(height * width * _PIXEL_BYTES)
    levels = np.array([color >> 16 & 255, color >> 8 & 255, color & 255], np.uint8)
    frame = np.ascontiguousarray(np.broadcast_to(levels, (height, width, 3)))
    return one(Held((frame,) * inputs.integer("batch_size", 1)))


def scale(inputs: Inputs, run: Run) -> Result:
    """ImageScale: a side of 0 follows the aspect."""
    batch = inputs.batch("image")
    width, height = inputs.integer("width"), inputs.integer("height")
    if width == 0 and height == 0:
        return one(batch)
    width = width or max(1, round(batch.width * height / batch.height))
    height = height or max(1, round(batch.height * width / batch.width))
    crop = inputs.text("crop") == "center"
    return one(_scaled(run, batch, width, height, inputs.text("upscale_method"), crop=crop))


def scale_by(inputs: Inputs, run: Run) -> Result:
    """ImageScaleBy."""
    batch, factor = inputs.batch("image"), inputs.number("scale_by")
    width = max(1, round(batch.width * factor))
    height = max(1, round(batch.height * factor))
    return one(_scaled(run, batch, width, height, inputs.text("upscale_method")))


def scale_to_pixels(inputs: Inputs, run: Run) -> Result:
    """ImageScaleToTotalPixels: the aspect stays, the area becomes so many megapixels."""
    batch, step = inputs.batch("image"), inputs.integer("resolution_steps", 1)
    total = inputs.number("megapixels") * _MEGAPIXEL
    factor = (total / (batch.width * batch.height)) ** 0.5
    width = max(1, round(batch.width * factor / step)) * step
    height = max(1, round(batch.height * factor / step)) * step
    return one(_scaled(run, batch, width, height, inputs.text("upscale_method")))


def scale_to_side(inputs: Inputs, run: Run) -> Result:
    """ImageScaleToMaxDimension: the longer side becomes that long."""
    batch, longest = inputs.batch("image"), inputs.integer("largest_size")
    factor = longest / max(batch.width, batch.height)
    width = longest if batch.width >= batch.height else max(1, round(batch.width * factor))
    height = longest if batch.height >= batch.width else max(1, round(batch.height * factor))
    if longest == 0:
        return one(batch)
    return one(_scaled(run, batch, width, height, inputs.text("upscale_method")))


def resize_longer(inputs: Inputs, run: Run) -> Result:
    """ResizeImagesByLongerEdge."""
    return _edge(inputs, run, inputs.integer("longer_edge"), longer=True)


def resize_shorter(inputs: Inputs, run: Run) -> Result:
    """ResizeImagesByShorterEdge."""
    return _edge(inputs, run, inputs.integer("shorter_edge"), longer=False)


def _edge(inputs: Inputs, run: Run, side: int, *, longer: bool) -> Result:
    batch = inputs.batch("images")
    if (batch.width > batch.height) == longer:
        width, height = side, max(1, int(batch.height * side / batch.width))
    else:
        width, height = max(1, int(batch.width * side / batch.height)), side
    return one(_scaled(run, batch, width, height, "lanczos"))


def _scaled(
    run: Run, batch: Batch, width: int, height: int, method: str, *, crop: bool = False
) -> Batch:
    run.allow(width * height * _PIXEL_BYTES)
    change = scaling.fit if crop else scaling.resize
    return collect(
        run,
        lambda index: change(batch.image(index), width, height, method),
        length=batch.length,
        reads=(batch,),
    )


def crop(inputs: Inputs, run: Run) -> Result:
    """ImageCrop: never pads; a corner beyond the image is moved to its last pixel."""
    batch = inputs.batch("image")
    x = min(inputs.integer("x"), batch.width - 1)
    y = min(inputs.integer("y"), batch.height - 1)
    right, bottom = x + inputs.integer("width"), y + inputs.integer("height")
    return _moved(run, batch, lambda frame: frame[y:bottom, x:right])


def crop_center(inputs: Inputs, run: Run) -> Result:
    """CenterCropImages: no larger than the image."""
    batch = inputs.batch("images")
    width = min(inputs.integer("width"), batch.width)
    height = min(inputs.integer("height"), batch.height)
    x, y = (batch.width - width) // 2, (batch.height - height) // 2
    return _moved(run, batch, lambda frame: frame[y : y + height, x : x + width])


def flip(inputs: Inputs, run: Run) -> Result:
    """ImageFlip."""
    if inputs.text("flip_method").startswith("x"):
        return _moved(run, inputs.batch("image"), lambda frame: frame[::-1])
    return _moved(run, inputs.batch("image"), lambda frame: frame[:, ::-1])


def rotate(inputs: Inputs, run: Run) -> Result:
    """ImageRotate: clockwise."""
    turns = _TURNS[inputs.text("rotation")]
    return _moved(run, inputs.batch("image"), lambda frame: np.rot90(frame, -turns))


def from_batch(inputs: Inputs, run: Run) -> Result:
    """ImageFromBatch: limited to what is there; a negative start counts back."""
    batch = inputs.batch("image")
    start = inputs.integer("batch_index")
    if start < 0:
        start = max(0, start + len(batch))
    elif not batch.length.has(start):
        start = len(batch) - 1
    length = inputs.integer("length")
    if isinstance(batch, Held):
        return one(Held(batch.all[start : start + length], matrix=batch.matrix))
    part = collect(
        run,
        lambda index: batch.stored(start + index),
        length=Cut(batch.length, start, length),
        reads=(batch,),
    )
    return one(part)


def repeat(inputs: Inputs, run: Run) -> Result:
    """RepeatImageBatch: the whole batch again and again; no image is copied."""
    batch, amount = inputs.batch("image"), inputs.integer("amount")
    length = Loop(batch.length, amount)
    if length.hint > FRAMES_LIMIT:
        raise RendererError(f"more than {FRAMES_LIMIT} frames: {length.hint}")
    if isinstance(batch, Held):
        return one(Held(batch.all * amount, matrix=batch.matrix))

    def work(index: int) -> Frame:
        return batch.stored(index if batch.length.has(index) else index % len(batch))

    return one(collect(run, work, length=length, reads=(batch,)))


def join(inputs: Inputs, run: Run) -> Result:
    """ImageBatch: the second is scaled to the size of the first; a lacking alpha becomes 1."""
    first, second = inputs.batch("image1"), inputs.batch("image2")
    width, height = first.width, first.height
    channels = max(first.shape[2], second.shape[2])
    first = _widened(run, first, channels)
    second = _widened(run, second, channels)
    if (second.width, second.height) != (width, height):
        second = _scaled(run, second, width, height, "bilinear", crop=True)
    if isinstance(first, Held) and isinstance(second, Held):
        return one(Held(first.all + second.all, matrix=first.matrix))

    def work(index: int) -> Frame:
        if first.length.has(index):
            return first.stored(index)
        return second.stored(index - len(first))

    length = Joined(first.length, second.length)
    return one(collect(run, work, length=length, reads=(first, second)))


def _widened(run: Run, batch: Batch, channels: int) -> Batch:
    if batch.shape[2] == channels:
        return batch
    return collect(
        run,
        lambda index: blending.with_channels(batch.image(index), channels),
        length=batch.length,
        reads=(batch,),
    )


def size(inputs: Inputs, _run: Run) -> Result:
    """GetImageSize."""
    batch = inputs.batch("image")
    return Result(values=(batch.width, batch.height, len(batch)))


def pad(inputs: Inputs, run: Run) -> Result:
    """ResizeAndPadImage: fits the image inside and centres it."""
    batch = inputs.batch("image")
    width, height = inputs.integer("target_width"), inputs.integer("target_height")
    run.allow(width * height * _PIXEL_BYTES)
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


def pad_for_outpaint(inputs: Inputs, run: Run) -> Result:
    """ImagePadForOutpaint: grey around the image, and a mask of what is new, feathered inwards."""
    batch = inputs.batch("image")
    left, top, right, bottom = (inputs.integer(s) for s in ("left", "top", "right", "bottom"))
    width, height = batch.width + left + right, batch.height + top + bottom
    run.allow(width * height * _PIXEL_BYTES)
    feather = inputs.integer("feathering")

    def work(image: Pixels) -> Pixels:
        out = np.full((height, width, image.shape[2]), np.float32(0.5))
        out[top : top + batch.height, left : left + batch.width] = image
        return out

    mask = np.ones((height, width), np.float32)
    inner = np.zeros((batch.height, batch.width), np.float32)
    if feather > 0 and feather * 2 < batch.height and feather * 2 < batch.width:
        far = float(max(batch.height, batch.width))
        rows, columns = np.arange(batch.height), np.arange(batch.width)
        # a side without padding is no edge to be feathered
        above = rows if top else np.full_like(rows, far)
        below = batch.height - rows if bottom else np.full_like(rows, far)
        before = columns if left else np.full_like(columns, far)
        behind = batch.width - columns if right else np.full_like(columns, far)
        near = np.minimum.outer(np.minimum(above, below), np.minimum(before, behind))
        inner = (np.maximum(0, (feather - near) / feather) ** 2).astype(np.float32)
    mask[top : top + batch.height, left : left + batch.width] = inner
    return Result(values=(each(run, batch, work).values[0], Held((mask,))))


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
    channels = max(first.shape[2], second.shape[2])

    def work(index: int) -> Pixels:
        a, b = (blending.with_channels(b.at_most(index), channels) for b in (first, second))
        a, b = (a, _matched(b, a, axis)) if match else _padded(a, b, axis, color)
        parts = [b, a] if direction in ("left", "up") else [a, b]
        if spacing:
            across = a.shape[1 - axis]
            shape = (across, spacing, channels) if axis == 1 else (spacing, across, channels)
            strip = np.ones(shape, np.float32)
            strip[..., :3] = _SPACING_COLORS[color]
            parts.insert(1, strip)
        return np.concatenate(parts, axis=axis)

    length: Length = Longest(first.length, second.length)
    if first.length is second.length:
        length = first.length
    return one(collect(run, work, length=length, reads=(first, second)))


def _matched(image: Pixels, like: Pixels, axis: int) -> Pixels:
    height, width = image.shape[:2]
    if axis == 1:
        target = max(1, int(like.shape[0] * width / height)), like.shape[0]
    else:
        target = like.shape[1], max(1, int(like.shape[1] * height / width))
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

    return one(collect(run, work, length=batch.length, reads=(batch,)))
