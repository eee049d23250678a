"""Nodes that change the look of images."""

from __future__ import annotations

import numpy as np

from gpu_agent.renderer.errors import SizeMismatchError
from gpu_agent.renderer.nodes.context import Inputs, Result, Run, collect, each, one
from gpu_agent.renderer.nodes.values import Batch, Pixels
from gpu_agent.renderer.pixels import blending, filters, grading, scaling

_YUV_TO_RGB = (1.4025245442, 0.7144034731, 0.3443401356, 1.7730496454)


def invert(inputs: Inputs, run: Run) -> Result:
    """ImageInvert."""
    return each(run, inputs.batch("image"), lambda image: 1 - image)


def brightness(inputs: Inputs, run: Run) -> Result:
    """AdjustBrightness: times a factor, clamped."""
    factor = np.float32(inputs.number("factor"))

    def work(image: Pixels) -> Pixels:
        out = image * factor
        return np.clip(out, 0, 1, out=out)

    return each(run, inputs.batch("images"), work)


def contrast(inputs: Inputs, run: Run) -> Result:
    """AdjustContrast: away from or towards middle grey, clamped."""
    factor, middle = np.float32(inputs.number("factor")), np.float32(0.5)

    def work(image: Pixels) -> Pixels:
        out = image - middle
        out *= factor
        out += middle
        return np.clip(out, 0, 1, out=out)

    return each(run, inputs.batch("images"), work)


def blur(inputs: Inputs, run: Run) -> Result:
    """ImageBlur."""
    radius, sigma = inputs.integer("blur_radius"), inputs.number("sigma")
    return each(run, inputs.batch("image"), lambda image: filters.blur(image, radius, sigma))


def sharpen(inputs: Inputs, run: Run) -> Result:
    """ImageSharpen."""
    radius, sigma = inputs.integer("sharpen_radius"), inputs.number("sigma")
    alpha = inputs.number("alpha")
    if alpha == 0:
        return one(inputs.batch("image"))
    return each(
        run, inputs.batch("image"), lambda image: filters.sharpen(image, radius, sigma, alpha)
    )


def morphology(inputs: Inputs, run: Run) -> Result:
    """Morphology."""
    operation, size = inputs.text("operation"), inputs.integer("kernel_size")
    return each(
        run, inputs.batch("image"), lambda image: filters.morphology(image, operation, size)
    )


def blend(inputs: Inputs, run: Run) -> Result:
    """ImageBlend: a layer of another size is cut to the aspect and scaled bicubic."""
    base, layer = inputs.batch("image1"), inputs.batch("image2")
    factor, mode = inputs.number("blend_factor"), inputs.text("blend_mode")
    count = _common_length(base, layer)

    def work(index: int) -> Pixels:
        a, b = base.image(index % len(base)), layer.image(index % len(layer))
        if a.shape != b.shape:
            b = scaling.fit(b, base.width, base.height, "bicubic")
        return blending.blend(a, b, factor, mode)

    return one(collect(run, base, work, count=count, read=(base, layer)))


def noise(inputs: Inputs, run: Run) -> Result:
    """ImageAddNoise: normal noise from a seed. The numbers are numpy's, not torch's."""
    dice = np.random.Generator(np.random.PCG64(inputs.integer("seed")))
    strength = np.float32(inputs.number("strength"))

    def work(image: Pixels) -> Pixels:
        out = dice.standard_normal(image.shape, dtype=np.float32)
        out *= strength
        out += image
        return np.clip(out, 0, 1, out=out)

    return each(run, inputs.batch("image"), work)


def color_transfer(inputs: Inputs, run: Run) -> Result:
    """ColorTransfer: statistics per frame, of all frames together, or of a chosen one."""
    target, reference = inputs.batch("image_target"), inputs.batch("image_ref")
    method = grading.METHODS[inputs.text("method")]
    strength, baseline = inputs.number("strength"), inputs.text("source_stats", "per_frame")
    if strength == 0:
        return one(target)
    fixed: grading.Transfer | None = None
    if baseline == "uniform":
        pooled = np.concatenate([image.reshape(-1, 1, 3) for image in target.images()])
        fixed = method(pooled, reference.image(0))
    elif baseline == "target_frame":
        chosen = min(inputs.integer("source_stats.target_index"), len(target) - 1)
        fixed = method(target.image(chosen), reference.image(0))

    def work(index: int) -> Pixels:
        image = target.image(index)
        move = fixed or method(image, reference.image(min(index, len(reference) - 1)))
        return move(image, strength)

    return one(collect(run, target, work))


def rgb_to_yuv(inputs: Inputs, run: Run) -> Result:
    """ImageRGBToYUV: three grey batches, not clamped."""
    image = inputs.batch("image")

    def plane(channel: int) -> Batch:
        def work(index: int) -> Pixels:
            return np.repeat(_yuv(image.image(index))[channel][..., None], 3, axis=-1)

        return collect(run, image, work)

    return Result(values=tuple(plane(channel) for channel in range(3)))


def _yuv(image: Pixels) -> tuple[Pixels, Pixels, Pixels]:
    red, green, blue = (image[..., c] for c in range(3))
    y = np.float32(0.299) * red + np.float32(0.587) * green + np.float32(0.114) * blue
    half = np.float32(0.5)
    u = (blue - y) * np.float32(0.564) + half
    v = (red - y) * np.float32(0.713) + half
    return y, u, v


def yuv_to_rgb(inputs: Inputs, run: Run) -> Result:
    """ImageYUVToRGB: each plane is the mean of its three channels."""
    planes = [inputs.batch(name) for name in ("Y", "U", "V")]
    if len({plane.frames[0].shape for plane in planes}) > 1:
        raise SizeMismatchError("the planes Y, U and V differ in size")
    red_v, green_v, green_u, blue_u = (np.float32(c) for c in _YUV_TO_RGB)

    def work(index: int) -> Pixels:
        y, u, v = (_mean(plane.image(index % len(plane))) for plane in planes)
        u, v = u - np.float32(0.5), v - np.float32(0.5)
        out = np.stack([y + red_v * v, y - green_v * v - green_u * u, y + blue_u * u], axis=-1)
        return np.clip(out, 0, 1, out=out)

    return one(collect(run, planes[0], work))


def _mean(image: Pixels) -> Pixels:
    return (image[..., 0] + image[..., 1] + image[..., 2]) / np.float32(3)


def _common_length(one_batch: Batch, other: Batch) -> int:
    lengths = {len(one_batch), len(other)} - {1}
    if len(lengths) > 1:
        raise SizeMismatchError(f"batches of {len(one_batch)} and {len(other)} images")
    return lengths.pop() if lengths else 1
