"""What version 0.3.64 did not have yet, or had in another form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

VERSION: Final = "0.3.64"

MISSING: Final = frozenset(
    {
        "AdjustBrightness",
        "AdjustContrast",
        "ColorTransfer",
        "FrameInterpolate",
        "FrameInterpolationModelLoader",
        "GLSLShader",
        "TextOverlay",
        "Video Slice",
    }
)
"""Classes that came later."""

_SAVED: Final[Mapping[str, list[Any]]] = {
    "format": ["COMBO", {"default": "auto", "options": ["auto", "mp4"]}],
    "codec": ["COMBO", {"default": "auto", "options": ["auto", "h264"]}],
}
_COMPONENTS: Final = 3


def form_of(class_type: str, info: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a class, as it was then."""
    if class_type == "SaveVideo":
        kept = {k: v for k, v in info["input"]["required"].items() if k not in _SAVED}
        required = {**kept, **_SAVED}
        hidden = info["input"].get("hidden", {})
        order = {"required": list(required), "hidden": list(hidden)}
        return {**info, "input": {"required": required, "hidden": hidden}, "input_order": order}
    if class_type == "GetVideoComponents":
        cut = {
            name: info[name][:_COMPONENTS] for name in ("output", "output_is_list", "output_name")
        }
        return {**info, **cut}
    return info


def summary(errors: list[Any]) -> str:
    """Return the faults of an output node, as text."""
    return "; ".join(f"{error['message']}: {error['details']}" for error in errors)
