"""Results from the command line: score one, compare several. Needs no running stack."""

from __future__ import annotations

import difflib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import anyio
from msgspec import Struct
from rich.progress import Progress
from rich.table import Column, Table
from rich.text import Text

from actors.provider_registry.shipped import shipped
from effectmesh.cli.console import FAILED, USAGE, console, errors, fail, print_json, settings
from effectmesh.cli.files import beside, placed, readable, writable
from effectmesh.cli.videos import refused
from effectmesh.cli.working import bar, normalized, run_locally
from effectmesh.comparing import MAX_OUTPUTS, Comparison, Scored, Wanted, scored
from effectmesh.footage.asking import NoAnswerError, peek
from effectmesh.footage.names import shown
from effectmesh.limits import limits_of
from effectmesh.report.frames import pictured
from effectmesh.report.page import page
from media.quality import EVALUATOR_VERSION, Moment
from media.quality_scale import WEIGHTS
from media.quality_vmaf import find_binary
from media.verdicts import IntakeLimits, Refusal

_WIDE: Final = 110
"""Columns the table of a comparison needs to be read."""
_BETTER_LOW: Final = "lower is better"


class Asked(Struct, frozen=True, kw_only=True):
    """The options that both commands have."""

    effect: str = ""
    provider: str = ""
    as_is: bool = False
    vmaf: bool = False


class Ready(Struct, frozen=True, kw_only=True):
    """The input, as results are compared with it."""

    path: Path
    normalized: bool


def score(source: Path, output: Path, asked: Asked, *, as_json: bool) -> None:
    """Score one result."""
    found = _compared(source, [output], asked)
    [only] = found.outputs
    if as_json:
        print_json(found)
    else:
        _tell_one(found, only)
    _end(found)


