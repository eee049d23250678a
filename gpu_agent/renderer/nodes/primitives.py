"""Nodes for single values."""

from __future__ import annotations

from gpu_agent.renderer.nodes.context import Inputs, Result, Run, one
from gpu_agent.renderer.nodes.values import Audio, Batch, Clip, Value


def whole(inputs: Inputs, _run: Run) -> Result:
    """PrimitiveInt."""
    return one(inputs.integer("value"))


def number(inputs: Inputs, _run: Run) -> Result:
    """PrimitiveFloat."""
    return one(inputs.number("value"))


def text(inputs: Inputs, _run: Run) -> Result:
    """PrimitiveString and its like."""
    return one(inputs.text("value"))


def truth(inputs: Inputs, _run: Run) -> Result:
    """PrimitiveBoolean."""
    return one(inputs.flag("value"))


def preview(inputs: Inputs, _run: Run) -> Result:
    """PreviewAny: the value as text."""
    shown = described(inputs.any("source"))
    return Result(values=(shown,), told=(shown,))


def described(value: Value) -> str:
    """Return a value in words that tell nothing of the host."""
    match value:
        case Batch():
            return f"<images of {value.width}x{value.height}>"
        case Audio() | Clip():
            return f"<{type(value).__name__}>"
        case _:
            return str(value)
