"""Laying one transparent image over another by the rules of Porter and Duff (1984)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import numpy as np
from msgspec import Struct

from gpu_agent.renderer.nodes.values import Pixels

_NOTHING: Final = np.float32(1e-5)


class Pair(Struct, frozen=True):
    """Source and destination, premultiplied, with their opacities."""

    s: Pixels
    sa: Pixels
    d: Pixels
    da: Pixels

    @property
    def union(self) -> Pixels:
        """Return the opacity of both together."""
        return self.sa + self.da - self.sa * self.da

    @property
    def alone(self) -> Pixels:
        """Return each where the other one is not."""
        return (1 - self.da) * self.s + (1 - self.sa) * self.d


Rule: TypeAlias = Callable[[Pair], tuple[Pixels, Pixels]]


def _overlay(p: Pair) -> tuple[Pixels, Pixels]:
    dark = 2 * p.s * p.d
    # source and destination are crossed here, as on real servers
    light = p.sa * p.da - 2 * (p.da - p.s) * (p.sa - p.d)
    return np.where(2 * p.d < p.da, dark, light), p.union


RULES: Final[Mapping[str, Rule]] = {
    "ADD": lambda p: (np.clip(p.s + p.d, 0, 1), np.clip(p.sa + p.da, 0, 1)),
    "CLEAR": lambda p: (np.zeros_like(p.d), np.zeros_like(p.da)),
    "DARKEN": lambda p: (p.alone + np.minimum(p.s, p.d), p.union),
    "DST": lambda p: (p.d, p.da),
    "DST_ATOP": lambda p: (p.sa * p.d + (1 - p.da) * p.s, p.sa),
    "DST_IN": lambda p: (p.d * p.sa, p.sa * p.da),
    "DST_OUT": lambda p: ((1 - p.sa) * p.d, (1 - p.sa) * p.da),
    "DST_OVER": lambda p: (p.d + (1 - p.da) * p.s, p.da + (1 - p.da) * p.sa),
    "LIGHTEN": lambda p: (p.alone + np.maximum(p.s, p.d), p.union),
    "MULTIPLY": lambda p: (p.s * p.d, p.sa * p.da),
    "OVERLAY": _overlay,
    "SCREEN": lambda p: (p.s + p.d - p.s * p.d, p.union),
    "SRC": lambda p: (p.s, p.sa),
    "SRC_ATOP": lambda p: (p.da * p.s + (1 - p.sa) * p.d, p.da),
    "SRC_IN": lambda p: (p.s * p.da, p.sa * p.da),
    "SRC_OUT": lambda p: ((1 - p.da) * p.s, (1 - p.da) * p.sa),
    "SRC_OVER": lambda p: (p.s + (1 - p.sa) * p.d, p.sa + (1 - p.sa) * p.da),
    "XOR": lambda p: (p.alone, (1 - p.da) * p.sa + (1 - p.sa) * p.da),
}


def composite(
    source: Pixels, source_mask: Pixels, target: Pixels, target_mask: Pixels, mode: str
) -> tuple[Pixels, Pixels]:
    """Return an image, no longer premultiplied, and its mask. Masks are 1 where transparent."""
    opacity, other = (1 - source_mask)[..., None], (1 - target_mask)[..., None]
    colors, alpha = RULES[mode](Pair(source * opacity, opacity, target * other, other))
    seen = alpha > _NOTHING
    plain = np.where(seen, colors / np.where(seen, alpha, 1), 0)
    return np.clip(plain, 0, 1, out=plain), 1 - alpha[..., 0]
