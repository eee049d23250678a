"""What is filled in from the clip, shaped as a model wants it. Pure."""

from __future__ import annotations

import math

from gpu_agent.errors import Fault, RenderFailedError
from gpu_agent.providers.adapter import ClipInfo
from schemas.base import Scalar
from schemas.routing import ClipRule


def measured(clip: ClipInfo, rule: ClipRule) -> dict[str, Scalar]:
    """Return the parameters that only the agent may give.

    Frames and sides go down to what the rule allows, so that a model never has to make up a frame:
    Wan gets 81 of 83. A clip that is much longer than a model can take is refused, because half an
    effect would be sold as a whole one.

    Raises:
        RenderFailedError: ``INPUT_TOO_LARGE``.
    """
    if rule.max_frames and clip.frames > rule.max_frames:
        raise RenderFailedError(
            Fault.INPUT_TOO_LARGE,
            f"the clip has {clip.frames} frames, this provider takes {rule.max_frames} at most",
        )
    width, height = _sides(clip, rule)
    return {
        "input_width": width,
        "input_height": height,
        "input_frames": _frames(clip.frames, rule),
    }


def _frames(frames: int, rule: ClipRule) -> int:
    step, rest = max(rule.frame_multiple, 1), rule.frame_remainder
    return max((frames - rest) // step * step + rest, rest, 1)


def _sides(clip: ClipInfo, rule: ClipRule) -> tuple[int, int]:
    pixels = clip.width * clip.height
    too_large = rule.max_pixels and pixels > rule.max_pixels
    scale = math.sqrt(rule.max_pixels / pixels) if too_large else 1.0
    step = max(rule.size_multiple, 1)
    width, height = (max(int(side * scale) // step, 1) * step for side in (clip.width, clip.height))
    return width, height
