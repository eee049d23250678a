"""Attempts that were begun before, hosts that stand in the way, and what a report tells of it."""

from __future__ import annotations

import errno
from collections.abc import Collection
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from actors.runtime.contract import FrozenClock, TryLater
from gpu_agent.agent import CLEAR_AFTER_S, DECLINES, STUCK
from gpu_agent.attempt import prompt_of
from gpu_agent.folders import OLD_S, HostFolders
from gpu_agent.leak import RUNS
from gpu_agent.presence import Presence
from gpu_agent.progress import PREVIEW_BYTES, PREVIEWS, Teller
from gpu_agent.timing import Advance
from schemas.base import ProviderId, TaskId
from schemas.failures import FailureClass
from tests.builders import NOON, execution_task
from tests.unit.gpu_agent.fake_host import RUNNING, STOPPED, exploded
from tests.unit.gpu_agent.test_agent import (
    INPUT,
    OUTPUT,
    RECORDS,
    Bench,
    Heard,
    done,
    run_attempt,
)

TASK = TaskId("task_1")
WARM = RECORDS[ProviderId("fx-warm-grade-v1")]


class Others:
    """Other agents that are alive."""

    def __init__(self, *hosts: str) -> None:
        self._hosts = hosts

    def others(self) -> Collection[Presence]:
        """Return one for each host; all can render everything."""
        return [
            Presence(
                agent_id=f"agent_{host}",
                host=host,
                gpu_type="cpu",
                provider_ids=tuple(RECORDS),
                slots=1,
                at=NOON,
            )
            for host in self._hosts
        ]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Return a bench on which everything goes well."""
    return Bench(tmp_path)


async def test_a_finished_run_is_adopted_without_another_upload(bench: Bench) -> None:
    """A new upload would change the file under a run that reads it."""
    bench.host.before = done()
    report = await bench.report()

    assert report.succeeded
    assert (report.adopted, report.adopted_attempt) == (True, 0)
    assert report.gpu_seconds == 2.5
    assert "POST /upload/image" not in bench.host.requests
    assert bench.host.submitted == []


async def test_a_run_of_an_earlier_attempt_is_adopted(bench: Bench) -> None:
    """Its agent lost the host and said so; the host went on all the same."""
    bench.host.accepted.add(prompt_of(TASK, 1))
    report = await bench.report(run_attempt(attempt=2))

    assert (report.succeeded, report.adopted, report.adopted_attempt) == (True, True, 1)
    assert report.output_video_uri == "s3://output/task_1/2/result.mp4"
    assert bench.host.submitted == []


async def test_a_run_whose_file_was_no_good_is_not_adopted_again(bench: Bench) -> None:
    """The file would be no better the second time."""
    good, bench.host.video = bench.host.video, b"no video"
    first = await bench.report()
    bench.host.video = good
    second = await bench.report(run_attempt(attempt=2))

    assert (first.error_code, second.succeeded) == ("BROKEN_OUTPUT", True)
    assert not second.adopted
    assert len(bench.host.submitted) == 2


async def test_what_an_earlier_attempt_left_behind_is_stopped(bench: Bench) -> None:
    """It would hold the host up for nobody."""
    bench.host.before = STOPPED
    await bench.report(run_attempt(attempt=3))

    assert bench.host.cancelled == [prompt_of(TASK, 1), prompt_of(TASK, 2)]


async def test_a_restarted_host_is_given_the_run_again(bench: Bench) -> None:
    """Its queue is lost; what nobody knows is not there."""
    bench.host.before = None
    report = await bench.report()

    assert (report.succeeded, report.adopted) == (True, False)
    assert len(bench.host.submitted) == 1


async def test_a_file_of_another_run_is_refused(bench: Bench) -> None:
    """A host that recycles names may show one job another's picture."""
    bench.host.writes_where_told = False
    report = await bench.report()

    assert (report.error_code, report.failure_class) == (
        "FOREIGN_OUTPUT",
        FailureClass.OUTPUT_INVALID,
    )
    assert OUTPUT not in bench.store.files
    assert report.gpu_seconds == 2.5


@pytest.mark.parametrize(
    ("state", "code", "kind"),
    [
        (exploded("torch.OutOfMemoryError"), "OUT_OF_MEMORY", FailureClass.OUT_OF_MEMORY),
        (exploded("RuntimeError"), "RENDER_ERROR", FailureClass.WORKFLOW_BUG),
        (STOPPED, "LOST", FailureClass.HOST_LOST),
    ],
)
async def test_a_failure_says_its_class(
    tmp_path: Path, state: dict[str, object], code: str, kind: FailureClass
) -> None:
    """Retry, blame and who pays follow from it."""
    report = await Bench(tmp_path, state).report()

    assert (report.error_code, report.failure_class) == (code, kind)
    assert report.provider_id == "fx-warm-grade-v1"


