"""The agent against the embedded renderer: real HTTP, real sockets, real pixels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import numpy as np
import pytest
from msgspec.structs import replace

from actors.provider_registry.shipped import shipped
from actors.runtime.contract import SystemClock
from gpu_agent.agent import GpuAgent
from gpu_agent.comfy import HostLimits, open_host
from gpu_agent.renderer.behaviour import Behaviour
from gpu_agent.renderer.server import running_renderer
from media.local_store import LocalMediaStore
from schemas.base import JobId, ProviderId, Scalar
from schemas.commands import RunAttempt
from schemas.events import AttemptFinished
from schemas.progress import JobProgressed
from schemas.routing import ProviderRecord
from schemas.tasks import AttemptOrder, AttemptReport
from tests.builders import execution_task, header
from tests.unit.gpu_agent.clips import read_clip, write_clip

RECORDS = {record.provider_id: record for record in shipped()}
ACTIVE = [record for record in RECORDS.values() if record.status == "active"]
INPUT = "s3://intake/normalized/tnt_1/vid_1.mp4"
LIMITS = HostLimits(poll_s=0.05)


class Known:
    """The shipped providers."""

    def find(self, provider_id: ProviderId) -> ProviderRecord | None:
        """Return a shipped record."""
        return RECORDS.get(provider_id)


class Switch:
    """Cancels jobs when thrown."""

    def __init__(self) -> None:
        self.thrown = anyio.Event()

    async def wait(self, job_id: JobId) -> None:
        """Return when the switch is thrown."""
        await self.thrown.wait()


class Lines:
    """Keeps progress, and throws a switch at the first line when it has one."""

    def __init__(self) -> None:
        self.heard: list[JobProgressed] = []
        self.switch: Switch | None = None

    def say(self, line: JobProgressed) -> None:
        """Keep the line."""
        self.heard.append(line)
        if self.switch is not None:
            self.switch.thrown.set()


class Bench:
    """An agent beside a running renderer."""

    def __init__(
        self, agent: GpuAgent, store: LocalMediaStore, lines: Lines, switch: Switch
    ) -> None:
        self.agent = agent
        self.store = store
        self.lines = lines
        self.switch = switch

    async def report(
        self, provider_id: str, *, task_id: str = "task_1", attempt: int = 1, **parameters: Scalar
    ) -> AttemptReport:
        """Return what becomes of one attempt."""
        known: dict[str, Scalar] = {"strength": 0.8, "seed": 7}
        task = execution_task(task_id, provider_id, parameters=known | parameters)
        heard = RunAttempt(
            **header(f"evt_{task_id}_{attempt}"),  # type: ignore[arg-type]
            payload=AttemptOrder(task=task, attempt=attempt),
        )
        [said] = await self.agent.receive(heard)
        assert isinstance(said, AttemptFinished)
        return said.payload

    async def pixels(self, uri: str) -> np.ndarray:
        """Return the frames of a stored clip."""
        async with self.store.as_file(uri) as path:
            return await anyio.to_thread.run_sync(read_clip, path)


@asynccontextmanager
async def benched(
    folder: Path, behaviour: Behaviour | None = None, *, frames: int = 12
) -> AsyncIterator[Bench]:
    """Yield a bench whose store holds the input clip.

    Not a fixture: its task groups must end in the task they began in.
    """
    store = LocalMediaStore(root=folder / "media")
    clip = await anyio.to_thread.run_sync(lambda: write_clip(folder / "in.mp4", frames=frames))
    await store.put_file(INPUT, clip, content_type="video/mp4")
    async with (
        running_renderer(folder / "renderer", behaviour) as base_url,
        open_host(base_url, name="renderer", limits=LIMITS) as host,
    ):
        lines, switch = Lines(), Switch()
        agent = GpuAgent(
            agent_id="agent_1",
            host=host,
            store=store,
            providers=Known(),
            cancellations=switch,
            progress=lines,
            clock=SystemClock(),
            work_dir=folder,
        )
        yield Bench(agent, store, lines, switch)


@pytest.mark.parametrize("record", ACTIVE, ids=lambda record: record.provider_id)
async def test_every_active_provider_changes_the_picture(
    tmp_path: Path, record: ProviderRecord
) -> None:
    """All frames come back, the picture is another one, and more strength changes more."""
    async with benched(tmp_path) as bench:
        weak = await bench.report(record.provider_id, task_id="task_weak", strength=0.2)
        strong = await bench.report(record.provider_id, task_id="task_strong", strength=0.9)

        assert (weak.error_code, strong.error_code) == ("", "")
        assert strong.frames == 12
        assert strong.gpu_type == "cpu"
        assert strong.gpu_seconds > 0
        before = await bench.pixels(INPUT)
        after = [await bench.pixels(each.output_video_uri) for each in (weak, strong)]
        if after[1].shape != before.shape:  # it changes the size, and by how much it is not asked
            assert after[0].shape == after[1].shape
            return
        changes = [float(np.abs(each - before).mean()) for each in after]
        assert changes[0] < changes[1]
        assert changes[1] > 2.0


async def test_the_report_names_every_node_and_where_the_time_went(tmp_path: Path) -> None:
    """The admin panel and the workflow-inefficiency rule read these."""
    async with benched(tmp_path) as bench:
        report = await bench.report("fx-golden-bloom-v1")

        record = RECORDS[ProviderId("fx-golden-bloom-v1")]
        assert {node.node_id for node in report.nodes} == set(record.graph)
        assert not any(node.cached for node in report.nodes)
        assert sum(node.ms for node in report.nodes) <= report.gpu_seconds * 1000
        assert {"ImageBlur", "SaveVideo"} <= {line.detail for line in bench.lines.heard}
        percents = [line.percent or 0.0 for line in bench.lines.heard]
        assert percents == sorted(percents)


async def test_a_job_cancelled_while_it_renders_stops(tmp_path: Path) -> None:
    """The host must be free for the next job, and nothing is stored."""
    async with benched(tmp_path, frames=60) as bench:
        bench.lines.switch = bench.switch
        report = await bench.report("fx-golden-bloom-v1", radius=31)

        assert (report.error_code, report.succeeded) == ("CANCELLED", False)


async def test_an_attempt_taken_up_again_is_not_rendered_twice(tmp_path: Path) -> None:
    """Its first agent was killed before it could report."""
    async with benched(tmp_path) as bench:
        first = await bench.report("fx-warm-grade-v1")
        again = await bench.report("fx-warm-grade-v1")

        assert again.succeeded
        assert again.gpu_seconds == first.gpu_seconds


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (Behaviour(deaf_socket=True), ""),
        (Behaviour(late_history_lookups=2), ""),
        (Behaviour(silent_nodes=True), ""),
        (Behaviour(failures={"ImageBlend": 1}), "RENDER_ERROR"),
        (Behaviour(node_errors_on_accept=True), "GRAPH_REFUSED"),
    ],
    ids=["deaf", "late history", "silent", "failing node", "partly refused"],
)
async def test_a_badly_behaved_host_is_survived(
    tmp_path: Path, behaviour: Behaviour, code: str
) -> None:
    """Each of these was seen on a real one."""
    async with benched(tmp_path, behaviour) as bench:
        assert (await bench.report("fx-warm-grade-v1")).error_code == code


async def test_a_failed_attempt_succeeds_the_second_time(tmp_path: Path) -> None:
    """The retry is a prompt of its own."""
    behaviour = Behaviour(failures={"ImageBlend": 1})
    async with benched(tmp_path, behaviour) as bench:
        first = await bench.report("fx-warm-grade-v1", attempt=1)
        second = await bench.report("fx-warm-grade-v1", attempt=2)

        assert (first.succeeded, second.succeeded) == (False, True)
        assert second.output_video_uri == "s3://output/task_1/2/result.mp4"


async def test_the_renderer_runs_what_needs_no_model_and_nothing_else(tmp_path: Path) -> None:
    """An agent must not pull work its host cannot do."""
    async with benched(tmp_path) as bench:
        enabled = [replace(record, status="active") for record in RECORDS.values()]
        presence = await bench.agent.presence(enabled, slots=1)

        assert presence.provider_ids == tuple(sorted(record.provider_id for record in ACTIVE))
        assert presence.gpu_type == "cpu"
