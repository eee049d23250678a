"""One attempt, from the stored clip to the stored result, and what it took.

Each step may be the last one of an agent that is killed. What it did on the host has the attempt's
own names, so whoever comes after it finds a run under way or finished and goes on from there; what
it stored is stored again at the same place.
"""

from __future__ import annotations

import errno
import uuid
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Final

import anyio
from anyio.to_thread import run_sync
from msgspec import Struct
from msgspec.structs import replace

from actors.runtime.contract import Clock, Progress
from gpu_agent import clip
from gpu_agent.comfy import ComfyHost
from gpu_agent.costs import NodeCosts
from gpu_agent.dialect import spoken
from gpu_agent.errors import Fault, RenderFailedError
from gpu_agent.folders import UPLOADS, output_folder, upload_name
from gpu_agent.hosting import HostState
from gpu_agent.loaded import is_warm, load_ms, loaders, was_cold
from gpu_agent.ports import Providers
from gpu_agent.progress import Teller
from gpu_agent.providers import graphs
from gpu_agent.providers.adapter import ClipInfo
from gpu_agent.providers.declarative import DeclarativeProvider
from gpu_agent.providers.graphs import Graph
from gpu_agent.render import Rendered, Told, render
from gpu_agent.vitals import Sampler, Vitals
from gpu_agent.wire import OutputFile, Phase
from media.errors import InvalidUriError, MediaNotFoundError, StoreFullError
from media.store import MediaStore
from schemas.base import EPOCH, TaskId
from schemas.commands import RunAttempt
from schemas.routing import ProviderRecord
from schemas.tasks import AttemptReport, NodeTiming, RenderMeter, render_uri
from workflows.graphs import LOADERS, PREFIX
from workflows.object_info import ObjectInfo

RUNS: Final = uuid.UUID("6ef5b7a6-2a0c-5f0e-9d64-0b6d3f1c7a11")
"""The name space of prompt ids, so that an attempt has the same one wherever it is taken up."""
CONTENT_TYPE: Final = "video/mp4"
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
PREVIEWS: Final = {"preview_method": "latent2rgb"}
"""What a submission says when pictures are wanted of what is being made."""
_THERE: Final = frozenset({Phase.PENDING, Phase.RUNNING, Phase.DONE})


class Workplace(Struct, frozen=True, kw_only=True):
    """What every attempt of one agent works with."""

    host: ComfyHost
    store: MediaStore
    providers: Providers
    progress: Progress
    clock: Clock
    work_dir: Path
    state: HostState
    costs: NodeCosts
    sampler: Sampler
    previews: bool = False
    object_info: Callable[[], Awaitable[ObjectInfo]]
    """What the host knows; seldom asked for anew."""


def prompt_of(task_id: TaskId, attempt: int) -> str:
    """Return the prompt id of an attempt: the same wherever it is taken up."""
    return str(uuid.uuid5(RUNS, f"{task_id}:{attempt}"))