def compare(
    source: Path,
    outputs: Sequence[Path],
    asked: Asked,
    *,
    html: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Rank several results."""
    if len(outputs) > MAX_OUTPUTS:
        fail(
            f"{len(outputs)} results are too many at once",
            hint=f"compare at most {MAX_OUTPUTS}; the scores of two runs can be compared",
            status=USAGE,
        )
    if html is not None:
        inputs = tuple(readable(each) for each in (source, *outputs))
        writable({"report": html}, force=force, inputs=inputs)
    found = _compared(source, outputs, asked, html=html, force=force)
    if as_json:
        print_json(found)
    else:
        _tell_all(found)
    if html is not None:
        errors.print(f"report: {shown(html)}", markup=False)
    _end(found)


def wanted_of(asked: Asked) -> Wanted:
    """Return what was asked for, or end with what is wrong with it."""
    records = {each.provider_id: each for each in shipped()}
    effects = {*WEIGHTS, *(effect for each in records.values() for effect in each.capabilities)}
    if not asked.provider:
        if asked.effect and asked.effect not in effects:
            near = difflib.get_close_matches(asked.effect, effects, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            note = f"no shipped provider has the effect {shown(asked.effect)}{hint}"
            errors.print(f"note: {note} every dimension weighs the same", markup=False)
        return Wanted(effect_type=asked.effect)
    record = next((each for each in records.values() if each.provider_id == asked.provider), None)
    if record is None:
        near = difflib.get_close_matches(asked.provider, records, n=1)
        hint = f"did you mean {near[0]}?" if near else "name a shipped one, such as fx-noir-v1"
        fail(f"no shipped provider {shown(asked.provider)}", hint=hint, status=USAGE)
    return Wanted(
        effect_type=asked.effect or record.capabilities[0],
        provider_id=record.provider_id,
        look=record.target_look,
    )


def _compared(
    source: Path,
    outputs: Sequence[Path],
    asked: Asked,
    *,
    html: Path | None = None,
    force: bool = False,
) -> Comparison:
    """Return the results, ranked; write the report when one is wanted."""
    clip, results = readable(source), [readable(each) for each in outputs]
    wanted, limits = wanted_of(asked), limits_of(settings())
    if asked.vmaf and find_binary() is None:
        hint = "pip install 'effectmesh[vmaf]'"
        fail("vmaf needs the package imageio-ffmpeg", hint=hint, status=USAGE)

    async def look() -> Comparison | Refusal:
        with bar() as screen:
            async with _ready(clip, limits, screen, as_is=asked.as_is) as ready:
                if isinstance(ready, Refusal):
                    return ready
                found = await _scored(ready, clip, results, wanted, limits, asked, screen)
                if html is not None:
                    await _report(html, ready, results, found, screen, force=force)
                return found

    found = run_locally(look)
    if isinstance(found, Refusal):
        refused(source, found)
    return found


@asynccontextmanager
async def _ready(
    clip: Path, limits: IntakeLimits, screen: Progress, *, as_is: bool
) -> AsyncIterator[Ready | Refusal]:
    """Give the input as a provider gets it."""
    if as_is or await _is_mezzanine(clip, limits):
        yield Ready(path=clip, normalized=False)
        return
    with TemporaryDirectory(prefix="compare-") as folder:
        made = await normalized(clip, Path(folder), limits, screen=screen)
        if isinstance(made, Refusal):
            yield made
            return
        yield Ready(path=Path(folder) / made.video, normalized=True)


async def _is_mezzanine(clip: Path, limits: IntakeLimits) -> bool:
    try:
        return (await peek(clip, limits)).mezzanine
    except NoAnswerError:
        # normalising says why, with a code
        return False


async def _scored(
    ready: Ready,
    clip: Path,
    results: Sequence[Path],
    wanted: Wanted,
    limits: IntakeLimits,
    asked: Asked,
    screen: Progress,
) -> Comparison:
    task = screen.add_task("scoring", total=len(results), share=f"0/{len(results)}")
    count = 0

    def done() -> None:
        nonlocal count
        count += 1
        screen.update(task, completed=count, share=f"{count}/{len(results)}")

    found = await scored(
        ready.path, results, wanted, limits=limits, with_vmaf=asked.vmaf, done=done
    )
    screen.remove_task(task)
    return Comparison(
        input=shown(clip.name),
        normalized=ready.normalized,
        effect_type=wanted.effect_type,
        provider_id=wanted.provider_id,
        evaluator_version=EVALUATOR_VERSION,
        outputs=tuple(found),
    )


async def _report(
    html: Path,
    ready: Ready,
    results: Sequence[Path],
    found: Comparison,
    screen: Progress,
    *,
    force: bool,
) -> None:
    screen.add_task("taking pictures", total=None, share="")
    text = page(found, await pictured(ready.path, results, found))
    with beside(html) as folder:
        made = folder / "report.html"
        await anyio.to_thread.run_sync(made.write_bytes, text.encode())
        placed(made, html, force=force)


def _end(found: Comparison) -> None:
    unknown = [each for each in found.outputs if not each.known]
    for each in unknown:
        errors.print(f"unknown: {each.file}: {'; '.join(each.reasons)}", markup=False)
        errors.print(f"  fix: {each.hint}", markup=False)
    if unknown:
        raise SystemExit(FAILED)


def _tell_one(found: Comparison, only: Scored) -> None:
    console.print(f"{only.file} against {_against(found)}", markup=False, highlight=False)
    _tell_numbers(only)
    _tell_rest(only, heading=False)


def _tell_all(found: Comparison) -> None:
    console.print(f"against {_against(found)}", markup=False, highlight=False)
    if console.width < _WIDE:
        for each in found.outputs:
            tie = ", a tie" if each.tie else ""
            console.print(f"{each.rank}. {each.file}{tie}", markup=False, highlight=False)
            _tell_numbers(each)
    else:
        console.print(_table(found))
    for each in found.outputs:
        _tell_rest(each, heading=True)


def _table(found: Comparison) -> Table:
    names = ["composite", "90 %", "fidelity", "artifacts", "style", "temporal", "hash", "sure"]
    if any(each.vmaf is not None for each in found.outputs):
        names.append("vmaf")
    table = Table(
        Column("rank", no_wrap=True),
        Column("result", overflow="fold"),
        *(Column(each, justify="right", no_wrap=True) for each in names),
        box=None,
    )
    for each in found.outputs:
        cells = [_number(each.composite_score), _interval(each), *_vector(each)]
        cells.append(f"{each.confidence:.2f}")
        if "vmaf" in names:
            cells.append("" if each.vmaf is None else f"{each.vmaf:.1f}")
        if not each.known:
            cells = ["unknown", *[""] * (len(cells) - 1)]
        rank = f"{each.rank} tie" if each.tie else str(each.rank)
        table.add_row(rank, Text(each.file), *cells)
    return table


def _against(found: Comparison) -> str:
    parts = [
        f"{found.input}{', normalised' if found.normalized else ''}",
        found.effect_type or "nothing should have changed",
    ]
    if found.provider_id:
        parts.append(f"the look of {found.provider_id}")
    return "; ".join(parts)


def _tell_numbers(each: Scored) -> None:
    if not each.known:
        _line("composite", "unknown")
        return
    fidelity, artifacts, style, temporal, distance = _vector(each)
    _line("composite", f"{_number(each.composite_score)}   90 %: {_interval(each)}")
    _line("fidelity", fidelity)
    _line("artifacts", f"{artifacts}   {_BETTER_LOW}")
    _line("style adherence", style)
    _line("temporal consistency", temporal)
    _line("perceptual hash distance", f"{distance}   {_BETTER_LOW}")
    _line("confidence", f"{each.confidence:.2f}")
    _line("evaluator", each.evaluator_version)
    if each.vmaf is not None:
        _line("vmaf", f"{each.vmaf:.2f} of 100, told and not weighed")


def _tell_rest(each: Scored, *, heading: bool) -> None:
    notes = list(each.reasons) if each.known else []
    if each.vmaf_reason:
        notes.append(each.vmaf_reason)
    lines = [*notes, *(f"worst {_moment(at)}" for at in each.worst)]
    if lines and heading:
        console.print(f"{each.file}:", markup=False, highlight=False)
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False)


def _moment(at: Moment) -> str:
    return (
        f"{at.start_ms / 1000:.1f}-{at.end_ms / 1000:.1f} s: composite {at.composite:.2f}, "
        f"fidelity {at.fidelity:.2f}, artifacts {at.artifacts:.2f}, "
        f"temporal {at.temporal_consistency:.2f}"
    )


def _vector(each: Scored) -> tuple[str, str, str, str, str]:
    vector = each.quality_vector
    return (
        _number(vector.fidelity),
        _number(vector.artifacts),
        _number(vector.style_adherence),
        _number(vector.temporal_consistency),
        _number(vector.perceptual_hash_distance),
    )


def _interval(each: Scored) -> str:
    if each.low is None or each.high is None:
        return ""
    return f"{_number(each.low)}-{_number(each.high)}"


def _number(value: float) -> str:
    return f"{value:.3f}"


def _line(what: str, value: str) -> None:
    console.print(f"  {what:<25} {value}", markup=False, highlight=False)
