"""Mixing two images. Worked through in blocks of rows, so that the steps stay in the cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from gpu_agent.renderer.nodes.values import Pixels

# about 128 KiB of float32 per array: a handful of them fit into a core's second-level cache
_BLOCK_SAMPLES: Final = 1 << 15


def blend(base: Pixels, layer: Pixels, factor: float, mode: str) -> Pixels:
    """Return ``base * (1 - factor) + mode(base, layer) * factor``, clamped."""
    out = np.empty_like(base)
    rows = max(1, _BLOCK_SAMPLES // max(1, base[0].size))
    mix = MODES[mode]
    share, rest = np.float32(factor), np.float32(1 - factor)
    for top in range(0, base.shape[0], rows):
        a, b = base[top : top + rows], layer[top : top + rows]
        mixed = mix(a, b)
        target = out[top : top + rows]
        if factor == 1:
            np.clip(mixed, 0, 1, out=target)
            continue
        np.multiply(a, rest, out=target)
        target += mixed * share
        np.clip(target, 0, 1, out=target)
    return out


def _normal(_a: Pixels, b: Pixels) -> Pixels:
    return b


def _multiply(a: Pixels, b: Pixels) -> Pixels:
    return a * b


def _screen(a: Pixels, b: Pixels) -> Pixels:
    return 1 - (1 - a) * (1 - b)


def _overlay(a: Pixels, b: Pixels) -> Pixels:
    return np.where(a <= 0.5, 2 * a * b, 1 - 2 * (1 - a) * (1 - b))


def _soft_light(a: Pixels, b: Pixels) -> Pixels:
    """Return the W3C form: darkens by ``a * (1 - a)``, lightens towards a root of ``a``."""
    weight = 2 * b
    weight -= 1
    # below a quarter the root is replaced by a cubic of finite slope
    curve = 16 * a
    curve -= 12
    curve *= a
    curve += 4
    curve *= a
    np.sqrt(a, out=curve, where=a > 0.25)
    curve -= a
    dark = 1 - a
    dark *= a
    np.copyto(curve, dark, where=b <= 0.5)
    curve *= weight
    curve += a
    return curve


def _difference(a: Pixels, b: Pixels) -> Pixels:
    return a - b


MODES: Final[Mapping[str, Callable[[Pixels, Pixels], Pixels]]] = {
    "normal": _normal,
    "multiply": _multiply,
    "screen": _screen,
    "overlay": _overlay,
    "soft_light": _soft_light,
    "difference": _difference,
}


def with_channels(image: Pixels, channels: int) -> Pixels:
    """Return an image with that many channels: surplus ones are cut off, a lacking alpha is 1."""
    if image.shape[2] >= channels:
        return image[..., :channels]
    widths = ((0, 0), (0, 0), (0, channels - image.shape[2]))
    return np.pad(image, widths, constant_values=1)


def composite(target: Pixels, source: Pixels, mask: Pixels | None, *, x: int, y: int) -> Pixels:
    """Lay ``source`` over ``target`` at a place; what lies outside is cut off."""
    height, width = target.shape[:2]
    x, y = min(x, width), min(y, height)
    visible = source[: max(0, height - y), : max(0, width - x)]
    out = target.copy()
    place = out[y : y + visible.shape[0], x : x + visible.shape[1]]
    if mask is None:
        place[:] = visible
        return out
    weight = mask[: visible.shape[0], : visible.shape[1], None]
    place[:] = weight * visible + (1 - weight) * place
    return out


def combine(target: Pixels, source: Pixels, operation: str, *, x: int, y: int) -> Pixels:
    """Combine a mask with another that lies over it at a place; the result is clamped."""
    out = target.copy()
    height, width = target.shape
    over = source[: max(0, height - y), : max(0, width - x)]
    place = out[y : y + over.shape[0], x : x + over.shape[1]]
    match operation:
        case "multiply":
            place *= over
        case "add":
            place += over
        case "subtract":
            place -= over
        case _:
            combined = _LOGIC[operation](np.round(place) != 0, np.round(over) != 0)
            place[:] = combined
    return np.clip(out, 0, 1, out=out)


_LOGIC: Final = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def feather(mask: Pixels, *, left: int, top: int, right: int, bottom: int) -> Pixels:
    """Return the mask with linear ramps at its sides; overlapping ramps multiply."""
    out = mask.copy()
    height, width = mask.shape
    for side, length, view in (
        (left, width, out.T),
        (right, width, out.T[::-1]),
        (top, height, out),
        (bottom, height, out[::-1]),
    ):
        reach = min(side, length)
        if reach:
            ramp = ((np.arange(reach) + 1.0) / reach).astype(np.float32)
            view[:reach] *= ramp[:, None]
    return out
