"""Quality over time, as lines in SVG. Only numbers and colours of our own go into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from effectmesh.comparing import Scored
from media.quality import Moment

WIDTH: Final = 420
HEIGHT: Final = 160
MAX_POINTS: Final = 600
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 8, 24
_DASHES: Final = ("", "6 3", "2 3", "8 3 2 3", "12 4", "1 4", "10 2 2 2", "4 4")
"""Lines are told apart without colour too."""
CURVES: Final = {
    "composite": "Composite",
    "fidelity": "Fidelity",
    "artifacts": "Artifacts (lower is better)",
    "temporal_consistency": "Temporal consistency",
}
"""What is measured second by second; style is one number for a clip."""


def curve(outputs: Sequence[Scored], name: str, *, marks_ms: Sequence[int] = ()) -> str:
    """Return one dimension of every result over time as an SVG."""
    end = max((at.end_ms for each in outputs for at in each.curve), default=1)
    lines = "".join(
        _line(each.curve, name, end, index) for index, each in enumerate(outputs) if each.curve
    )
    marks = "".join(
        f'<line class="mark" x1="{_x(at, end):.1f}" x2="{_x(at, end):.1f}" '
        f'y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
        for at in marks_ms
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{CURVES[name]} over time">'
        f"{_grid(end)}{marks}{lines}</svg>"
    )


def swatch(index: int) -> str:
    """Return a short piece of a result's line, for the legend."""
    return (
        f'<svg class="swatch" viewBox="0 0 34 8" aria-hidden="true">'
        f'<line class="series s{index}" {_dash(index)}x1="1" y1="4" x2="33" y2="4"/></svg>'
    )


def interval(low: float, high: float, at: float) -> str:
    """Return where a composite and its interval lie between 0 and 1."""
    left, right, middle = (100 * min(max(each, 0.0), 1.0) for each in (low, high, at))
    return (
        '<svg class="interval" viewBox="0 0 100 10" aria-hidden="true">'
        '<line class="grid" x1="0" y1="5" x2="100" y2="5"/>'
        f'<line class="span" x1="{left:.1f}" y1="5" x2="{right:.1f}" y2="5"/>'
        f'<circle class="dot" cx="{middle:.1f}" cy="5" r="3"/></svg>'
    )


def _line(moments: Sequence[Moment], name: str, end: int, index: int) -> str:
    """Draw the middle of each second, from edge to edge."""
    step = max(1, -(-len(moments) // MAX_POINTS))
    points = [((at.start_ms + at.end_ms) / 2, float(getattr(at, name))) for at in moments[::step]]
    whole = [(moments[0].start_ms, points[0][1]), *points, (moments[-1].end_ms, points[-1][1])]
    path = " ".join(f"{_x(at, end):.1f},{_y(value):.1f}" for at, value in whole)
    return f'<polyline class="series s{index}" {_dash(index)}points="{path}"/>'


def _grid(end: int) -> str:
    drawn = []
    for value in (0.0, 0.5, 1.0):
        y = _y(value)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
        drawn.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{value:g}</text>')
    for share, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        x = _x(share * end, end)
        drawn.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">'
            f"{share * end / 1000:.1f} s</text>"
        )
    return "".join(drawn)


def _dash(index: int) -> str:
    dash = _DASHES[index % len(_DASHES)]
    return f'stroke-dasharray="{dash}" ' if dash else ""


def _x(at_ms: float, end_ms: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * min(max(at_ms / end_ms, 0.0), 1.0)


def _y(value: float) -> float:
    return round(_TOP + (HEIGHT - _TOP - _BOTTOM) * (1.0 - min(max(value, 0.0), 1.0)), 1)
