"""Prompt templates from the command line: list, show, check, render, compare."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import msgspec
from msgspec import Struct
from rich.table import Column, Table

from actors.prompt_generation.actor import PromptGeneration
from actors.prompt_generation.core import Template
from actors.prompt_generation.errors import BrokenTemplateError, TemplatesMissingError
from actors.prompt_generation.files import SHIPPED, TemplateFiles
from actors.prompt_generation.history import KEEP_OUTCOMES
from actors.prompt_generation.keeper import RankingKeeper
from actors.prompt_generation.memory import MemoryHistory
from actors.prompt_generation.postgres import PostgresHistory
from actors.prompt_generation.ranking import Ranking, Standing, ranked, shares
from actors.prompt_generation.rewriters import NoRewriter
from actors.runtime.contract import SystemClock
from effectmesh.cli.console import USAGE, console, fail, print_json, run_reading, settings
from effectmesh.database import migrate, pooled
from effectmesh.servers import servers_of
from effectmesh.settings import Settings
from effectmesh.state import running
from schemas.base import MICRO, EventId, JobId, VideoId
from schemas.events import ContentAnalyzed, PromptsGenerated
from schemas.video import Analysis, AnalyzedContent, EffectRequest, GeneratedPrompts

MAX_ANALYSIS: Final = 1_000_000
"""Bytes of an analysis that are read."""

_NONE: Final = Standing(effect_type="", template_id="", version=1)


class Line(Struct, frozen=True, kw_only=True):
    """One version of a template in the comparison."""

    template: str
    effect_type: str
    effect_subtype: str
    active: bool
    share: float
    """The part of the next jobs it gets, of those that ask for its look."""
    worth: float
    low: float
    high: float
    standing: Standing | None = None
    """What became of its jobs; nothing before the first."""


def show_list(folder: Path | None, *, as_json: bool) -> None:
    """List every template."""
    templates = _templates(folder).all()
    if as_json:
        print_json(templates)
        return
    table = Table(Column("template", no_wrap=True), "effect", "look", "weight", "ways", box=None)
    for each in templates:
        look = f"{each.effect_subtype} (default)" if each.default else each.effect_subtype
        ways = ", ".join(one.name for one in each.variant)
        table.add_row(each.key, each.effect_type, look, f"{each.weight:g}", ways)
    console.print(table)


def show(template_id: str, folder: Path | None, *, as_json: bool) -> None:
    """Show a template whole."""
    known = {each.id: each for each in _templates(folder).all()}
    found = known.get(template_id.partition("@")[0])
    if found is None:
        fail(f"no template {template_id!r}", hint="effectmesh prompt list shows those there are")
    if as_json:
        print_json(found)
        return
    console.print(f"{found.key}: {found.effect_type} {found.effect_subtype}", markup=False)
    console.print(f"  negative: {found.negative}", markup=False)
    for each in found.variant:
        when = f", only when {' and '.join(each.when)}" if each.when else ""
        numbers = f"strength {each.strength}, {each.steps} steps, cfg {each.cfg_scale}"
        console.print(f"  {each.name}: {numbers}{when}", markup=False)
        console.print(f"    {each.prompt}", markup=False)


def check(folder: Path | None) -> None:
    """Refuse a folder with a broken template."""
    count = len(_templates(folder, strict=True).all())
    console.print(f"{count} templates can be used")


def render(
    effect: str,
    look: str,
    wish: str,
    *,
    analysis_file: Path | None,
    job: str,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Show what would be asked of providers."""
    content = AnalyzedContent(
        video_id=VideoId("vid_preview"),
        analysis=_analysis(analysis_file),
        request=EffectRequest(effect_type=effect, effect_subtype=look, wish=wish),
    )
    said = anyio.run(_preview, _templates(folder), content, JobId(job))
    if as_json:
        print_json(said)
        return
    if said.fallback_used:
        console.print("no template for this; a stand-in is used")
    for each in said.prompt_variants:
        numbers = ", ".join(f"{name} {value}" for name, value in each.parameters.items())
        console.print(f"{each.template_id}: {numbers}", markup=False)
        console.print(f"  {each.prompt_text}", markup=False)
        console.print(f"  not: {each.negative_prompt}", markup=False)


def compare(effect: str, *, as_json: bool) -> None:
    """Compare templates by what they won."""
    templates = _templates(None).all()

    async def look() -> None:
        async with _history(settings()) as history:
            since = SystemClock().now() - KEEP_OUTCOMES
            standings = await history.standings(since)
        lines = [
            each for each in lines_of(templates, standings) if effect in ("", each.effect_type)
        ]
        if as_json:
            print_json(lines)
        else:
            _print(lines)

    run_reading(look)