async def test_a_report_says_what_was_moved_and_how_long_that_took(bench: Bench) -> None:
    """GPU time is not all that a render takes."""
    report = await bench.report()

    assert report.meter.input_bytes == bench.store.files[INPUT].stat().st_size
    assert report.duration_ms >= report.meter.upload_ms + report.meter.download_ms
    assert not report.cached


async def test_a_full_disk_of_the_agent_is_the_platforms_fault(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else is to pay for it."""

    async def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", "/var/agent/raw")

    monkeypatch.setattr(bench.host.client, "download", full)
    report = await bench.report()

    assert (report.error_code, report.failure_class) == (
        "AGENT_DISK_FULL",
        FailureClass.PLATFORM,
    )
    assert "/" not in report.message


async def test_a_host_that_cannot_be_stopped_is_stuck_and_serves_nothing(bench: Bench) -> None:
    """What is pulled would wait behind a render that never ends."""
    bench.host.states = [RUNNING]
    bench.host.running = [prompt_of(TASK, 1)]
    bench.host.info = {str(node["class_type"]): {} for node in WARM.graph.values()}
    report = await bench.report(run_attempt(task=execution_task(timeout_ms=1)))
    presence = await bench.agent.presence([WARM], slots=1)

    assert (report.error_code, report.failure_class) == ("HOST_STUCK", FailureClass.HOST_LOST)
    assert (presence.provider_ids, presence.trouble) == ((), STUCK)


async def test_a_host_that_is_free_again_serves_again(bench: Bench) -> None:
    """Its operator has started it again, or the render ended after all."""
    bench.host.info = {str(node["class_type"]): {} for node in WARM.graph.values()}
    bench.agent.state.is_stuck_with("a prompt")
    presence = await bench.agent.presence([WARM], slots=1)

    assert (presence.provider_ids, presence.trouble) == (("fx-warm-grade-v1",), "")


async def test_a_cancelled_job_stays_cancelled_on_a_stuck_host(bench: Bench) -> None:
    """The user did that; that the host is stuck is said in the presence."""
    bench.host.states = [RUNNING]
    reports = []

    async def run() -> None:
        reports.append(await bench.report())

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await bench.host.on_submit.wait()
        bench.switch.thrown.set()

    assert reports[0].error_code == "CANCELLED"
    assert bench.agent.state.stuck == prompt_of(TASK, 1)


async def test_an_order_that_avoids_this_host_is_left_to_another(bench: Bench) -> None:
    """It was lost here before. When nobody takes it, it is rendered here after all."""
    bench.agent._peers = Others("host", "other")
    heard = run_attempt(avoid_hosts=("host",))
    for _ in range(DECLINES):
        with pytest.raises(TryLater):
            await bench.agent.receive(heard)

    assert (await bench.report(heard)).succeeded


@pytest.mark.parametrize("others", [Others(), Others("host"), Others("bad")])
async def test_an_order_that_everybody_is_to_avoid_is_rendered(
    bench: Bench, others: Others
) -> None:
    """There is nobody to leave it to."""
    bench.agent._peers = others

    assert (await bench.report(run_attempt(avoid_hosts=("host", "bad")))).succeeded


async def test_presence_says_what_a_host_is_has_and_does(bench: Bench) -> None:
    """Routing of work, the scaler and the operator read it."""
    bench.host.info = {str(node["class_type"]): {} for node in WARM.graph.values()}
    bench.host.device = {
        "name": "cuda:0 NVIDIA A10G : cudaMallocAsync",
        "type": "cuda",
        "vram_total": 24,
        "vram_free": 20,
    }
    bench.agent.state.runs_with(["b.ckpt", "a.ckpt"])
    presence = await bench.agent.presence([WARM], slots=2)

    assert presence.lanes == ("interactive", "batch")
    assert presence.capabilities == tuple(sorted(WARM.capabilities))
    assert presence.loaded == ("a.ckpt", "b.ckpt")
    assert (presence.slots, presence.busy) == (2, 0)
    assert (presence.vram_total_bytes, presence.vram_free_bytes) == (24, 20)


async def test_a_host_holds_the_models_of_its_last_run(tmp_path: Path) -> None:
    """A ComfyUI drops what the next graph does not use."""
    bench = Bench(tmp_path)
    bench.agent.state.runs_with(["a.ckpt"])
    await bench.report()

    assert bench.agent.state.loaded == frozenset()


async def test_a_refused_graph_drives_no_model_out(tmp_path: Path) -> None:
    """Nothing has run."""
    bench = Bench(tmp_path)
    bench.agent.state.runs_with(["a.ckpt"])
    bench.host.submission = (400, {"error": {"type": "prompt_no_outputs"}})
    await bench.report()

    assert bench.agent.state.loaded == {"a.ckpt"}


async def test_a_lost_host_holds_nothing(tmp_path: Path) -> None:
    """What comes back there is another process."""
    bench = Bench(tmp_path, RUNNING, None)
    bench.agent.state.runs_with(["a.ckpt"])

    assert (await bench.report()).error_code == "LOST"
    assert bench.agent.state.loaded == frozenset()


async def test_a_leaking_host_starts_over_before_a_load(bench: Bench) -> None:
    """The load is due anyway."""
    state = bench.agent.state
    state.runs_with(["a.ckpt"])
    for run in range(RUNS):
        state.leak.ran(["a.ckpt"], used=10 + run, total=24)
    await bench.report()

    assert bench.host.requests.index("POST /free") < bench.host.requests.index("POST /prompt")


async def test_files_and_history_are_cleared_when_nobody_can_want_them_any_more(
    bench: Bench, tmp_path: Path
) -> None:
    """A report may be lost and wanted again; two minutes later it is not."""
    root = tmp_path / "comfy"
    prompt_id = prompt_of(TASK, 1)
    (root / "input" / "jobs").mkdir(parents=True)
    (root / "output" / "jobs" / prompt_id).mkdir(parents=True)
    clip = root / "input" / "jobs" / f"{prompt_id}.mp4"
    clip.write_bytes(b"x")
    bench.agent._folders = HostFolders(root, now=lambda: 0.0)
    await bench.report()
    await bench.agent.tidy()
    early = clip.exists()
    at, name = bench.agent.state._left.pop()
    bench.agent.state.leave(name, at=at - CLEAR_AFTER_S)
    await bench.agent.tidy()

    assert early
    assert not clip.exists()
    assert not (root / "output" / "jobs" / prompt_id).exists()
    assert "POST /history" in bench.host.requests


async def test_only_what_is_ours_is_ever_removed(tmp_path: Path) -> None:
    """The host's operator has files there too."""
    ours, theirs = prompt_of(TASK, 1), "holiday.mp4"
    for folder in ("input", "output"):
        (tmp_path / folder / "jobs").mkdir(parents=True)
    (tmp_path / "input" / "jobs" / f"{ours}.mp4").write_bytes(b"x")
    (tmp_path / "input" / "jobs" / theirs).write_bytes(b"x")
    (tmp_path / "output" / "jobs" / "mine").mkdir()
    at = (tmp_path / "input" / "jobs" / theirs).stat().st_mtime
    await HostFolders(tmp_path, now=lambda: at + OLD_S - 10).clear_old()
    young = (tmp_path / "input" / "jobs" / f"{ours}.mp4").exists()
    await HostFolders(tmp_path, now=lambda: at + OLD_S + 10).clear_old()

    assert young
    assert [each.name for each in (tmp_path / "input" / "jobs").iterdir()] == [theirs]
    assert [each.name for each in (tmp_path / "output" / "jobs").iterdir()] == ["mine"]


async def test_pictures_are_small_few_and_not_too_often() -> None:
    """They go to everybody who watches."""
    heard = Heard()
    teller = Teller(run_attempt(), progress=heard, clock=FrozenClock(NOON))
    teller.show(b"x" * (PREVIEW_BYTES + 1))
    teller.show(b"one")
    teller.show(b"at once")
    teller._shown_at = float("-inf")
    teller._pictures = PREVIEWS
    teller.show(b"one too many")

    assert [line.preview for line in heard.lines] == [b"one"]


async def test_two_agents_that_tell_of_one_attempt_are_both_heard() -> None:
    """The second took it up; its lines would be dropped as repetitions."""
    heard = Heard()
    for _ in range(2):
        teller = Teller(run_attempt(), progress=heard, clock=FrozenClock(NOON))
        teller.tell(Advance(node_id="1", class_type="LoadVideo", percent=0.1, eta_ms=900))

    assert len({line.event_id for line in heard.lines}) == 2
    assert {line.eta_ms for line in heard.lines} == {900}


async def test_what_was_learnt_weighs_the_percentage(bench: Bench) -> None:
    """A node that takes ten times as long is ten times as much of the way."""
    pixels = 160 * 90 * 12
    costs = {
        f"fx-warm-grade-v1/{node['class_type']}": 90_000.0 if name == "4" else 1_000.0
        for name, node in WARM.graph.items()
    }
    bench.agent.costs._known.update(costs)
    bench.host.frames = [
        ("executing", {"node": "91"}),
        ("progress_state", {"nodes": {"4": {"state": "finished"}, "91": {"state": "running"}}}),
    ]
    await bench.report(run_attempt(task=replace(execution_task(), parameters={})))

    last = bench.progress.lines[-1]
    assert last.percent is not None
    assert last.percent > 0.8
    assert last.eta_ms is not None
    assert last.eta_ms < 0.2 * 100_000 * pixels / 1_000_000
