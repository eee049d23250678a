"""What every module of every process does at this moment, read from the modules themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.table import Column, Table
from rich.text import Text

from actors.runtime.bus import connected
from actors.runtime.micro import EndpointStats, Stats, everybody
from effectmesh import state
from effectmesh.cli.console import console, fail, print_json, run_reading, settings

PER_MS: Final = 1_000_000
"""Nanoseconds."""


def show_list(*, as_json: bool) -> None:
    """List every running module with its endpoints."""
    chosen = settings()
    now = state.running(chosen)
    url = now.nats_url if now else chosen.nats_url
    if not url:
        fail("no stack is running", hint="effectmesh up")

    async def look() -> None:
        async with connected(url, name="actors list") as bus:
            found = await everybody(bus)
        if not found and not as_json:
            fail("no module answers", hint="effectmesh up, or: effectmesh run actors")
        if as_json:
            print_json(found)
        else:
            console.print(_table(found))

    run_reading(look)


def _table(found: Sequence[Stats]) -> Table:
    table = Table(Column("actor", no_wrap=True), Column("endpoint", no_wrap=True), box=None)
    for name in ("done", "errors", "ms", "busy", "lag", "again"):
        table.add_column(name, justify="right", no_wrap=True)
    rows = [(service.name, each) for service in found for each in service.endpoints]
    if any(each.last_error for _, each in rows):
        table.add_column("last error")
    for name, each in rows:
        last = [Text(each.last_error, overflow="ellipsis", no_wrap=True)] if each.last_error else []
        table.add_row(name, each.name, *_numbers(each), *last)
    return table


def _numbers(each: EndpointStats) -> tuple[str, ...]:
    return (
        str(each.num_requests),
        str(each.num_errors),
        f"{each.average_processing_time / PER_MS:.1f}",
        str(each.data.in_flight),
        "" if each.data.lag is None else str(each.data.lag),
        "" if each.data.redeliveries is None else str(each.data.redeliveries),
    )
