"""Agents that die, or are cut off, in the middle of a render: nothing is lost or paid twice."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio
import anyio.abc
import httpx
from anyio.abc import TaskStatus

from actors.execution import core
from actors.execution.pricing import RatedPricer
from actors.runtime.bus import connected
from actors.runtime.transport import Received
from actors.runtime.wire import Sayable
from gpu_agent.agent import GpuAgent
from gpu_agent.renderer.behaviour import Behaviour
from schemas.events import AttemptFinished, LateAttemptPriced, TaskSucceeded
from schemas.progress import JobProgressed
from schemas.tasks import AttemptReport
from subjects import build
from tests.builders import NOON, batch_dispatched, execution_task, header
from tests.integration.gpu_agent import mortal
from tests.integration.gpu_agent.house import (
    ACK_WAIT_S,
    Neighbours,
    agent_of,
    attempt_of,
    furnished,
    hosts,
    order,
    puller_of,
    queue,
    reports,
)
from tests.integration.runtime.world import SOON_S, Seen, settled, working

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


async def test_an_agent_cut_off_while_it_renders_reports_late_and_is_paid_once(
    tmp_path: Path, nats_server: str
) -> None:
    """Another agent has done the work by then; the seconds of the first were used all the same."""
    slow = Behaviour(slow_nodes={"ImageBlend": 2.5 * ACK_WAIT_S})
    kinds = iter((slow, Behaviour()))
    rendering = Started()
    unsaid = anyio.Event()
    said: Seen[str] = Seen()

    async def hear(message: Received) -> None:
        said.add(message.subject)

    async with (
        connected(nats_server, name="cut off") as bus,
        hosts(tmp_path, 2, lambda: next(kinds)) as found,
        Line.to(nats_server) as line,
        connected(line.url, name="far") as far,
        bus.subscribed(build.facts_of(AttemptFinished), hear),
    ):
        store = await furnished(bus, tmp_path, mortal.PROVIDER)
        await order(bus, mortal.PROVIDER, "task_1")

        async def say(words: Sequence[Sayable]) -> None:
            unsaid.set()
            await far.say(words)

        neighbours = Neighbours()
        pullers = []
        for host, own in zip(found, (far, bus), strict=True):
            agent = agent_of(host, store, tmp_path, neighbours, name=host.name, progress=rendering)
            pullers.append(
                puller_of(
                    own,
                    agent,
                    [mortal.PROVIDER],
                    neighbours,
                    name=host.name,
                    say=say if own is far else None,
                )[0]
            )
        async with working(pullers[0]):
            await rendering.started()
            line.cut()
            async with working(pullers[1]):
                await settled(bus, queue(mortal.PROVIDER))
            first = await reports(bus)
            with anyio.fail_after(SOON_S):
                await unsaid.wait()
            line.mend()
            await said.until(2)
            both = await reports(bus)

    assert [report.host for report in first] == ["host-1"]
    assert sorted(report.host for report in both) == ["host-0", "host-1"]
    assert all(report.succeeded and report.gpu_seconds for report in both)
    outcomes = concluded(both)
    assert [type(said) for said in outcomes] == [TaskSucceeded, LateAttemptPriced]
    good, late = outcomes
    assert good.payload.execution_telemetry.host == "host-1"
    assert late.payload.agent_id == "host-0"
    assert late.payload.cost_microtokens > 0


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


class Started:
    """Tells when the first line of progress comes."""

    def __init__(self) -> None:
        self.event = anyio.Event()

    def say(self, line: JobProgressed) -> None:
        """Wake whoever waits."""
        self.event.set()

    async def started(self) -> None:
        """Return when it has come."""
        with anyio.fail_after(SOON_S):
            await self.event.wait()


class Line:
    """A network between an agent and the broker that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._place = (host, port)
        self._whole = anyio.Event()
        self._cut = anyio.CancelScope()
        self._port = 0
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Line]:
        """Run a line to the broker at this URL."""
        parts = urlsplit(url)
        line = cls(str(parts.hostname), int(parts.port or 0))
        line.mend()
        async with anyio.create_task_group() as group:
            await group.start(line._run)
            line.url = url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{line._port}")
            yield line
            group.cancel_scope.cancel()

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        self._whole = anyio.Event()
        self._cut.cancel()

    def mend(self) -> None:
        """Let connections be made again."""
        self._whole.set()

    async def _run(self, *, task_status: TaskStatus[None]) -> None:
        while True:
            await self._whole.wait()
            listener = await anyio.create_tcp_listener(
                local_host="127.0.0.1", local_port=self._port, reuse_port=True
            )
            self._port = listener.extra(anyio.abc.SocketAttribute.local_port)
            if not self.url:
                task_status.started()
            with anyio.CancelScope() as self._cut:
                async with listener:
                    await listener.serve(self._carry)

    async def _carry(self, near: anyio.abc.SocketStream) -> None:
        far = await anyio.connect_tcp(*self._place)
        async with near, far, anyio.create_task_group() as group:
            group.start_soon(self._copy, near, far, group.cancel_scope)
            group.start_soon(self._copy, far, near, group.cancel_scope)

    async def _copy(
        self, one: anyio.abc.SocketStream, other: anyio.abc.SocketStream, scope: anyio.CancelScope
    ) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                await other.send(await one.receive())
        scope.cancel()


def concluded(told: Sequence[AttemptReport]) -> list[Any]:
    """Return what Execution says about a task with these reports of its attempt."""
    task = execution_task("task_1", mortal.PROVIDER)
    step = core.dispatch(None, batch_dispatched(tasks=(task,)), at=NOON)
    said = []
    for number, report in enumerate(told):
        finished = AttemptFinished(
            **header(f"evt_{number}"),  # type: ignore[arg-type]
            task_id=report.task_id,
            payload=report,
        )
        after = core.report(step.state, finished, RatedPricer().price(report), at=NOON)
        assert after is not None
        step = after
        said += [each for each in step.said if isinstance(each, TaskSucceeded | LateAttemptPriced)]
    return said
