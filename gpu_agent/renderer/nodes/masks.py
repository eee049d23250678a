"""Nodes that make, change and use masks."""

from __future__ import annotations

import numpy as np

from gpu_agent.renderer.errors import MissingChannelError
from gpu_agent.renderer.nodes.context import Inputs, Result, Run, collect, each, one
from gpu_agent.renderer.nodes.values import Batch, Pixels
from gpu_agent.renderer.pixels import blending, filters, scaling

_CHANNELS = ("red", "green", "blue", "alpha")


def solid(inputs: Inputs, run: Run) -> Result:
    """SolidMask."""
    height, width = inputs.integer("height"), inputs.integer("width")
    run.reserve(height * width * 4)
    return one(Batch([np.full((height, width), inputs.number("value"), np.float32)]))


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
    if channel >= batch.frames[0].shape[2]:
        raise MissingChannelError(
            f"index {channel} is out of bounds for an image of {batch.frames[0].shape[2]} channels"
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
        layer = source.image(index % len(source))
        if stretch:
            layer = scaling.resize(layer, target.width, target.height, "bilinear")
        weight = None
        if mask is not None:
            height, width = layer.shape[:2]
            weight = scaling.resize(mask.image(index % len(mask)), width, height, "bilinear")
        return blending.composite(target.image(index), layer, weight, x=x, y=y)

    return one(collect(run, target, work))
