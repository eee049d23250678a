"""Nodes that change the look of images."""

from __future__ import annotations

import numpy as np

from gpu_agent.renderer.errors import SizeMismatchError
from gpu_agent.renderer.nodes.context import Inputs, Result, Run, collect, each, one
from gpu_agent.renderer.nodes.lengths import Length
from gpu_agent.renderer.nodes.values import Batch, Bytes, Pixels, floats, truncated
from gpu_agent.renderer.pixels import blending, edges, filters, grading, noises, palettes, scaling

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
    length = _common_length(base, layer)

    def work(index: int) -> Pixels:
        a = base.around(index)
        b = blending.with_channels(layer.around(index), base.shape[2])
        if a.shape[:2] != b.shape[:2]:
            b = scaling.fit(b, base.width, base.height, "bicubic")
        return blending.blend(a, b, factor, mode)

    return one(collect(run, work, length=length, reads=(base, layer)))


def noise(inputs: Inputs, run: Run) -> Result:
    """ImageAddNoise: normal noise from a seed, the numbers that torch draws for the whole batch."""
    batch = inputs.batch("image")
    strength = np.float32(inputs.number("strength"))
    drawn = noises.Noise(inputs.integer("seed"), batch)

    def work(index: int) -> Pixels:
        out = drawn.frame(index)
        out *= strength
        out += batch.image(index)
        return np.clip(out, 0, 1, out=out)

    return one(collect(run, work, length=batch.length, reads=(batch,)))


def quantize(inputs: Inputs, run: Run) -> Result:
    """ImageQuantize: a palette of its own for every image."""
    colors, dither = inputs.integer("colors"), inputs.text("dither")
    batch = inputs.batch("image")

    def work(index: int) -> Bytes:
        return palettes.quantize(truncated(batch.stored(index)), colors, dither)

    return one(collect(run, work, length=batch.length, reads=(batch,)))


def canny(inputs: Inputs, run: Run) -> Result:
    """Canny: white edges on black."""
    low, high = inputs.number("low_threshold"), inputs.number("high_threshold")
    return each(run, inputs.batch("image"), lambda image: edges.canny(image, low, high))


def normalize(inputs: Inputs, run: Run) -> Result:
    """NormalizeImages: not clamped."""
    mean, spread = np.float32(inputs.number("mean")), np.float32(inputs.number("std"))
    return each(run, inputs.batch("images"), lambda image: (image - mean) / spread)


def color_transfer(inputs: Inputs, run: Run) -> Result:
    """ColorTransfer: statistics per frame, of all frames together, or of a chosen one."""
    target, reference = inputs.batch("image_target"), inputs.batch("image_ref")
    method = grading.METHODS[inputs.text("method")]
    strength, baseline = inputs.number("strength"), inputs.text("source_stats", "per_frame")
    if strength == 0:
        return one(target)
    wanted = method(reference.image(0))
    fixed: grading.Transfer | None = None
    if baseline == "uniform":
        whole = method()
        for index, frame in enumerate(target.frames()):
            run.check()
            whole += method(floats(frame))
            run.tick(index + 1, max(index + 1, target.length.hint))
        fixed = whole.towards(wanted)
    elif baseline == "target_frame":
        fixed = method(target.at_most(inputs.integer("source_stats.target_index"))).towards(wanted)

    def work(index: int) -> Pixels:
        image = target.image(index)
        move = fixed or method(image).towards(
            wanted if reference.length.hint == 1 else method(reference.at_most(index))
        )
        return grading.moved(image, move, strength)

    return one(collect(run, work, length=target.length, reads=(target, reference)))


def rgb_to_yuv(inputs: Inputs, run: Run) -> Result:
    """ImageRGBToYUV: three grey batches, not clamped."""
    image = inputs.batch("image")

    def plane(channel: int) -> Batch:
        def work(index: int) -> Pixels:
            return np.repeat(_yuv(image.image(index))[channel][..., None], 3, axis=-1)

        return collect(run, work, length=image.length, reads=(image,))

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
    if len({plane.shape for plane in planes}) > 1:
        raise SizeMismatchError.of_planes([plane.shape for plane in planes])
    red_v, green_v, green_u, blue_u = (np.float32(c) for c in _YUV_TO_RGB)

    def work(index: int) -> Pixels:
        y, u, v = (_mean(plane.around(index)) for plane in planes)
        u, v = u - np.float32(0.5), v - np.float32(0.5)
        out = np.stack([y + red_v * v, y - green_v * v - green_u * u, y + blue_u * u], axis=-1)
        return np.clip(out, 0, 1, out=out)

    return one(collect(run, work, length=planes[0].length, reads=tuple(planes)))


def _mean(image: Pixels) -> Pixels:
    return (image[..., 0] + image[..., 1] + image[..., 2]) / np.float32(3)


def _common_length(batch: Batch, other: Batch) -> Length:
    """Return the length of two batches; one of a single image goes with any other."""
    if batch.length is other.length or not other.length.has(1):
        return batch.length
    if not batch.length.has(1):
        return other.length
    if len(batch) != len(other):
        raise SizeMismatchError(f"batches of {len(batch)} and {len(other)} images")
    return batch.length
