"""Small pictures of a run in progress, for clients that ask for them."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from gpu_agent.renderer.errors import RendererError
from gpu_agent.renderer.nodes.values import Frame, truncated

JPEG: Final = 1
PNG: Final = 2
_SIDE: Final = 512
_QUALITY: Final = 95
_INTERVAL_MS: Final = 250
_SAMPLER: Final = "KSampler"


class Previews:
    """Decides when a picture is due: after each step of a sampler, of others now and then."""

    def __init__(self, *, wanted: bool, sampler_only: bool) -> None:
        self._wanted = wanted
        self._sampler_only = sampler_only
        self._next_ms = 0

    def are_due(self, class_type: str, now_ms: int) -> bool:
        """Say whether to send a picture now."""
        if not self._wanted or (self._sampler_only and class_type != _SAMPLER):
            return False
        if class_type != _SAMPLER and now_ms < self._next_ms:
            return False
        self._next_ms = now_ms + _INTERVAL_MS
        return True


def jpeg(frame: Frame) -> bytes:
    """Return a frame, or a mask, as JPEG, no larger than a preview has to be."""
    return _encoded(frame, ".jpg", side=_SIDE)


def png(frame: Frame) -> bytes:
    """Return a frame as PNG, in full."""
    return _encoded(frame, ".png", side=None)


def _encoded(frame: Frame, suffix: str, *, side: int | None) -> bytes:
    picture = truncated(frame)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=-1)
    height, width = picture.shape[:2]
    scale = 1.0 if side is None else side / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    kept = picture.shape[2] == 4 and side is None
    colors = cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA) if kept else picture[..., 2::-1]
    flags = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if suffix == ".jpg" else []
    done, data = cv2.imencode(suffix, np.ascontiguousarray(colors), flags)
    if not done:
        raise RendererError("the picture cannot be encoded")
    return data.tobytes()