class Attempt:
    """Follows one order; ``run`` reports whatever happens."""

    def __init__(self, heard: RunAttempt, *, at: Workplace, stop: anyio.Event) -> None:
        order = heard.payload
        self._heard = heard
        self._order = order
        self._at = at
        self._stop = stop
        self._prompt_id = prompt_of(order.task.task_id, order.attempt)
        self._adopted_attempt = 0
        self._meter = RenderMeter()
        self._vitals = Vitals()
        self._loading: Collection[str] = ()

    async def run(self, report: AttemptReport) -> AttemptReport:
        """Return the report, filled in."""
        began = anyio.current_time()
        state = self._at.state
        state.busy += 1
        try:
            report = await self._sampled(report)
        finally:
            state.busy -= 1
            state.idle_since = anyio.current_time()
            state.leave(self._prompt_id, at=state.idle_since)
        return replace(
            report,
            duration_ms=_ms(began),
            adopted_attempt=self._adopted_attempt if report.adopted else 0,
            meter=self._metered(report.nodes),
        )

    async def _sampled(self, report: AttemptReport) -> AttemptReport:
        """Run while samples are taken, and take the last one when it is over."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._at.sampler.keep_on, self._vitals)
            try:
                report = await self._to_the_end(report)
            except RenderFailedError as failed:
                report = self._failed(report, failed)
            except OSError as full:
                if full.errno not in NO_ROOM:
                    raise
                lacking = RenderFailedError(Fault.AGENT_DISK_FULL, "the agent's disk is full")
                report = self._failed(report, lacking)
            group.cancel_scope.cancel()
        if report.gpu_seconds:
            await self._at.sampler.sample(self._vitals)
            held, models = self._vitals.last, self._at.state.loaded
            if held is not None:
                used, total = held.vram_used, held.vram_total
                if not total:
                    used, total = held.ram_used, held.ram_total
                self._at.state.leak.ran(models, used=used, total=total)
        return report

    def _failed(self, report: AttemptReport, failed: RenderFailedError) -> AttemptReport:
        state = self._at.state
        code = failed.code
        if failed.stuck:
            state.is_stuck_with(self._prompt_id)
            code = code if code is Fault.CANCELLED else Fault.HOST_STUCK
        if code in {Fault.LOST, Fault.HOST_UNREACHABLE}:
            state.let_go()  # what comes back there is another process
        told = RenderFailedError(code, failed.why)
        return replace(
            report,
            error_code=code.value,
            failure_class=told.failure_class,
            message=failed.why,
            retriable=told.retriable,
            gpu_seconds=failed.gpu_seconds,
            queue_wait_ms=failed.queue_wait_ms,
            nodes=failed.nodes,
            cold_start=was_cold(failed.nodes, self._loading),
            adopted=failed.adopted,
        )

    async def _to_the_end(self, report: AttemptReport) -> AttemptReport:
        self._check_still_wanted()
        task = self._order.task
        record = self._at.providers.find(task.provider_id)
        if record is None:
            raise RenderFailedError(
                Fault.PROVIDER_UNKNOWN, f"no provider {task.provider_id!r} here"
            )
        there = await self._find_run()
        if not there:
            await self._make_way(record)
        uploaded = await self._upload(task.input_video_uri, there=there)
        prefix = f"{output_folder(self._prompt_id)}/out"
        provider = DeclarativeProvider(record)
        graph = provider.compile(task, clip=uploaded, prefix=prefix)
        graph = spoken(graph, await self._at.object_info())
        check(graph, record, clip=uploaded.file, prefix=prefix)
        self._check_still_wanted()
        self._loading = loaders(record, graph)
        rendered = await self._render(graph, record, uploaded)
        try:
            return await self._keep(rendered, provider.output_node, report)
        except RenderFailedError as failed:
            # the file is no good, but the host has rendered
            failed.gpu_seconds, failed.nodes = rendered.gpu_seconds, rendered.nodes
            failed.queue_wait_ms, failed.adopted = rendered.queue_wait_ms, rendered.adopted
            self._at.state.spoil(self._prompt_id)
            raise

    async def _find_run(self) -> bool:
        """Look whether the run is on the host already, begun for this attempt or an earlier one."""
        task, number = self._order.task, self._order.attempt
        for earlier in range(number, 0, -1):
            prompt_id = prompt_of(task.task_id, earlier)
            if prompt_id in self._at.state.spoiled:
                continue
            if (await self._at.host.state(prompt_id)).phase in _THERE:
                self._prompt_id = prompt_id
                self._adopted_attempt = 0 if earlier == number else earlier
                return True
        return False

    async def _make_way(self, record: ProviderRecord) -> None:
        """End what earlier attempts left running, and have a leaking host start over."""
        host, state = self._at.host, self._at.state
        for number in range(1, self._order.attempt):
            await host.cancel(prompt_of(self._order.task.task_id, number))
        loads = not is_warm(record, state.loaded)
        alone = state.busy == 1
        if alone and state.leak.to_recycle(idle_s=0.0, loads_next=loads):
            await host.free()
            state.let_go()
        await self._at.sampler.sample(self._vitals)

    async def _upload(self, uri: str, *, there: bool) -> ClipInfo:
        """Measure the clip, and bring it to the host unless a run there reads it already."""
        name = f"{UPLOADS}/{upload_name(self._prompt_id)}"
        try:
            async with self._at.store.as_file(uri) as path:
                found = await run_sync(clip.measure, path)
                size = (await anyio.Path(path).stat()).st_size
                began = anyio.current_time()
                if not there:
                    name = await self._at.host.upload(
                        path, name=upload_name(self._prompt_id), subfolder=UPLOADS
                    )
                    self._meter = replace(self._meter, upload_ms=_ms(began), input_bytes=size)
        except (MediaNotFoundError, InvalidUriError) as missing:
            raise RenderFailedError(Fault.INPUT_MISSING, "the clip is not stored") from missing
        return ClipInfo(
            file=name, width=found.width, height=found.height, frames=found.frames, fps=found.fps
        )

    async def _render(self, graph: Graph, record: ProviderRecord, uploaded: ClipInfo) -> Rendered:
        at, provider_id = self._at, record.provider_id
        pixels = uploaded.width * uploaded.height * max(uploaded.frames, 1)
        held = at.state.loaded
        at.state.runs_with(record.required_models)
        teller = Teller(self._heard, progress=at.progress, clock=at.clock)
        told = Told(
            expected_ms=at.costs.expected(provider_id, graph, pixels=pixels),
            loaders=self._loading,
            extra=PREVIEWS if at.previews else {},
        )
        try:
            rendered = await render(
                at.host,
                graph,
                prompt_id=self._prompt_id,
                timeout_s=self._time_left(),
                stop=self._stop,
                hear=teller.tell,
                show=teller.show,
                told=told,
            )
        except RenderFailedError as failed:
            if not failed.gpu_seconds:
                at.state.runs_with(held)  # it was refused: nothing was loaded or driven out
            raise
        if not rendered.cached and not rendered.adopted:
            at.costs.learn(provider_id, rendered.nodes, pixels=pixels)
        return rendered

    async def _keep(
        self, rendered: Rendered, output_node: str, report: AttemptReport
    ) -> AttemptReport:
        """Fetch the result, prove that it is a video, store it."""
        file = self._own(rendered.outputs.get(output_node, ()))
        uri = render_uri(report.task_id, report.attempt)
        async with anyio.TemporaryDirectory(dir=str(self._at.work_dir)) as folder:
            raw, clean = Path(folder, "raw"), Path(folder, "result.mp4")
            began = anyio.current_time()
            await self._at.host.download(file, to=raw)
            self._meter = replace(self._meter, download_ms=_ms(began))
            began = anyio.current_time()
            await run_sync(clip.strip, raw, clean)
            found = await run_sync(clip.verify, clean)
            self._meter = replace(self._meter, verify_ms=_ms(began))
            size = (await anyio.Path(clean).stat()).st_size
            try:
                await self._at.store.put_file(uri, clean, content_type=CONTENT_TYPE)
            except StoreFullError as full:
                raise RenderFailedError(
                    Fault.OUTPUT_NOT_STORED, "there is no room for the result"
                ) from full
        return replace(
            report,
            succeeded=True,
            output_video_uri=uri,
            retriable=False,
            gpu_seconds=rendered.gpu_seconds,
            queue_wait_ms=rendered.queue_wait_ms,
            nodes=rendered.nodes,
            output_bytes=size,
            frames=found.frames,
            cold_start=was_cold(rendered.nodes, self._loading),
            cached=rendered.cached,
            adopted=rendered.adopted,
        )

    def _own(self, files: Collection[OutputFile]) -> OutputFile:
        """Return the run's file. A host that recycles names may tell of another job's."""
        if not files:
            raise RenderFailedError(Fault.NO_OUTPUT, "the host gave no file")
        [first, *_] = files
        if first.subfolder.replace("\\", "/").strip("/") != output_folder(self._prompt_id):
            raise RenderFailedError(Fault.FOREIGN_OUTPUT, "the host named another run's file")
        return first

    def _check_still_wanted(self) -> None:
        if self._stop.is_set():
            raise RenderFailedError(Fault.CANCELLED, "the job was cancelled")
        if self._time_left() <= 0:
            raise RenderFailedError(Fault.EXPIRED, "nobody waits for this attempt any more")

    def _time_left(self) -> float:
        """Return the seconds this attempt may take: its own timeout, within the task's end."""
        own = self._order.task.timeout_ms / 1000
        if self._order.not_after == EPOCH:
            return own
        return min(own, (self._order.not_after - self._at.clock.now()).total_seconds())

    def _metered(self, nodes: Collection[NodeTiming]) -> RenderMeter:
        vitals = self._vitals
        return replace(
            self._meter,
            model_load_ms=load_ms(nodes, self._loading),
            vram_peak_bytes=vitals.vram_peak,
            vram_growth_bytes=vitals.vram_growth,
            ram_peak_bytes=vitals.ram_peak,
            ram_growth_bytes=vitals.ram_growth,
            gpu_utilisation=vitals.utilisation,
            gpu_temperature_c=vitals.temperature_c,
            gpu_power_w=vitals.power_w,
        )


def check(graph: Graph, record: ProviderRecord, *, clip: str, prefix: str) -> None:
    """Refuse a graph that is not what the host may be given, whoever put it together.

    The last look before it is sent: every class is the provider's, every clip is ours, and so is
    every place that is written to.

    Raises:
        RenderFailedError: ``GRAPH_REFUSED``.
    """
    graphs.check_classes(graph, record.node_dependencies)
    for name, node in graph.items():
        inputs = graphs.inputs_of(graph, name)
        key = LOADERS.get(str(node.get("class_type")))
        if key is not None and inputs.get(key) != clip:
            raise graphs.refused(f"node {name} reads something else than the clip")
        if inputs.get(PREFIX, prefix) != prefix:
            raise graphs.refused(f"node {name} writes to a place that is not its own")


def _ms(began: float) -> int:
    return round((anyio.current_time() - began) * 1000)
