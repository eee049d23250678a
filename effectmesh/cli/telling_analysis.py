"""An analysis in words and a table, whatever fields it has grown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from rich.table import Column, Table
from rich.text import Text

from effectmesh.cli.console import console, errors
from schemas.video import Analysis, Scene

_WIDE: Final = 100
"""Columns a table of scenes needs to be read."""
_IN_COLUMNS: Final = frozenset(
    {"start_ms", "end_ms", "description", "objects", "colors", "object_confidence"}
)
_IN_WORDS: Final = frozenset(
    {
        "scenes",
        "dominant_style",
        "style_confidence",
        "style_runner_up",
        "motion_pattern",
        "detected_effects",
        "effect_confidence",
        "eligible_effect_types",
        "eligibility",
        "degraded",
    }
)


def tell(analysis: Analysis, *, complete: bool = True) -> None:
    """Print an analysis for people."""
    _tell_scenes(analysis.scenes)
    runner_up = f", or {analysis.style_runner_up}" if analysis.style_runner_up else ""
    style = f"{analysis.dominant_style} (confidence {analysis.style_confidence:.2f}{runner_up})"
    _line("style", style)
    _line("motion", analysis.motion_pattern)
    effects = _named(analysis.detected_effects, analysis.effect_confidence)
    _line("effects", effects or "none detected")
    rest = msgspec.to_builtins(analysis)
    for name in rest.keys() - _IN_WORDS:
        if rest[name]:
            _line(name.replace("_", " "), _said(rest[name]))
    _tell_eligibility(analysis)
    if analysis.degraded:
        errors.print("degraded: a model is missing, measurements answered instead of it")
    if not complete:
        errors.print("the clip breaks off while decoding; this is about what came before")


def _tell_eligibility(analysis: Analysis) -> None:
    reasons = {each.effect_type: each.reason for each in analysis.eligibility}
    console.print("eligible for")
    for effect in analysis.eligible_effect_types:
        _point(effect, reasons.get(effect, ""))
    others = [each for each in analysis.eligibility if not each.eligible]
    if others:
        console.print("not eligible for")
        for each in others:
            _point(each.effect_type, each.reason)


def _tell_scenes(scenes: tuple[Scene, ...]) -> None:
    if console.width < _WIDE:
        for scene in scenes:
            console.print(f"{_span(scene)}  {scene.description}", markup=False, highlight=False)
            more = (
                ("objects", _named(scene.objects, scene.object_confidence)),
                ("colours", ", ".join(scene.colors)),
                ("measured", _measured(scene)),
            )
            for what, value in more:
                if value:
                    console.print(f"  {what}: {value}", markup=False, highlight=False)
        return
    names = ("description", "objects", "colours", "measured")
    table = Table(
        Column("scene", no_wrap=True), *(Column(each, overflow="fold") for each in names), box=None
    )
    for scene in scenes:
        table.add_row(
            *map(
                Text,
                (
                    _span(scene),
                    scene.description,
                    _named(scene.objects, scene.object_confidence),
                    ", ".join(scene.colors),
                    _measured(scene),
                ),
            )
        )
    console.print(table)


def _measured(scene: Scene) -> str:
    """Return every other field of a scene that says something."""
    fields: dict[str, Any] = msgspec.to_builtins(scene)
    told = []
    for name, value in fields.items():
        word = name.replace("_", " ")
        if name in _IN_COLUMNS or value in ("", None, False) or value in ([], {}):
            continue
        told.append(word if value is True else f"{word} {_said(value)}")
    return ", ".join(told)


def _named(names: Iterable[str], confidence: Mapping[str, float]) -> str:
    return ", ".join(
        f"{each} {confidence[each]:.2f}" if each in confidence else each for each in names
    )


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_said(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_said(each) for each in value)
    return str(value)


def _span(scene: Scene) -> str:
    return f"{scene.start_ms / 1000:.2f}-{scene.end_ms / 1000:.2f} s"


def _point(what: str, why: str) -> None:
    console.print(f"  {what}: {why}" if why else f"  {what}", markup=False, highlight=False)


def _line(what: str, value: str) -> None:
    console.print(f"{what:<10} {value}", markup=False, highlight=False)
