"""Resampling, as torch and Pillow do it: five methods that agree to one 8-bit step."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_agent.renderer.nodes.values import Pixels, floats, truncated

METHODS: Final = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")

_LANCZOS_SUPPORT: Final = 3.0
_FIXED_POINT_BITS: Final = 22
_TABLES_KEPT: Final = 64


def resize(image: Pixels, width: int, height: int, method: str) -> Pixels:
    """Return the image in a new size; overshoot is kept, except by lanczos."""
    if method == "lanczos":
        return _lanczos(image, width, height)
    if (image.shape[1], image.shape[0]) == (width, height):
        return image
    if method == "nearest-exact":
        rows = _nearest(image.shape[0], height)
        columns = _nearest(image.shape[1], width)
        return np.ascontiguousarray(image[rows][:, columns])
    if method == "area":
        return _averaged(_averaged(image, height, axis=0), width, axis=1)
    # neither is antialiased when shrinking; OpenCV's cubic coefficient is torch's -0.75
    flag = cv2.INTER_CUBIC if method == "bicubic" else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=flag)  # type: ignore[return-value]  # float32 in, float32 out


def center_cut(image: Pixels, width: int, height: int) -> Pixels:
    """Return the middle of the image in the aspect of ``width`` x ``height``, not yet scaled."""
    old_height, old_width = image.shape[:2]
    old, new = old_width / old_height, width / height
    x = y = 0
    if old > new:
        x = round((old_width - old_width * (new / old)) / 2)
    elif old < new:
        y = round((old_height - old_height * (old / new)) / 2)
    return image[y : old_height - y, x : old_width - x]


def fit(image: Pixels, width: int, height: int, method: str) -> Pixels:
    """Return the middle of the image, scaled to fill ``width`` x ``height``."""
    return resize(center_cut(image, width, height), width, height, method)


def _nearest(old: int, new: int) -> NDArray[np.intp]:
    # in float32, because on exact ties its rounding decides which source pixel is taken
    scale = np.float32(old) / np.float32(new)
    index = np.floor((np.arange(new, dtype=np.float32) + np.float32(0.5)) * scale)
    rows: NDArray[np.intp] = np.minimum(index.astype(np.intp), old - 1)
    return rows


def _averaged(image: Pixels, new: int, axis: int) -> Pixels:
    """Average whole source pixels: each that a target pixel touches counts fully."""
    old = image.shape[axis]
    at = np.arange(new)
    start, end = at * old // new, -(-(at + 1) * old // new)
    sums = np.cumsum(image, axis=axis, dtype=np.float64)
    zero = np.zeros_like(np.take(sums, [0], axis=axis))
    sums = np.concatenate([zero, sums], axis=axis)
    shape = [1] * image.ndim
    shape[axis] = new
    parts = np.take(sums, end, axis=axis) - np.take(sums, start, axis=axis)
    means: Pixels = (parts / (end - start).reshape(shape)).astype(np.float32)
    return means


def _lanczos(image: Pixels, width: int, height: int) -> Pixels:
    """Resample in 8 bit with fixed-point coefficients: an 8-bit step inside a float graph."""
    steps = truncated(image).astype(np.int32)
    if width != image.shape[1]:
        steps = np.ascontiguousarray(_pass(steps.swapaxes(0, 1), width).swapaxes(0, 1))
    if height != image.shape[0]:
        steps = _pass(steps, height)
    return floats(steps.astype(np.uint8))


def _pass(steps: NDArray[np.int32], new: int) -> NDArray[np.int32]:
    index, weights = _lanczos_taps(steps.shape[0], new)
    shape = (new,) + (1,) * (steps.ndim - 1)
    total = np.full((new, *steps.shape[1:]), 1 << (_FIXED_POINT_BITS - 1), dtype=np.int32)
    for tap in range(index.shape[1]):
        total += steps[index[:, tap]] * weights[:, tap].reshape(shape)
    levels: NDArray[np.int32] = np.clip(total >> _FIXED_POINT_BITS, 0, 255)
    return levels


@lru_cache(maxsize=_TABLES_KEPT)
def _lanczos_taps(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Return for each target row its source rows and their weights."""
    scale = old / new
    stretch = max(scale, 1.0)
    support = _LANCZOS_SUPPORT * stretch
    centers = (np.arange(new) + 0.5) * scale
    first = np.maximum((centers - support + 0.5).astype(np.intp), 0)
    last = np.minimum((centers + support + 0.5).astype(np.intp), old)
    taps = np.arange(int((last - first).max()))
    at = first[:, None] + taps
    x = (at - centers[:, None] + 0.5) / stretch
    weights = np.where(np.abs(x) < _LANCZOS_SUPPORT, np.sinc(x) * np.sinc(x / 3), 0.0)
    weights[at >= last[:, None]] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    fixed = np.trunc(weights * (1 << _FIXED_POINT_BITS) + np.copysign(0.5, weights))
    return np.minimum(at, old - 1), fixed.astype(np.int32)
