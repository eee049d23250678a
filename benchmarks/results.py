"""What came out: rows of ``results.json``, and the table that is printed."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from benchmarks.goals import GOALS, Better, Goal

FILE: Final = Path(__file__).with_name("results.json")


class Row(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One figure, mostly the median, and what each run gave."""

    id: str
    group: str
    value: float
    unit: str
    floor: float
    better: Better
    peer: str
    peer_value: float | None
    runs: list[float]


class Seen(Struct, frozen=True, kw_only=True):
    """Something that was measured on the way, for the table below the goals."""

    what: str
    wall: str
    cpu: str = ""
    remark: str = ""


class Outcome(Struct, frozen=True, kw_only=True):
    """What a group found."""

    rows: list[Row]
    seen: list[Seen]


def row(
    goal_id: str, runs: Sequence[float], *, peer: Sequence[float] = (), worst: bool = False
) -> Row:
    """Return the row of a goal from what each run gave: the median, or the worst of them."""
    goal = goal_named(goal_id)
    value = statistics.median(runs)
    if worst:
        value = min(runs) if goal.better == "higher" else max(runs)
    return Row(
        id=goal.id,
        group=goal.group,
        value=_short(value),
        unit=goal.unit,
        floor=goal.floor,
        better=goal.better,
        peer=goal.peer,
        peer_value=_short(statistics.median(peer)) if peer else None,
        runs=[_short(each) for each in runs],
    )


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return the ratio of each round: its two runs were neighbours, so they saw the same load."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def goal_named(goal_id: str) -> Goal:
    """Return the goal of an id."""
    [found] = [each for each in GOALS if each.id == goal_id]
    return found


def missed(rows: Iterable[Row]) -> list[Row]:
    """Return what is on the wrong side of its floor."""
    return [each for each in rows if not goal_named(each.id).reached(each.value)]


def read(file: Path = FILE) -> list[Row]:
    """Return what is written down, nothing when there is no file yet.

    Raises:
        msgspec.DecodeError: it is no list of rows.
    """
    if not file.exists():
        return []
    return msgspec.json.decode(file.read_bytes(), type=list[Row])


def write(rows: Iterable[Row], file: Path = FILE) -> None:
    """Write rows down; those of other groups stay as they are, what is no goal any more goes."""
    known = {each.id: each for each in read(file)} | {each.id: each for each in rows}
    kept = [known[goal.id] for goal in GOALS if goal.id in known]
    file.write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")


def table(rows: Iterable[Row]) -> str:
    """Return the goals as a table."""
    lines = [("", "goal", "value", "floor", "runs (low .. high)", "peer")]
    for each in rows:
        goal = goal_named(each.id)
        sign = ">=" if goal.better == "higher" else "<="
        peer = goal.peer
        if each.peer_value is not None:
            peer = f"{goal.peer}: {number(each.peer_value)} {goal.peer_unit}"
        lines.append(
            (
                "ok" if goal.reached(each.value) else "MISSED",
                f"{goal.id}: {goal.what}",
                f"{number(each.value)} {goal.unit}",
                f"{sign} {number(goal.floor)}",
                f"{len(each.runs)}: {number(min(each.runs))} .. {number(max(each.runs))}",
                peer,
            )
        )
    return columns(lines)


def seen_table(seen: Iterable[Seen]) -> str:
    """Return what was measured on the way as a table."""
    head = ("measured", "wall", "CPU", "")
    return columns([head, *((each.what, each.wall, each.cpu, each.remark) for each in seen)])


def columns(lines: Sequence[Sequence[str]]) -> str:
    """Return lines with their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def number(value: float) -> str:
    """Return a number with as many digits as it is worth."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _short(value: float) -> float:
    return float(f"{value:.5g}")
