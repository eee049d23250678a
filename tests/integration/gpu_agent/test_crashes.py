"""Agents that die, or are cut off, in the middle of a render: nothing is lost or paid twice."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import anyio.abc
import httpx

from actors.runtime.bus import connected
from gpu_agent.agent import GpuAgent
from gpu_agent.renderer.behaviour import Behaviour
from schemas.events import AttemptFinished
from tests.integration.gpu_agent import mortal
from tests.integration.gpu_agent.house import (
    Neighbours,
    Started,
    agent_of,
    attempt_of,
    furnished,
    hosts,
    order,
    puller_of,
    queue,
    reports,
)
from tests.integration.runtime.world import settled, working

ROOT = Path(__file__).parents[3]


async def test_an_agent_killed_in_any_phase_leaves_a_render_that_is_done_once(
    tmp_path: Path, nats_server: str
) -> None:
    """Whoever comes after it adopts what is on the host, and reports it once."""
    tasks = [f"task_{phase}" for phase in mortal.PHASES]
    async with connected(nats_server, name="crashes") as bus, hosts(tmp_path, 1) as [host]:
        store = await furnished(bus, tmp_path, mortal.PROVIDER)
        await order(bus, mortal.PROVIDER, *tasks)
        killed = await anyio.run_process(
            [
                *(sys.executable, "-m", "tests.integration.gpu_agent.mortal"),
                *(nats_server, host._url, str(tmp_path), *mortal.PHASES),
            ],
            cwd=ROOT,
            check=False,
        )
        neighbours = Neighbours()
        survivor = agent_of(host, store, tmp_path, neighbours, name=mortal.NAME)
        puller, _ = puller_of(bus, survivor, [mortal.PROVIDER], neighbours, name=mortal.NAME)
        async with working(puller):
            await settled(bus, queue(mortal.PROVIDER))
        told = await reports(bus)
        async with httpx.AsyncClient(base_url=host._url) as client:
            history = (await client.get("/history")).json()

    assert killed.returncode == 0, killed.stderr.decode()
    assert sorted(report.task_id for report in told) == sorted(tasks)
    assert all(report.succeeded for report in told)
    # submissions are numbered from nothing: one for each task, and no run was overwritten
    assert sorted(entry["prompt"][0] for entry in history.values()) == list(range(len(tasks)))
    assert sum(report.adopted for report in told) == 5
    assert len({report.agent_id for report in told}) == 1


async def test_two_agents_with_one_attempt_on_one_host_render_it_once(
    tmp_path: Path, nats_server: str
) -> None:
    """The second took up what the first was thought to have left; one report of them is stored."""
    rendering = Started()
    slow = Behaviour(slow_nodes={"ImageBlend": 0.3})
    said: list[AttemptFinished] = []
    async with (
        connected(nats_server, name="two agents") as bus,
        hosts(tmp_path, 1, lambda: slow) as [host],
    ):
        store = await furnished(bus, tmp_path, mortal.PROVIDER)
        agents = [
            agent_of(host, store, tmp_path, Neighbours(), name=mortal.NAME, progress=rendering)
            for _ in range(2)
        ]

        async def render(agent: GpuAgent) -> None:
            [report] = await agent.receive(attempt_of(mortal.PROVIDER, "task_1"))
            assert isinstance(report, AttemptFinished)
            said.append(report)
            await bus.say([report])

        async with anyio.create_task_group() as group:
            group.start_soon(render, agents[0])
            await rendering.started()
            group.start_soon(render, agents[1])
        async with httpx.AsyncClient(base_url=host._url) as client:
            history = (await client.get("/history")).json()
        stored = await reports(bus)

    assert [entry["prompt"][0] for entry in history.values()] == [0]
    assert sorted(each.payload.adopted for each in said) == [False, True]
    assert len({each.event_id for each in said}) == len(stored) == 1
