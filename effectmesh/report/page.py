"""The page. Every word of a stranger's, such as a file's name, is escaped by the template."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from effectmesh.comparing import Comparison
from effectmesh.report.curves import CURVES, curve, interval, swatch
from effectmesh.report.frames import Shown

_TEMPLATE: Final = "report.html.j2"


def page(found: Comparison, shown: Sequence[Shown]) -> str:
    """Return the report of a comparison as one page of HTML."""
    names = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names.filters |= {"picture": _picture, "seconds": _seconds, "number": _number}
    marks = [each.moment.middle_ms for each in shown]
    return names.get_template(_TEMPLATE).render(
        found=found,
        shown=shown,
        curves=[
            (title, Markup(curve(found.outputs, name, marks_ms=marks)))  # noqa: S704  ours alone
            for name, title in CURVES.items()
        ],
        swatches=[Markup(swatch(index)) for index in range(len(found.outputs))],  # noqa: S704
        intervals=[
            Markup(interval(each.low or 0.0, each.high or 0.0, each.composite_score))  # noqa: S704
            for each in found.outputs
        ],
        with_vmaf=any(each.vmaf is not None for each in found.outputs),
    )


def _picture(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode('ascii')}"


def _seconds(at_ms: int) -> str:
    return f"{at_ms / 1000:.1f}"


def _number(value: float) -> str:
    return f"{value:.3f}"
