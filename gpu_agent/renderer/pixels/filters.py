"""Blur, sharpen, morphology: what looks at a pixel's neighbours."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from gpu_agent.renderer.errors import RadiusTooLargeError
from gpu_agent.renderer.nodes.values import Pixels

_TABLES_KEPT: Final = 64
_SHARPEN_GAIN: Final = 10.0


@lru_cache(maxsize=_TABLES_KEPT)
def _gaussian(radius: int, sigma: float) -> Pixels:
    """Return a kernel over a grid from -1 to 1, so sigma is relative to the radius."""
    grid = np.linspace(-1, 1, 2 * radius + 1)
    kernel = np.exp(-(grid**2) / (2 * sigma**2))
    normal: Pixels = (kernel / kernel.sum()).astype(np.float32)
    return normal


def blur(image: Pixels, radius: int, sigma: float) -> Pixels:
    """Return the image smoothed; the edge is mirrored, nothing is clamped.

    Raises:
        RadiusTooLargeError: the mirrored edge would be longer than the image.
    """
    height, width = image.shape[:2]
    if radius >= min(height, width):
        raise RadiusTooLargeError(radius=radius, width=width, height=height)
    kernel = _gaussian(radius, sigma)
    return cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT_101)  # type: ignore[return-value]  # float32 in, float32 out


def sharpen(image: Pixels, radius: int, sigma: float, alpha: float) -> Pixels:
    """Return the image with its blur taken away ten times ``alpha``, clamped."""
    gain = float(np.float32(_SHARPEN_GAIN * alpha))
    out: Pixels = cv2.addWeighted(image, 1 + gain, blur(image, radius, sigma), -gain, 0)  # type: ignore[assignment]  # float32 in, float32 out
    return np.clip(out, 0, 1, out=out)


def erode(image: Pixels, size: int) -> Pixels:
    """Return the darkest of ``size`` x ``size`` neighbours; an even size reaches back farther."""
    kernel = np.ones((size, size), np.uint8)
    return cv2.erode(image, kernel, anchor=(size // 2, size // 2))  # type: ignore[return-value]  # float32 in, float32 out


def dilate(image: Pixels, size: int) -> Pixels:
    """Return the brightest of the neighbours; the mirror image of ``erode``."""
    kernel = np.ones((size, size), np.uint8)
    anchor = (size - 1) // 2
    return cv2.dilate(image, kernel, anchor=(anchor, anchor))  # type: ignore[return-value]  # float32 in, float32 out


def morphology(image: Pixels, operation: str, size: int) -> Pixels:
    """Apply one of the seven operations; pixels outside the image count as absent."""
    match operation:
        case "erode":
            return erode(image, size)
        case "dilate":
            return dilate(image, size)
        case "open":
            return dilate(erode(image, size), size)
        case "close":
            return erode(dilate(image, size), size)
        case "gradient":
            return dilate(image, size) - erode(image, size)
        case "top_hat":
            return image - dilate(erode(image, size), size)
        case _:
            return erode(dilate(image, size), size) - image


def grow(mask: Pixels, steps: int, *, tapered: bool) -> Pixels:
    """Return the mask grown by ``steps`` pixels, or shrunk where negative."""
    if steps == 0:
        return mask
    shape = cv2.MORPH_CROSS if tapered else cv2.MORPH_RECT
    kernel = cv2.getStructuringElement(shape, (3, 3))
    # beyond the longer side nothing changes any more
    rounds = min(abs(steps), sum(mask.shape))
    if steps > 0:
        return cv2.dilate(mask, kernel, iterations=rounds)  # type: ignore[return-value]  # float32 in, float32 out
    return cv2.erode(mask, kernel, iterations=rounds)  # type: ignore[return-value]  # float32 in, float32 out
