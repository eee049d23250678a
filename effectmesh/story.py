"""A finished job as a story: the steps, the candidates, the money, and where the result is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from effectmesh.reading import Heard
from effectmesh.telling import percent, size, step_of, tell, tokens
from schemas.asks import Statement
from schemas.jobs import Candidate, Job, RankedCandidate
from schemas.routing import RoutingManifest

WIDE: Final = 110
"""Columns of a terminal that has room for everything."""


class Story(Struct, frozen=True, kw_only=True):
    """Everything that is told."""

    clip: str
    job: Job
    events: Sequence[Heard]
    statement: Statement
    published_path: str
    """Empty when nothing was published, or the store is not on this machine."""
    before: RoutingManifest | None
    after: RoutingManifest | None


def print_story(console: Console, story: Story) -> None:
    """Print it."""
    console.print()
    console.print(_heading(story))
    wide = console.width >= WIDE
    console.print(Group(*(_section(title, body) for title, body in _sections(story, wide=wide))))


def _heading(story: Story) -> Text:
    order = story.job.order
    look = f" ({order.effect_subtype})" if order.effect_subtype else ""
    return Text.assemble(
        ("effectmesh", "bold"),
        f"  {story.clip}  →  {order.effect_type}{look}  ",
        (story.job.state, "bold green" if story.job.state == "COMPLETE" else "bold red"),
        f"\n{order.job_id}  tenant {order.tenant_id}",
    )


def _sections(story: Story, *, wide: bool) -> Iterator[tuple[str, RenderableType]]:
    yield "The steps", steps_table(story.events, unspoken(story), wide=wide)
    if story.job.candidates:
        yield "The candidates", _candidates(story.job)
    yield "The money", _money(story)
    if story.statement.lines:
        yield "The ledger", _ledger(story.statement)
    if lines := _learned(story.before, story.after):
        yield "What the Economic Engine learned", Text("\n".join(lines))
    if story.job.published:
        yield "The result", _result(story)


def _section(title: str, body: RenderableType) -> RenderableType:
    return Group(Text(f"\n{title}", style="bold cyan"), body)


class Unspoken(Struct, frozen=True, kw_only=True):
    """A step that says no event: it is known from what it left behind."""

    at: datetime
    step: int
    what: str
    module: str
    detail: str


def unspoken(story: Story) -> Sequence[Unspoken]:
    """Return steps 4 and 8: the manifest was read, and what was measured was booked."""
    found = []
    routing = story.job.recommendation
    dispatched = [each.at for each in story.events if each.event_type == "TestBatchDispatched"]
    if routing and dispatched:
        mode = "explores" if routing.exploration_mode else "exploits"
        chances = ", ".join(
            f"{each.provider_id} {each.propensity:.2f}" for each in routing.recommended_providers
        )
        detail = f"manifest {routing.manifest_version}, job {routing.slot} {mode}: {chances}"
        found.append(
            Unspoken(
                at=dispatched[0],
                step=4,
                what="(manifest read)",
                module="orchestrator",
                detail=detail,
            )
        )
    found += [
        Unspoken(
            at=datetime.fromisoformat(line.at),
            step=8,
            what="(cost booked)",
            module="economic_engine",
            detail=f"{line.credit} {tokens(line.amount_microtokens)} tokens",
        )
        for line in story.statement.lines
        if line.task_id and line.kind == "transfer"
    ]
    return found


def steps_table(
    events: Sequence[Heard], unspoken: Sequence[Unspoken] = (), *, wide: bool = True
) -> Table:
    """Return every event in order with its step and time; ``wide`` adds the module."""
    rows = [
        (
            each.at,
            str(step_of(each.event_type, each.body) or ""),
            each.event_type,
            each.module,
            tell(each.event_type, each.body),
        )
        for each in events
    ]
    for each in unspoken:
        before = sum(row[0] < each.at for row in rows)
        rows.insert(before, (each.at, str(each.step), each.what, each.module, each.detail))
    names = ("step", "at", "event", *(("module",) if wide else ()), "what happened")
    table = _table(*names, right=(0, 1), whole=range(2, len(names) - 1))
    for at, step, what, module, detail in rows:
        after = (at - events[0].at).total_seconds()
        who = (module,) if wide else ()
        table.add_row(step, f"+{after:.2f} s", what, *who, Text(detail))
    return table


def _candidates(job: Job) -> Table:
    names = ("", "provider", "fidel.", "artif.", "style", "tempo.", "score", "cost", "time", "end")
    table = _table(*names, right=range(2, 9), whole=(1,))
    ranked = {each.task_id: each for each in (job.selection.ranking if job.selection else ())}
    chosen = sorted(
        job.candidates.values(),
        key=lambda each: ranked[each.task.task_id].rank if each.task.task_id in ranked else 99,
    )
    for candidate in chosen:
        line = ranked.get(candidate.task.task_id)
        style = "bold green" if line and line.outcome == "won" else ""
        table.add_row(*_candidate(candidate, line), style=style)
    return table


def _candidate(candidate: Candidate, line: RankedCandidate | None) -> Sequence[str]:
    judged = candidate.evaluation
    vector = judged.quality_vector if judged and judged.quality != "unknown" else None
    numbers = (
        [vector.fidelity, vector.artifacts, vector.style_adherence, vector.temporal_consistency]
        if vector
        else [None] * 4
    )
    used = candidate.result.execution_telemetry if candidate.result else None
    failed = candidate.failure.error_code if candidate.failure else ""
    return [
        str(line.rank) if line else "",
        candidate.task.provider_id,
        *("" if number is None else f"{number:.3f}" for number in numbers),
        f"{judged.composite_score:.3f}" if judged and vector else "",
        tokens(used.cost_microtokens) if used else "",
        f"{used.actual_duration_ms / 1000:.1f} s" if used else "",
        line.outcome if line and line.outcome != "failed" else failed,
    ]


def _money(story: Story) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    job, account = story.job, story.statement.account
    charged = account.charged_microtokens if account else job.charged_microtokens
    cost = account.cost_microtokens if account else 0
    table.add_row("held at the order", f"{tokens(job.price_microtokens)} tokens")
    table.add_row("charged", f"{tokens(charged)} tokens")
    table.add_row("spent on all candidates", f"{tokens(cost)} tokens")
    table.add_row("margin", percent(account.marginality if account else None))
    if job.selection:
        table.add_row("why this one", Text(job.selection.comparison_summary, overflow="fold"))
    return table


def _ledger(statement: Statement) -> Table:
    table = _table("kind", "from", "to", "tokens", "memo", right=(3,), whole=(1, 2))
    for line in statement.lines:
        table.add_row(
            line.kind, line.debit, line.credit, tokens(line.amount_microtokens), line.memo
        )
    return table


def _learned(before: RoutingManifest | None, after: RoutingManifest | None) -> list[str]:
    if after is None:
        return []
    if before is None or before.version == after.version:
        return [f"manifest {after.version}: unchanged"]
    lines = [f"manifest {before.version} → {after.version}: {after.reason}"]
    for effect, route in sorted(after.effects.items()):
        old = {each.provider_id: each for each in _providers(before, effect)}
        for each in route.providers:
            was = old.get(each.provider_id)
            if was is None or was.samples == each.samples:
                continue
            costs = (was.expected_cost_microtokens, each.expected_cost_microtokens)
            cost = " → ".join(tokens(each) for each in costs)
            time = f"{was.expected_duration_ms} → {each.expected_duration_ms} ms"
            lines.append(
                f"  {effect} / {each.provider_id}: cost {cost} tokens, {time}, "
                f"weight {was.weight:.2f} → {each.weight:.2f}, {each.samples} samples"
            )
    return lines


def _providers(manifest: RoutingManifest, effect: str) -> Sequence[Any]:
    route = manifest.effects.get(effect)
    return route.providers if route else ()


def _result(story: Story) -> Table:
    published = story.job.published
    assert published is not None
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("effect", f"{published.effect_id}, revision {published.revision}")
    if story.published_path:
        length = Path(story.published_path).stat().st_size
        table.add_row("file", Text(f"{story.published_path} ({size(length)})", overflow="fold"))
    table.add_row("gallery", Text(published.gallery_url, overflow="fold"))
    for url in published.cdn_urls:
        table.add_row("video", Text(url, overflow="fold"))
    return table


def _table(*columns: str, right: Sequence[int] = (), whole: Sequence[int] = ()) -> Table:
    """Return a table; columns in ``whole`` are never broken, numbers stand on the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for number, name in enumerate(columns):
        if number in right:
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold", no_wrap=number in whole)
    return table
