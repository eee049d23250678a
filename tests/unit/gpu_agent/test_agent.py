"""An agent reports, whatever happens: a good file with its meter, or a code."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import av
import pytest
from msgspec.structs import replace

from actors.provider_registry.shipped import shipped
from actors.runtime.contract import FrozenClock
from gpu_agent.agent import GpuAgent
from media.errors import MediaNotFoundError, StoreFullError
from schemas.base import EPOCH, JobId, ProviderId
from schemas.commands import RunAttempt
from schemas.events import AttemptFinished
from schemas.progress import JobProgressed
from schemas.routing import ProviderRecord
from schemas.tasks import AttemptOrder, AttemptReport
from tests.builders import NOON, execution_task, header
from tests.unit.gpu_agent.clips import write_clip
from tests.unit.gpu_agent.fake_host import DONE, RUNNING, STOPPED, FakeHost, exploded, job, marks

RECORDS = {record.provider_id: record for record in shipped()}
INPUT = "s3://intake/normalized/tnt_1/vid_1.mp4"
OUTPUT = "s3://output/task_1/1/result.mp4"


class Shelf:
    """A media store of files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, Path] = {INPUT: write_clip(folder / "in.mp4")}
        self.full = False
        self._folder = folder

    async def put_file(self, uri: str, path: Path, *, content_type: str) -> None:
        """Keep a copy."""
        if self.full:
            raise StoreFullError(uri)
        kept = self._folder / f"kept{len(self.files)}.mp4"
        await anyio.to_thread.run_sync(shutil.copyfile, path, kept)
        self.files[uri] = kept

    @asynccontextmanager
    async def as_file(self, uri: str) -> AsyncIterator[Path]:
        """Yield the copy."""
        if uri not in self.files:
            raise MediaNotFoundError(uri)
        yield self.files[uri]

    async def exists(self, uri: str) -> bool:
        """Return whether it is here."""
        return uri in self.files

    async def size(self, uri: str) -> int:
        """Return its size."""
        return self.files[uri].stat().st_size

    async def read(
        self, uri: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """Yield a part of it."""
        yield self.files[uri].read_bytes()[start:end]

    async def delete(self, uri: str) -> None:
        """Forget it."""
        self.files.pop(uri, None)


class Known:
    """The shipped providers."""

    def find(self, provider_id: ProviderId) -> ProviderRecord | None:
        """Return a shipped record."""
        return RECORDS.get(provider_id)


class Switch:
    """Cancels jobs, or does not."""

    def __init__(self) -> None:
        self.thrown = anyio.Event()

    async def wait(self, job_id: JobId) -> None:
        """Return when the switch is thrown."""
        await self.thrown.wait()


class Heard:
    """Remembers the lines of progress."""

    def __init__(self) -> None:
        self.lines: list[JobProgressed] = []

    def say(self, line: JobProgressed) -> None:
        """Keep the line."""
        self.lines.append(line)


class Bench:
    """An agent with everything around it in reach."""

    def __init__(self, folder: Path, *states: dict[str, object] | None) -> None:
        self.host = FakeHost(*(states or (RUNNING, done())))
        self.host.writes_where_told = True
        self.host.video = write_clip(folder / "out.mp4", frames=5).read_bytes()
        self.store = Shelf(folder)
        self.switch = Switch()
        self.progress = Heard()
        self.agent = GpuAgent(
            agent_id="agent_1",
            host=self.host.client,
            store=self.store,
            providers=Known(),
            cancellations=self.switch,
            progress=self.progress,
            clock=FrozenClock(NOON),
            work_dir=folder,
        )

    async def report(self, heard: RunAttempt | None = None) -> AttemptReport:
        """Return what the agent reports."""
        [said] = await self.agent.receive(heard or run_attempt())
        assert isinstance(said, AttemptFinished)
        assert said.cause_id == "evt_run"
        return said.payload


def done() -> dict[str, object]:
    """Return a finished job whose output node is the shipped graphs' own."""
    told = job("completed", "execution_success")
    told["outputs"] = {"91": told["outputs"]["9"]}
    return told


def run_attempt(**changes: object) -> RunAttempt:
    """Return an order for one attempt."""
    order = AttemptOrder(task=execution_task(), attempt=1)
    return RunAttempt(**header("evt_run"), payload=replace(order, **changes))  # type: ignore[arg-type]


def folders(path: Path) -> list[str]:
    """Return the names of the folders in a folder."""
    return [each.name for each in path.iterdir() if each.is_dir()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench on which everything goes well."""
    return Bench(tmp_path)


async def test_a_good_render_is_stored_and_metered(bench: Bench) -> None:
    """The address holds task and attempt, so a late attempt overwrites nobody's file."""
    report = await bench.report()

    assert report.succeeded
    assert report.output_video_uri == OUTPUT
    assert (report.frames, report.gpu_seconds, report.queue_wait_ms) == (5, 2.5, 40)
    assert report.gpu_type == "A10G"
    assert report.output_bytes == bench.store.files[OUTPUT].stat().st_size


async def test_the_graph_names_the_uploaded_clip_and_a_folder_of_its_own(bench: Bench) -> None:
    """Names a host gives out are recycled, so two jobs with one prefix may get each other's."""
    await bench.report()
    await bench.report(run_attempt(task=execution_task("task_2")))

    graphs = [body["prompt"] for body in bench.host.submitted]
    assert graphs[0]["1"]["inputs"]["file"] == "jobs/a (1).mp4"
    assert graphs[0]["3"]["inputs"]["width"] == 160
    prefixes = {graph["91"]["inputs"]["filename_prefix"] for graph in graphs}
    assert prefixes == {f"jobs/{body['prompt_id']}/out" for body in bench.host.submitted}
    assert len(prefixes) == 2


async def test_the_stored_file_says_nothing_of_the_prompt(bench: Bench) -> None:
    """Hosts write the whole graph into the file's metadata."""
    await bench.report()

    with av.open(str(bench.store.files[OUTPUT])) as container:
        assert "title" not in container.metadata


async def test_a_watcher_sees_the_nodes_go_by(bench: Bench) -> None:
    """Each line has an id of its own, or the stream drops all but the first."""
    running = {"state": "running", "value": 1, "max": 2}
    bench.host.frames = [
        ("executing", {"node": "4"}),
        ("progress_state", {"nodes": {"4": running}}),
        ("executing", {"node": None}),
    ]
    await bench.report()

    assert [line.detail for line in bench.progress.lines] == ["ImageBlend", "ImageBlend"]
    assert {line.stage for line in bench.progress.lines} == {"render"}
    assert len({line.event_id for line in bench.progress.lines}) == 2
    assert bench.progress.lines[1].percent == pytest.approx(1 / 14)


async def test_a_redelivered_attempt_reports_under_the_same_id(bench: Bench) -> None:
    """The stream drops the second report."""
    [first] = await bench.agent.receive(run_attempt())
    [again] = await bench.agent.receive(run_attempt())

    assert isinstance(first, AttemptFinished)
    assert isinstance(again, AttemptFinished)
    assert first.event_id == again.event_id


async def test_an_attempt_nobody_waits_for_is_not_rendered(bench: Bench) -> None:
    """It lay in the queue too long."""
    report = await bench.report(run_attempt(not_after=NOON))

    assert (report.error_code, report.retriable) == ("EXPIRED", False)
    assert bench.host.submitted == []


async def test_an_attempt_without_an_end_is_bound_by_its_own_timeout(bench: Bench) -> None:
    """Epoch means that nobody set one."""
    assert (await bench.report(run_attempt(not_after=EPOCH))).succeeded
    assert (await bench.report(run_attempt(not_after=NOON + timedelta(minutes=1)))).succeeded


async def test_a_job_cancelled_while_it_waited_is_not_rendered(bench: Bench) -> None:
    """Its attempt stays in the queue until an agent pulls it."""
    bench.switch.thrown.set()
    report = await bench.report()

    assert (report.error_code, report.retriable) == ("CANCELLED", False)
    assert bench.host.submitted == []


async def test_a_job_cancelled_while_it_renders_is_stopped(tmp_path: Path) -> None:
    """What it used until then is reported all the same."""
    bench = Bench(tmp_path, RUNNING)
    reports: list[AttemptReport] = []

    async def run() -> None:
        reports.append(await bench.report())

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await bench.host.on_submit.wait()
        bench.host.states = [STOPPED]
        bench.switch.thrown.set()

    [report] = reports
    assert (report.error_code, report.gpu_seconds) == ("CANCELLED", 2.5)


async def test_a_failure_inside_the_host_is_reported_with_its_meter(tmp_path: Path) -> None:
    """Failed seconds cost as much as good ones."""
    report = await Bench(tmp_path, exploded("torch.OutOfMemoryError")).report()

    assert not report.succeeded
    assert (report.error_code, report.retriable) == ("OUT_OF_MEMORY", True)
    assert (report.gpu_seconds, report.gpu_type) == (2.5, "A10G")


async def test_a_host_that_is_gone_is_reported(bench: Bench) -> None:
    """An agent must not die with its host."""
    bench.host.down = True

    assert (await bench.report()).error_code == "HOST_UNREACHABLE"


async def test_a_result_that_is_no_video_is_broken(bench: Bench) -> None:
    """Never trust a file because somebody named it .mp4; its seconds were used though."""
    bench.host.video = b"<html>not found</html>"
    report = await bench.report()

    assert (report.error_code, report.gpu_seconds) == ("BROKEN_OUTPUT", 2.5)
    assert OUTPUT not in bench.store.files


async def test_a_truncated_result_is_broken(bench: Bench) -> None:
    """A host that dies while saving leaves half a file."""
    bench.host.video = bench.host.video[: len(bench.host.video) // 2]

    assert (await bench.report()).error_code == "BROKEN_OUTPUT"


async def test_a_run_without_a_file_has_no_output(tmp_path: Path) -> None:
    """Success without a file is no success."""
    empty = job("completed") | {"execution_status": marks("execution_success")}

    assert (await Bench(tmp_path, empty).report()).error_code == "NO_OUTPUT"


async def test_a_clip_that_is_not_stored_is_missing(bench: Bench) -> None:
    """Another host would not find it either."""
    bench.store.files.clear()
    report = await bench.report()

    assert (report.error_code, report.retriable) == ("INPUT_MISSING", False)


async def test_a_clip_that_cannot_be_read_is_refused_before_a_host_sees_it(bench: Bench) -> None:
    """One bad file can take a host down."""
    bench.store.files[INPUT].write_bytes(b"garbage")
    report = await bench.report()

    assert (report.error_code, report.retriable) == ("INPUT_UNREADABLE", False)
    assert bench.host.submitted == []


async def test_a_provider_unknown_here_may_be_known_elsewhere(bench: Bench) -> None:
    """The local copy of the registry may be behind."""
    report = await bench.report(run_attempt(task=execution_task(provider_id="fx-new-v1")))

    assert (report.error_code, report.retriable) == ("PROVIDER_UNKNOWN", True)


async def test_parameters_out_of_bounds_are_reported(bench: Bench) -> None:
    """No other try would have others."""
    report = await bench.report(run_attempt(task=execution_task(parameters={"strength": 7})))

    assert (report.error_code, report.retriable) == ("PARAMETERS_REFUSED", False)


async def test_a_full_store_is_reported(bench: Bench) -> None:
    """There may be room a little later."""
    bench.store.full = True
    report = await bench.report()

    assert (report.error_code, report.retriable) == ("OUTPUT_NOT_STORED", True)


async def test_an_agent_says_what_its_host_is_and_can_run(bench: Bench) -> None:
    """Only consumers of these providers are pulled from."""
    warm = RECORDS[ProviderId("fx-warm-grade-v1")]
    bench.host.info = {str(node["class_type"]): {} for node in warm.graph.values()}
    presence = await bench.agent.presence(tuple(RECORDS.values()), slots=1)

    assert presence.provider_ids == ("fx-warm-grade-v1",)
    assert (presence.gpu_type, presence.host, presence.version) == ("A10G", "host", "0.33.0")


async def test_nothing_is_left_in_the_work_folder(bench: Bench, tmp_path: Path) -> None:
    """An agent runs for months."""
    await bench.report()

    assert folders(tmp_path) == []


def test_the_scripted_end_is_the_protocols() -> None:
    """The bench's own check: a finished job lists the output node of the shipped graphs."""
    assert set(DONE["outputs"]) == {"9"}
    assert set(done()["outputs"]) == {"91"}  # type: ignore[call-overload]
