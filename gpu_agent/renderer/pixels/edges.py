"""Canny's edges, with the steps and thresholds of kornia, and a faster last step."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from gpu_agent.renderer.nodes.values import Pixels

_GREY: Final = (0.299, 0.587, 0.114)
_BLUR_SIDE: Final = 5
_EPSILON: Final = 1e-6
_EIGHTH: Final = 45
# where the gradient points to, by eighths of a turn: right, down right, down, ...
_TOWARDS: Final = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))


def canny(image: Pixels, low: float, high: float) -> Pixels:
    """Return white edges on black: what is above ``high``, and above ``low`` next to such."""
    red, green, blue = (np.float32(weight) for weight in _GREY)
    grey = red * image[..., 0] + green * image[..., 1] + blue * image[..., 2]
    smooth = cv2.GaussianBlur(
        grey, (_BLUR_SIDE, _BLUR_SIDE), 1.0, borderType=cv2.BORDER_REFLECT_101
    )
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
    strength = np.sqrt(across * across + down * down + np.float32(_EPSILON))
    ridges = _ridges(strength, np.round(np.degrees(np.arctan2(down, across)) / _EIGHTH))
    strong, weak = ridges > np.float32(high), ridges > np.float32(low)
    edge = _connected(strong, weak | strong).astype(np.float32)
    return np.repeat(edge[..., None], 3, axis=-1)


def _ridges(strength: Pixels, eighths: Pixels) -> Pixels:
    """Keep what is larger than both neighbours along the gradient; outside the image is 0."""
    height, width = strength.shape
    padded = np.pad(strength, 1)
    turn = eighths.astype(np.int8) % len(_TOWARDS)
    out = np.zeros_like(strength)
    half = len(_TOWARDS) // 2
    for way, (y, x) in enumerate(_TOWARDS[:half]):
        ahead = padded[1 + y : 1 + y + height, 1 + x : 1 + x + width]
        behind = padded[1 - y : 1 - y + height, 1 - x : 1 - x + width]
        peak = (turn % half == way) & (strength > ahead) & (strength > behind)
        np.copyto(out, strength, where=peak)
    return out


def _connected(strong: NDArray[np.bool_], weak: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the patches of ``weak`` that hold something strong."""
    count, patches = cv2.connectedComponents(weak.astype(np.uint8), connectivity=8)
    kept = np.zeros(count, bool)
    kept[patches[strong]] = True
    kept[0] = False
    connected: NDArray[np.bool_] = kept[patches]
    return connected
