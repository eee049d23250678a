"""The routing manifest: looking it up here, and how soon a new one is everywhere."""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import anyio
import msgspec
import nats
from anyio.to_thread import run_sync

from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from actors.runtime.watch import Watched
from benchmarks import sample
from benchmarks.results import Outcome, Seen, row
from benchmarks.running import ROUNDS, broker, spread
from schemas.base import ProviderId, WorkflowId
from schemas.routing import EffectRoute, ProviderRoute, RoutingManifest
from subjects import build
from subjects.topology import BUCKETS, MANIFEST_KEY, ROUTING, Topology

EFFECTS: Final = 50
"""About 60 kB of JSON."""
PROVIDERS: Final = 3
WATCHERS: Final = 10
PUTS: Final = 30
LOOKUPS: Final = 200_000
GETS: Final = 200
WITHIN_S: Final = 30.0


async def run() -> Outcome:
    """Measure all three, several times."""
    lookup: list[float] = []
    remote: list[float] = []
    spreading: list[float] = []
    restart: list[float] = []
    for _ in range(ROUNDS):
        with broker() as server:
            async with connected(server.url, name="bench") as bus:
                buckets = tuple(each for each in BUCKETS if each.name == ROUTING)
                await provision.apply(bus, Topology(streams=(), consumers=(), buckets=buckets))
                async with watching(server.url) as copies:
                    puts = [await _put(bus, copies, number) for number in range(1, PUTS + 1)]
                    spreading.append(1000 * statistics.median(puts))
                    lookup.append(_lookup_ns(copies[0]))
                    remote.append(await _get_ns(server.url))
                    await run_sync(server.kill)
                    await run_sync(server.start)
                    back = time.perf_counter()
                    async with connected(server.url, name="bench") as again:
                        await _put(again, copies, PUTS + 1)
                    restart.append(time.perf_counter() - back)
    rows = [
        row("manifest.lookup", lookup, peer=remote),
        row("manifest.spread", spreading),
        row("manifest.restart", restart),
    ]
    seen = [
        Seen(what="local lookup", wall=spread(lookup, "ns")),
        Seen(what="KeyValue.get from the server", wall=spread(remote, "ns")),
        Seen(
            what="put until ten watchers have it",
            wall=spread(spreading, "ms", digits=1),
            remark=f"{len(encoded(1))} bytes",
        ),
        Seen(what="the same after a restart", wall=spread(restart, "s", digits=2)),
    ]
    return Outcome(rows=rows, seen=seen)


Copy = Watched[RoutingManifest]


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[list[Copy]]:
    """Keep ten copies, each over a connection of its own."""
    decoder = msgspec.json.Decoder(RoutingManifest)
    async with AsyncExitStack() as open_, anyio.create_task_group() as following:
        copies = []
        for number in range(WATCHERS):
            bus = await open_.enter_async_context(connected(url, name=f"watcher-{number}"))
            copy = Watched(bus=bus, bucket=ROUTING, decode=decoder.decode)
            following.start_soon(copy.run)
            await copy.ready()
            copies.append(copy)
        yield copies
        following.cancel_scope.cancel()


async def _put(bus: Bus, copies: list[Copy], version: int) -> float:
    """Store a manifest and return how long it takes until every copy is that."""
    began = time.perf_counter()
    with anyio.fail_after(WITHIN_S):
        async with anyio.create_task_group() as waiting:
            for copy in copies:
                waiting.start_soon(_has, copy, version)
            await bus.publish(build.entry(ROUTING, MANIFEST_KEY), encoded(version), {})
    return time.perf_counter() - began


async def _has(copy: Copy, version: int) -> None:
    while (found := copy.get(MANIFEST_KEY)) is None or found.version != version:
        await copy.changed()


def _lookup_ns(copy: Copy) -> float:
    known = {"get": copy.get, "key": MANIFEST_KEY, "effect": _effect(EFFECTS // 2)}
    took = timeit.timeit("get(key).effects[effect]", number=LOOKUPS, globals=known)
    return took / LOOKUPS * 1e9


async def _get_ns(url: str) -> float:
    """Return what the same costs when the server is asked."""
    client = await nats.connect(url)
    bucket = await client.jetstream().key_value(ROUTING)
    began = time.perf_counter()
    for _ in range(GETS):
        await bucket.get(MANIFEST_KEY)
    took = time.perf_counter() - began
    await client.close()
    return took / GETS * 1e9


def encoded(version: int) -> bytes:
    """Return a manifest with three providers for each effect."""
    manifest = RoutingManifest(
        version=version,
        generated_at=sample.NOON,
        reason="benchmark",
        effects={name: _route(name) for name in map(_effect, range(EFFECTS))},
    )
    return msgspec.json.encode(manifest)


def _effect(number: int) -> str:
    return f"style_transfer_{number:03d}"


def _route(effect: str) -> EffectRoute:
    providers = tuple(
        ProviderRoute(
            provider_id=ProviderId(f"comfy-{number}"),
            workflow_id=WorkflowId(f"wf-{number}"),
            lane="standard",
            weight=1 / PROVIDERS,
            expected_cost_tokens=3,
            expected_cost_microtokens=2_750_000,
            expected_quality_score={"overall": 0.82},
            expected_duration_ms=13_000,
            success_rate=0.98,
            confidence="high",
            reason="best quality for the cost",
        )
        for number in range(PROVIDERS)
    )
    return EffectRoute(
        effect_type=effect, default_provider_id=providers[0].provider_id, providers=providers
    )
