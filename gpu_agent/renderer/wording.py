"""How a failure is told: in the form of real servers, without anything of the host's."""

from __future__ import annotations

import os
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final

from gpu_agent.renderer.nodes.values import Audio, Batch, Clip, Value

_SHOWN_LENGTH: Final = 200


def why(problem: Exception, root: Path) -> dict[str, Any]:
    """Return message, type and traceback; where the host keeps its files is nobody's business."""
    kind = type(problem)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    message = str(problem).replace(f"{root}{os.sep}", "")
    return {
        "exception_message": f"{message}\n",
        "exception_type": getattr(problem, "told_as", module + kind.__qualname__),
        "traceback": [
            f'  File "{Path(at.filename).name}", line {at.lineno}, in {at.name}\n'
            for at in extract_tb(problem.__traceback__)
        ],
    }


def shown(value: Value) -> str | float | None:
    """Return an input in a few words."""
    match value:
        case Batch():
            return f"<{value.length.hint} images of {value.width}x{value.height}>"
        case Audio() | Clip():
            return f"<{type(value).__name__}>"
        case None | bool() | int() | float():
            return value
        case _:
            return str(value)[:_SHOWN_LENGTH]
