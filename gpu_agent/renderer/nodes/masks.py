"""Nodes that make, change and use masks."""

from __future__ import annotations

import numpy as np

from gpu_agent.renderer.errors import MissingChannelError, SizeMismatchError
from gpu_agent.renderer.nodes.context import Inputs, Result, Run, collect, each, one
from gpu_agent.renderer.nodes.lengths import Longest
from gpu_agent.renderer.nodes.values import Held, Pixels
from gpu_agent.renderer.pixels import blending, filters, scaling

_CHANNELS = ("red", "green", "blue", "alpha")


def solid(inputs: Inputs, run: Run) -> Result:
    """SolidMask."""
    height, width = inputs.integer("height"), inputs.integer("width")
    run.allow(height * width * 4)
    return one(Held([np.full((height, width), inputs.number("value"), np.float32)]))


def feather(inputs: Inputs, run: Run) -> Result:
    """FeatherMask."""
    sides = {side: inputs.integer(side) for side in ("left", "top", "right", "bottom")}
    return each(run, inputs.batch("mask"), lambda mask: blending.feather(mask, **sides))


def grow(inputs: Inputs, run: Run) -> Result:
    """GrowMask."""
    steps, tapered = inputs.integer("expand"), inputs.flag("tapered_corners")
    return each(run, inputs.batch("mask"), lambda mask: filters.grow(mask, steps, tapered=tapered))


def invert(inputs: Inputs, run: Run) -> Result:
    """InvertMask."""
    return each(run, inputs.batch("mask"), lambda mask: 1 - mask)


def threshold(inputs: Inputs, run: Run) -> Result:
    """ThresholdMask: strictly greater."""
    value = np.float32(inputs.number("value"))
    return each(run, inputs.batch("mask"), lambda mask: (mask > value).astype(np.float32))


def from_image(inputs: Inputs, run: Run) -> Result:
    """ImageToMask: one channel of the image."""
    batch = inputs.batch("image")
    channel = _CHANNELS.index(inputs.text("channel"))
    if channel >= batch.shape[2]:
        raise MissingChannelError(
            f"index {channel} is out of bounds for an image of {batch.shape[2]} channels"
        )
    return each(run, batch, lambda image: np.ascontiguousarray(image[..., channel]))


def to_image(inputs: Inputs, run: Run) -> Result:
    """MaskToImage: grey."""
    return each(run, inputs.batch("mask"), lambda mask: np.repeat(mask[..., None], 3, axis=-1))


def composite(inputs: Inputs, run: Run) -> Result:
    """ImageCompositeMasked: another image over this one, through a mask."""
    target, source = inputs.batch("destination"), inputs.batch("source")
    mask = inputs.batch("mask") if inputs.has("mask") else None
    x, y = inputs.integer("x"), inputs.integer("y")
    stretch = inputs.flag("resize_source")

    def work(index: int) -> Pixels:
        layer = blending.with_channels(source.around(index), target.shape[2])
        if stretch:
            layer = scaling.resize(layer, target.width, target.height, "bilinear")
        weight = None
        if mask is not None:
            height, width = layer.shape[:2]
            weight = scaling.resize(mask.around(index), width, height, "bilinear")
        return blending.composite(target.image(index), layer, weight, x=x, y=y)

    reads = (target, source) if mask is None else (target, source, mask)
    return one(collect(run, work, length=target.length, reads=reads))


def crop(inputs: Inputs, run: Run) -> Result:
    """CropMask: what lies outside is cut off."""
    x, y = inputs.integer("x"), inputs.integer("y")
    right, bottom = x + inputs.integer("width"), y + inputs.integer("height")
    batch = inputs.batch("mask")
    if x >= batch.width or y >= batch.height:
        raise SizeMismatchError(f"{x}, {y} is outside of a mask of {batch.width}x{batch.height}")
    return each(run, batch, lambda mask: np.ascontiguousarray(mask[y:bottom, x:right]))


def from_color(inputs: Inputs, run: Run) -> Result:
    """ImageColorToMask: 1 where the image has exactly that colour."""
    color = inputs.integer("color")
    wanted = np.array([color >> 16 & 255, color >> 8 & 255, color & 255], np.float32)

    def work(image: Pixels) -> Pixels:
        levels = np.round(np.clip(image[..., :3], 0, 1) * np.float32(255))
        same: Pixels = (levels == wanted).all(axis=-1).astype(np.float32)
        return same

    return each(run, inputs.batch("image"), work)


def combine(inputs: Inputs, run: Run) -> Result:
    """MaskComposite: a mask over another, at a place, by one of six operations."""
    target, source = inputs.batch("destination"), inputs.batch("source")
    x, y, operation = inputs.integer("x"), inputs.integer("y"), inputs.text("operation")

    def work(index: int) -> Pixels:
        return blending.combine(target.around(index), source.around(index), operation, x=x, y=y)

    length = Longest(target.length, source.length)
    return one(collect(run, work, length=length, reads=(target, source)))
