"""Everything a host was seen to do wrong has a named outcome, against the renderer that does it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from actors.runtime.contract import SystemClock
from gpu_agent.agent import GpuAgent
from gpu_agent.comfy import HostLimits, open_host
from gpu_agent.renderer.behaviour import (
    ALWAYS,
    At,
    Behaviour,
    change,
    garbage,
    server_error,
    throttled,
)
from gpu_agent.renderer.server import running_renderer
from media.local_store import LocalMediaStore
from schemas.commands import RunAttempt
from schemas.events import AttemptFinished
from schemas.tasks import AttemptOrder, AttemptReport
from tests.builders import execution_task, header
from tests.integration.gpu_agent.house import Known, Uncancelled, Unheard, stocked

LIMITS = HostLimits(
    poll_s=0.05,
    retry_s=0.01,
    reconnect_s=0.01,
    unreachable_s=0.2,
    stop_grace_s=0.3,
    deaf_s=0.2,
    unknown_polls=10,
)
PROVIDER = "fx-warm-grade-v1"

SURVIVED: Mapping[str, dict[str, Any]] = {
    "429 with Retry-After": {"wrong_answers": (throttled(retry_after_s=0),)},
    "500 at submit": {"wrong_answers": (server_error(),)},
    "500 at submit, which was heard": {"wrong_answers": (server_error(done=True),)},
    "garbage at submit": {"wrong_answers": (garbage(),)},
    "garbage at submit, which was heard": {"wrong_answers": (garbage(done=True),)},
    "500 at upload": {"wrong_answers": (server_error(path="/upload"),)},
    "500 when asked": {"wrong_answers": (server_error(path="/jobs", times=2),)},
    "the socket is cut and stays away": {"cut_sockets": True},
    "the socket is deaf": {"cut_sockets": False, "deaf_socket": True},
    "the history comes late": {"late_history_s": 0.2},
    "messages come in a burst": {"late_history_s": 0.0, "burst_s": 0.3},
    "no disk for one upload": {"burst_s": 0.0, "disk_full_uploads": 1},
}
FAILED: Mapping[str, tuple[str, dict[str, Any]]] = {
    "429 for ever": (
        "THROTTLED",
        {"wrong_answers": (throttled(retry_after_s=0, times=ALWAYS),)},
    ),
    "429 for an hour": (
        "THROTTLED",
        {"wrong_answers": (throttled(retry_after_s=3600, times=ALWAYS),)},
    ),
    "500 for ever": ("HOST_ERROR", {"wrong_answers": (server_error(times=ALWAYS),)}),
    "garbage for ever": ("HOST_ERROR", {"wrong_answers": (garbage(times=ALWAYS),)}),
    "no disk for uploads": ("HOST_ERROR", {"wrong_answers": (), "disk_full_uploads": 9}),
    "no disk for the result": (
        "HOST_DISK_FULL",
        {"disk_full_uploads": 0, "disk_full_saves": 1},
    ),
    "no memory": ("OUT_OF_MEMORY", {"out_of_memory": {"ImageBlend": 1}}),
    "an exception": ("RENDER_ERROR", {"failures": {"ImageBlend": 1}}),
    "a part of the graph": ("GRAPH_REFUSED", {"node_errors_on_accept": True}),
    "half a result": (
        "BROKEN_OUTPUT",
        {"node_errors_on_accept": False, "truncated_outputs": 1},
    ),
    "an empty result": ("BROKEN_OUTPUT", {"empty_outputs": 1}),
    "another's result": ("FOREIGN_OUTPUT", {"foreign_outputs": 1}),
    "a render that hears nothing": ("HOST_STUCK", {"hung_at": frozenset({"ImageBlend"})}),
}


class Bench:
    """An agent at an address; the host there comes and goes."""

    def __init__(self, agent: GpuAgent) -> None:
        self.agent = agent

    async def report(self, task_id: str, *, attempt: int = 1, timeout_ms: int = 30_000) -> Any:
        """Return what becomes of one attempt."""
        task = execution_task(task_id, PROVIDER, parameters={"strength": 0.5})
        heard = RunAttempt(
            **header(f"evt_{task_id}_{attempt}"),  # type: ignore[arg-type]
            payload=AttemptOrder(task=replace(task, timeout_ms=timeout_ms), attempt=attempt),
        )
        [said] = await self.agent.receive(heard)
        assert isinstance(said, AttemptFinished)
        return said.payload


def benched(host: Any, store: LocalMediaStore, folder: Path) -> Bench:
    """Return an agent of this host."""
    return Bench(
        GpuAgent(
            agent_id="agent_1",
            host=host,
            store=store,
            providers=Known(),
            cancellations=Uncancelled(),
            progress=Unheard(),
            clock=SystemClock(),
            work_dir=folder,
        )
    )


async def test_every_fault_of_a_host_has_its_outcome(tmp_path: Path) -> None:
    """What passes is survived, what does not has its code; nothing is rendered twice."""
    store = await stocked(tmp_path)
    behaviour = Behaviour()
    outcomes: dict[str, str] = {}
    reports: list[AttemptReport] = []
    async with (
        running_renderer(tmp_path / "renderer", behaviour) as url,
        open_host(url, name="renderer", limits=LIMITS) as host,
    ):
        bench = benched(host, store, tmp_path)
        for number, (name, switches) in enumerate(SURVIVED.items()):
            change(behaviour, switches)
            report = await bench.report(f"task_s{number}")
            outcomes[name] = report.error_code
            reports.append(report)
        for number, (name, (_, switches)) in enumerate(FAILED.items()):
            change(behaviour, switches)
            # the last one hangs; the others have all the time they want
            hangs = "hung_at" in switches
            report = await bench.report(f"task_f{number}", timeout_ms=500 if hangs else 30_000)
            outcomes[name] = report.error_code
            reports.append(report)

    assert outcomes == dict.fromkeys(SURVIVED, "") | {
        name: code for name, (code, _) in FAILED.items()
    }
    assert not any("/" in report.message for report in reports)
    assert all(report.failure_class for report in reports if not report.succeeded)
    assert not any(report.adopted for report in reports)
    assert bench.agent.state.stuck


async def test_a_host_that_is_down_dies_and_comes_back_costs_one_attempt_each(
    tmp_path: Path,
) -> None:
    """Down at submit, killed while it renders, back with an empty queue."""
    store = await stocked(tmp_path)
    behaviour = Behaviour(kill_at=At(class_type="ImageBlend"))
    async with running_renderer(tmp_path / "renderer", behaviour) as url:
        port = int(url.rsplit(":", 1)[1])
        async with open_host(url, name="renderer", limits=LIMITS) as host:
            bench = benched(host, store, tmp_path)
            killed = await bench.report("task_1")
            down = await bench.report("task_1", attempt=2)
            async with running_renderer(tmp_path / "renderer", behaviour, port=port):
                back = await bench.report("task_1", attempt=3)

    assert (killed.error_code, down.error_code) == ("HOST_UNREACHABLE", "HOST_UNREACHABLE")
    assert killed.failure_class == down.failure_class == "HOST_LOST"
    assert (back.succeeded, back.adopted) == (True, False)


async def test_a_host_that_lacks_the_model_says_so(tmp_path: Path) -> None:
    """The agent's list may be behind what somebody deleted there."""
    store = await stocked(tmp_path)
    async with (
        running_renderer(tmp_path / "renderer", Behaviour(models={})) as url,
        open_host(url, name="renderer", limits=LIMITS) as host,
    ):
        bench = benched(host, store, tmp_path)
        task = execution_task("task_1", "up-a-v1", parameters={})
        heard = RunAttempt(
            **header("evt_1"),  # type: ignore[arg-type]
            payload=AttemptOrder(task=task, attempt=1),
        )
        [said] = await bench.agent.receive(heard)

    assert isinstance(said, AttemptFinished)
    assert said.payload.error_code == "MISSING_MODEL"
