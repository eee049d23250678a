"""Streams, consumers and buckets: plan, apply, check, write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from actors.provider_registry.shipped import shipped
from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from actors.runtime.provision import Difference
from effectmesh import state
from effectmesh.cli.console import FAILED, console, print_json, run_reading, settings
from effectmesh.prepare import topology_for
from effectmesh.servers import servers_of
from subjects.topology import Topology


def plan(*, as_json: bool) -> None:
    """Show what differs."""

    async def look() -> None:
        async with open_broker("topology") as bus:
            _show(await provision.plan(bus, _declared()), as_json=as_json, done=False)

    run_reading(look)


def apply(*, as_json: bool) -> None:
    """Create and update what differs."""

    async def change() -> None:
        async with open_broker("topology") as bus:
            _show(await provision.apply(bus, _declared()), as_json=as_json, done=True)

    run_reading(change)


def check(*, as_json: bool) -> None:
    """Exit with status 1 when anything differs."""

    async def look() -> int:
        async with open_broker("topology") as bus:
            found = await provision.plan(bus, _declared())
        _show(found, as_json=as_json, done=False)
        return FAILED if found else 0

    raise SystemExit(run_reading(look))


def write(folder: Path) -> None:
    """Write the declaration as JSON."""
    for path, text in documents(topology_for(shipped())).items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        console.print(str(target))


def documents(declared: Topology) -> dict[str, str]:
    """Return the content of every generated file below ``nats/``, by its path."""
    files = {
        f"streams/{each.name}.json": provision.stream_config(each) for each in declared.streams
    }
    files |= {
        f"buckets/{each.name}.json": provision.bucket_config(each) for each in declared.buckets
    }
    files |= {
        f"consumers/{each.stream}.{each.name}.json": provision.consumer_config(each)
        for each in declared.consumers
    }
    return {
        path: msgspec.json.format(msgspec.json.encode(config), indent=2).decode() + "\n"
        for path, config in files.items()
    }


def _declared() -> Topology:
    return topology_for(shipped(), replicas=settings().replicas)


@asynccontextmanager
async def open_broker(name: str) -> AsyncIterator[Bus]:
    """Yield a connection to the running stack's broker, or to the stopped one's, started."""
    chosen = settings()
    now = state.running(chosen)
    url = now.nats_url if now else chosen.nats_url
    if url:
        async with connected(url, name=name) as bus:
            yield bus
        return
    async with (
        servers_of(chosen) as endpoints,
        connected(endpoints.nats_url, name=name) as bus,
    ):
        yield bus


def _show(found: Sequence[Difference], *, as_json: bool, done: bool) -> None:
    if as_json:
        print_json(found)
        return
    for each in found:
        console.print(f"  {each}", soft_wrap=True)
    if not found:
        console.print("the broker is as declared")
    else:
        console.print(
            f"{len(found)} {'changed' if done else 'to change: effectmesh topology apply'}"
        )