def lines_of(templates: Sequence[Template], standings: Sequence[Standing]) -> Sequence[Line]:
    """Return the comparison, by effect and then the best first; old versions are in it too."""
    ranking = ranked(standings)
    parts = {
        each.key: part
        for group in _groups(templates)
        for each, part in zip(group, shares(group, ranking), strict=True)
    }
    lines = [_line(each, ranking, parts.get(each.key, 0.0)) for each in templates]
    now = {each.key for each in templates}
    subtypes = {each.id: each.effect_subtype for each in templates}
    for each in standings:
        if each.key not in now:
            rank = ranking.ranks[each.key]
            lines.append(
                Line(
                    template=each.key,
                    effect_type=each.effect_type,
                    effect_subtype=subtypes.get(each.template_id, ""),
                    active=False,
                    share=0.0,
                    worth=rank.worth,
                    low=rank.low,
                    high=rank.high,
                    standing=each,
                )
            )
    return sorted(lines, key=lambda each: (each.effect_type, -each.worth, each.template))


def _groups(templates: Sequence[Template]) -> Sequence[Sequence[Template]]:
    """Return the templates that share jobs: those of one look that are active."""
    looks: dict[tuple[str, str], list[Template]] = {}
    for each in sorted(templates, key=lambda each: each.id):
        if each.weight > 0:
            looks.setdefault((each.effect_type, each.effect_subtype), []).append(each)
    return list(looks.values())


def _line(template: Template, ranking: Ranking, share: float) -> Line:
    rank = ranking.of(template)
    return Line(
        template=template.key,
        effect_type=template.effect_type,
        effect_subtype=template.effect_subtype,
        active=template.weight > 0,
        share=round(share, 4),
        worth=rank.worth,
        low=rank.low,
        high=rank.high,
        standing=rank.standing,
    )


def _print(lines: Sequence[Line]) -> None:
    table = Table(Column("template", no_wrap=True), box=None)
    for name in ("share", "worth", "9 of 10 times", "jobs", "measured", "published", "rejected"):
        table.add_column(name, justify="right")
    for each in lines:
        known = each.standing or _NONE
        table.add_row(
            each.template,
            f"{each.share:.0%}" if each.active else "-",
            f"{each.worth:.3f}",
            f"{each.low:.2f} to {each.high:.2f}",
            str(known.jobs),
            f"{known.weight_micro / MICRO:.1f}",
            str(known.published),
            str(known.rejected),
        )
    console.print(table)


async def _preview(
    templates: TemplateFiles, content: AnalyzedContent, job_id: JobId
) -> GeneratedPrompts:
    history = MemoryHistory()
    module = PromptGeneration(
        templates=templates,
        history=history,
        rankings=RankingKeeper(history=history, clock=SystemClock()),
        rewriter=NoRewriter(),
        clock=SystemClock(),
    )
    heard = ContentAnalyzed(event_id=EventId("evt_preview"), correlation_id=job_id, payload=content)
    [said] = await module.receive(heard)
    assert isinstance(said, PromptsGenerated)
    return said.payload


def _templates(folder: Path | None, *, strict: bool = False) -> TemplateFiles:
    try:
        return TemplateFiles(folder or SHIPPED, strict=strict)
    except (BrokenTemplateError, TemplatesMissingError) as wrong:
        fail(str(wrong))


def _analysis(file: Path | None) -> Analysis:
    """Return what a file says of a clip: an analysis, or what holds one."""
    if file is None:
        return Analysis(scenes=(), dominant_style="natural", motion_pattern="moderate_movement")
    with file.open("rb") as opened:
        source = opened.read(MAX_ANALYSIS + 1)
    if len(source) > MAX_ANALYSIS:
        fail(f"{file} has more than {MAX_ANALYSIS} bytes", status=USAGE)
    try:
        return msgspec.json.decode(source, type=Analysis)
    except msgspec.DecodeError as wrong:
        fail(f"{file} is no analysis: {wrong}", status=USAGE)


@asynccontextmanager
async def _history(of: Settings) -> AsyncIterator[PostgresHistory]:
    """Yield the history of the running stack, or of the stopped one's data."""
    now = running(of)
    if now is not None:
        async with pooled(now.postgres_url, size=1) as pool:
            yield PostgresHistory(pool=pool)
        return
    async with servers_of(of) as endpoints, pooled(endpoints.postgres_url, size=1) as pool:
        await migrate(pool)
        yield PostgresHistory(pool=pool)
