"""Lines that are cut while an agent renders, to the broker and to the host: paid once all the same.

The cuts are short here; ``make soak`` makes them as long as they are outside.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest
from msgspec.structs import replace

from actors.execution import core
from actors.execution.pricing import RatedPricer
from actors.runtime.bus import connected
from actors.runtime.transport import Received
from actors.runtime.wire import Sayable
from gpu_agent.comfy import HostLimits, open_host
from gpu_agent.renderer.behaviour import Behaviour
from gpu_agent.renderer.server import running_renderer
from schemas.events import AttemptFinished, LateAttemptPriced, TaskSucceeded
from schemas.progress import JobProgressed
from schemas.tasks import AttemptReport
from subjects import build
from tests.builders import NOON, batch_dispatched, execution_task, header
from tests.integration.gpu_agent import mortal
from tests.integration.gpu_agent.house import (
    ACK_WAIT_S,
    LIMITS,
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
    stocked,
)
from tests.integration.runtime.line import Line
from tests.integration.runtime.world import SOON_S, Seen, settled, working

SOAK: Final = os.environ.get("SOAK") == "1"


@pytest.mark.parametrize("cut_s", [2.5 * ACK_WAIT_S, *([90.0] if SOAK else [])])
async def test_an_agent_cut_off_while_it_renders_reports_late_and_is_paid_once(
    tmp_path: Path, nats_server: str, cut_s: float
) -> None:
    """Another agent has done the work by then; the seconds of the first were used all the same."""
    slow = Behaviour(slow_nodes={"ImageBlend": cut_s})
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
        async with working(pullers[0], within_s=cut_s + 4 * SOON_S):
            await rendering.started()
            line.cut()
            async with working(pullers[1]):
                await settled(bus, queue(mortal.PROVIDER))
            first = await reports(bus)
            with anyio.fail_after(cut_s + SOON_S):
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


class Cut:
    """Cuts the host's sockets at the first line of progress, and keeps every line."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.began = anyio.Event()
        self.mended = False
        self.after: list[str] = []
        """What was heard when the sockets could be opened again."""

    def say(self, line: JobProgressed) -> None:
        """Cut, once; from then on the next message goes nowhere."""
        if self.mended:
            self.after.append(line.detail)
        elif not self.began.is_set():
            self.behaviour.cut_sockets = True
            self.began.set()

    async def mend(self, after_s: float, deaf: bool) -> None:
        """Let sockets be opened again after a while; ``deaf`` ones get no messages."""
        await self.began.wait()
        await anyio.sleep(after_s)
        self.behaviour.deaf_socket = deaf
        self.behaviour.cut_sockets = False
        self.mended = True


@pytest.mark.parametrize("deaf", [False, True], ids=["hears again", "deaf after it"])
@pytest.mark.parametrize(
    ("cut_s", "limits"),
    [(0.4, replace(LIMITS, deaf_s=0.3)), *([(30.0, HostLimits())] if SOAK else [])],
    ids=["short", *(["long"] if SOAK else [])],
)
async def test_a_socket_that_is_cut_for_a_while_costs_progress_and_nothing_else(
    tmp_path: Path, cut_s: float, limits: HostLimits, deaf: bool
) -> None:
    """The render goes on, is asked for by polling, and is not submitted again."""
    slow = {"ImageBlend": 1.2 * cut_s, "SaveVideo": 1.5 * limits.deaf_s}
    cut = Cut(behaviour := Behaviour(slow_nodes=slow))
    store = await stocked(tmp_path)
    async with (
        running_renderer(tmp_path / "renderer", behaviour) as url,
        open_host(url, name="host", limits=limits) as host,
    ):
        agent = agent_of(host, store, tmp_path, Neighbours(), name=mortal.NAME, progress=cut)
        async with anyio.create_task_group() as group:
            group.start_soon(cut.mend, cut_s, deaf)
            [said] = await agent.receive(attempt_of(mortal.PROVIDER, "task_1"))
        async with httpx.AsyncClient(base_url=url) as client:
            history = (await client.get("/history")).json()

    assert isinstance(said, AttemptFinished)
    report = said.payload
    assert (report.error_code, report.succeeded, report.adopted) == ("", True, False)
    assert report.gpu_seconds >= cut_s
    assert [entry["prompt"][0] for entry in history.values()] == [0]
    assert deaf or "SaveVideo" in cut.after


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
