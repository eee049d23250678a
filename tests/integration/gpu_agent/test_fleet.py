"""Three agents on three renderers share one queue: whoever has the model loaded does the work."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import anyio
from msgspec.structs import replace

from actors.runtime.bus import connected
from actors.runtime.pulling import FRONT, Pull
from actors.runtime.transport import Received
from gpu_agent.affinity import COLD
from subjects.topology import CMD
from tests.integration.gpu_agent.house import (
    LOAD_S,
    Neighbours,
    agent_of,
    furnished,
    hosts,
    order,
    puller_of,
    queue,
    reports,
    two_models,
)
from tests.integration.runtime.world import SOON_S, Seen, apply, info, settled, working

PROVIDERS = ("up-a-v1", "up-b-v1")


async def test_three_agents_share_a_queue_and_hardly_ever_load(
    tmp_path: Path, nats_server: str
) -> None:
    """Loads cost as much as renders; the models are pretended, the time they take is not."""
    async with (
        connected(nats_server, name="fleet") as bus,
        hosts(tmp_path, 3, two_models) as found,
    ):
        store = await furnished(bus, tmp_path, *PROVIDERS)
        for number in range(10):
            await order(bus, "up-a-v1", f"task_a{number}", f"task_c{number}")
            await order(bus, "up-b-v1", f"task_b{number}")
        neighbours = Neighbours()
        pullers = []
        for host in found:
            agent = agent_of(host, store, tmp_path, neighbours, name=host.name)
            pullers.append(puller_of(bus, agent, PROVIDERS, neighbours, name=host.name)[0])
        async with working(*pullers):
            for each in PROVIDERS:
                await settled(bus, queue(each))
        told = await reports(bus)

    assert [report.error_code for report in told if not report.succeeded] == []
    assert len({report.task_id for report in told}) == len(told) == 30
    assert {report.host for report in told} == {"host-0", "host-1", "host-2"}
    cold = [report for report in told if report.cold_start]
    loads = [(report.host, report.provider_id) for report in cold]
    assert len(loads) == len(set(loads)), "no host loads a model a second time"
    assert all(report.meter.model_load_ms >= LOAD_S * 1000 * 0.9 for report in cold)
    assert not any(report.meter.model_load_ms for report in told if not report.cold_start)
    assert all(report.meter.vram_peak_bytes for report in told)


async def test_the_server_serves_the_pull_of_a_warm_host_first(
    tmp_path: Path, nats_server: str
) -> None:
    """Even when a cold one has waited longer; and a queue of before gets the group added."""
    got: Seen[str] = Seen()
    async with connected(nats_server, name="pulls") as bus:
        await apply(bus, replace(queue("up-a-v1"), priority_group=""), streams=(CMD,))
        await furnished(bus, tmp_path, "up-a-v1")
        async with AsyncExitStack() as stack:
            for name, priority in (("cold", COLD), ("warm", FRONT)):

                async def take(message: Received, name: str = name) -> None:
                    if message.data:
                        got.add(name)

                inbox = bus.new_inbox()
                await stack.enter_async_context(bus.subscribed(inbox, take))
                pull = Pull(consumer=queue("up-a-v1"), wait_s=2 * SOON_S, priority=priority)
                subject = f"$JS.API.CONSUMER.MSG.NEXT.{CMD}.{pull.consumer.name}"
                await bus.send(subject, pull.body(), reply=inbox)
                await bus.barrier()
            with anyio.fail_after(SOON_S):
                while (await info(bus, queue("up-a-v1")))["num_waiting"] < 2:
                    await bus.barrier()
            await order(bus, "up-a-v1", "task_1", "task_2")
            await got.until(2)

    assert got.items == ["warm", "cold"]
