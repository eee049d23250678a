"""First guesses about an imported graph: which effect it is, and what a frame of it takes. Pure.

The seconds are of a real ComfyUI on one CPU, for a frame of 640 x 360, and of one GPU for models.
They only have to be of the right size: the Economic Engine learns from the first renders on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from schemas.routing import CostModel
from workflows.graphs import Graph, class_of, classes, inputs_of, literals

STYLE: Final = "style_transfer"
COLOR: Final = "color_correction"
DETAIL: Final = "detail_enhancement"
MOTION: Final = "motion_enhancement"
UPSCALE: Final = "upscale"
FRAMING: Final = "framing"
TEXT: Final = "text_overlay"

_BY_WORD: Final[Mapping[str, tuple[str, str]]] = {
    "upscale": (UPSCALE, "upscale"),
    "upscale2x": (UPSCALE, "upscale_2x"),
    "esrgan": (UPSCALE, "upscale_4x"),
    "interpolation": (MOTION, "smooth"),
    "smooth": (MOTION, "smooth"),
    "slowmo": (MOTION, "slow_motion"),
    "warm": (COLOR, "cinematic_warm"),
    "cinematic": (COLOR, "cinematic_warm"),
    "noir": (COLOR, "noir"),
    "grade": (COLOR, "grade"),
    "color": (COLOR, "color_transfer"),
    "colour": (COLOR, "color_transfer"),
    "brightness": (COLOR, "brightness"),
    "contrast": (COLOR, "contrast"),
    "invert": (COLOR, "invert"),
    "bloom": (STYLE, "glow"),
    "glow": (STYLE, "glow"),
    "dream": (STYLE, "dream"),
    "grain": (STYLE, "film_grain"),
    "pixelate": (STYLE, "pixelate"),
    "posterize": (STYLE, "posterize"),
    "vhs": (STYLE, "vhs"),
    "vignette": (STYLE, "vignette"),
    "painterly": (STYLE, "painterly"),
    "anime": (STYLE, "anime"),
    "sharpen": (DETAIL, "crisp"),
    "crisp": (DETAIL, "crisp"),
    "detail": (DETAIL, "clarity"),
    "letterbox": (FRAMING, "letterbox"),
    "crop": (FRAMING, "crop"),
    "rotate": (FRAMING, "rotate"),
    "flip": (FRAMING, "flip"),
    "text": (TEXT, "caption"),
    "caption": (TEXT, "caption"),
}
"""What a word of the title says: effect type and look."""
_BY_CLASS: Final[Mapping[str, tuple[str, str]]] = {
    "ImageUpscaleWithModel": (UPSCALE, "upscale_4x"),
    "FrameInterpolate": (MOTION, "smooth"),
    "TextOverlay": (TEXT, "caption"),
    "ColorTransfer": (COLOR, "color_transfer"),
    "ImageQuantize": (STYLE, "posterize"),
    "LTXVPreprocess": (STYLE, "vhs"),
    "ImageAddNoise": (STYLE, "film_grain"),
    "Morphology": (STYLE, "painterly"),
    "ImageSharpen": (DETAIL, "crisp"),
    "AdjustContrast": (COLOR, "contrast"),
    "AdjustBrightness": (COLOR, "brightness"),
    "ImageInvert": (COLOR, "invert"),
    "ResizeAndPadImage": (FRAMING, "letterbox"),
    "ImageCrop": (FRAMING, "crop"),
    "ImageRotate": (FRAMING, "rotate"),
    "ImageFlip": (FRAMING, "flip"),
    "ImageScaleBy": (UPSCALE, "upscale"),
}
_EMPTY: Final = frozenset({"fx", "comfy", "model", "json", "v1"})
_UNCOMMON: Final = re.compile(r"[^a-z0-9]+")

_FRAME_S: Final = 0.037
"""Decoding and encoding."""
_CPU_S: Final[Mapping[str, float]] = {
    "ImageSharpen": 0.03,
    "ImageBlend": 0.02,
    "ImageQuantize": 0.16,
    "Morphology": 0.1,
    "ColorTransfer": 0.3,
    "ImageAddNoise": 0.06,
    "LTXVPreprocess": 0.07,
    "ImageScale": 0.007,
    "ImageScaleBy": 0.15,
    "GLSLShader": 0.12,
    "Canny": 0.5,
    "ImageBatch": 0.05,
    "SaveWEBM": 0.08,
    "LoadVideo": 0.0,
    "GetVideoComponents": 0.0,
    "CreateVideo": 0.0,
    "SaveVideo": 0.0,
}
_OTHER_S: Final = 0.01
_STEP_S: Final = (("LTX", 0.1), ("Wan", 0.12), ("SVD", 0.06), ("ADE_", 0.08))
"""What a frame takes in each step, by what the classes of a model's nodes begin with."""
_OTHER_STEP_S: Final = 0.08
_GPU_S: Final[Mapping[str, float]] = {"ImageUpscaleWithModel": 0.2, "FrameInterpolate": 0.1}
_COLD_S: Final = 15.0
"""For each model file."""
_TOKENS_PER_S: Final = 0.4
"""What the shipped providers ask above their cost."""
_LARGE: Final = re.compile(r"(?<![0-9.])(1[3-9]|[2-9][0-9])b", re.I)
"""A file name that says so many billion parameters."""


def effect_of(graph: Graph, title: str) -> tuple[str, str, bool]:
    """Return effect type, look, and whether there was anything to tell them by."""
    words = [each for each in _UNCOMMON.sub(" ", title.lower()).split() if each not in _EMPTY]
    for word in words:
        if word in _BY_WORD:
            return (*_BY_WORD[word], True)
    used = classes(graph)
    for kind, guess in _BY_CLASS.items():
        if kind in used:
            return (*guess, True)
    return STYLE, "_".join(words) or "custom", False


def cost_of(graph: Graph, *, sampled: bool, steps: int, models: int) -> CostModel:
    """Return what a frame may take."""
    if not sampled and not models:
        seconds, gpu, cold = _cpu_seconds(graph), "cpu", 0.0
    else:
        seconds = sum(_GPU_S.get(class_of(graph, each), 0.0) for each in graph)
        seconds += steps * _step_seconds(graph) if sampled else 0.0
        gpu, cold = _gpu_for(graph), _COLD_S * models
    return CostModel(
        base_cost_per_frame=round(seconds * _TOKENS_PER_S, 4),
        gpu_type_required=gpu,
        avg_gpu_seconds_per_frame=round(seconds, 4),
        cold_start_penalty_seconds=cold,
    )


def _cpu_seconds(graph: Graph) -> float:
    return _FRAME_S + sum(_node_seconds(graph, node_id) for node_id in graph)


def _node_seconds(graph: Graph, node_id: str) -> float:
    kind = class_of(graph, node_id)
    if kind != "ImageBlur":
        return _CPU_S.get(kind, _OTHER_S)
    radius = inputs_of(graph, node_id).get("blur_radius")
    side = radius if isinstance(radius, (int, float)) else 1
    return 0.006 + 0.0007 * min(float(side), 64.0) ** 2


def _step_seconds(graph: Graph) -> float:
    for beginning, seconds in _STEP_S:
        if any(kind.startswith(beginning) for kind in classes(graph)):
            return seconds
    return _OTHER_STEP_S


def _gpu_for(graph: Graph) -> str:
    named = (each.value for each in literals(graph) if isinstance(each.value, str))
    return "A100" if any(_LARGE.search(each) for each in named if len(each) < 256) else "A10G"
