"""The agent beside one ComfyUI host: takes a render from the stored clip to the stored result."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio
from anyio.to_thread import run_sync
from msgspec.structs import replace

from actors.runtime.contract import Clock, Progress, Said
from actors.runtime.follow import follow
from gpu_agent import clip
from gpu_agent.comfy import ComfyHost
from gpu_agent.errors import Fault, RenderFailedError
from gpu_agent.fit import capable
from gpu_agent.ports import Cancellations, Providers
from gpu_agent.presence import Presence
from gpu_agent.providers.declarative import ClipInfo, DeclarativeProvider
from gpu_agent.render import Rendered, render
from gpu_agent.timing import Advance
from media.errors import InvalidUriError, MediaNotFoundError, StoreFullError
from media.store import MediaStore
from schemas.base import EPOCH, JobId
from schemas.commands import RunAttempt
from schemas.events import AttemptFinished
from schemas.progress import JobProgressed
from schemas.routing import ProviderRecord
from schemas.tasks import AttemptReport, NodeTiming

RUNS: Final = uuid.UUID("6ef5b7a6-2a0c-5f0e-9d64-0b6d3f1c7a11")
"""The name space of prompt ids, so that an attempt has the same one wherever it is taken up."""
PROGRESS_STEP: Final = 0.05
"""A line of progress for each new node, and for each such share in between."""
UPLOADS: Final = "jobs"
CONTENT_TYPE: Final = "video/mp4"


class GpuAgent:
    """The GPU edge: renders what it is given and reports what it took.

    Hears:    RunAttempt, of the providers its host can run
    Says:     AttemptFinished; JobProgressed while it renders
    Owns:     s3://output/<task>/<attempt>/result.mp4
    Repeats:  a redelivery finds the prompt on the host and follows it, or renders again
    """

    def __init__(
        self,
        *,
        agent_id: str,
        host: ComfyHost,
        store: MediaStore,
        providers: Providers,
        cancellations: Cancellations,
        progress: Progress,
        clock: Clock,
        work_dir: Path,
    ) -> None:
        self._agent_id = agent_id
        self._host = host
        self._store = store
        self._providers = providers
        self._cancellations = cancellations
        self._progress = progress
        self._clock = clock
        self._work_dir = work_dir
        self._gpu_type = ""

    async def receive(self, heard: RunAttempt) -> Sequence[Said]:
        """Render once and report; a failure is a report too."""
        async with anyio.create_task_group() as group:
            stop = anyio.Event()
            group.start_soon(self._watch, heard.correlation_id, stop)
            report = await self._report(heard, stop)
            group.cancel_scope.cancel()
        # A redelivery may reach another agent while this one still renders: both reports count.
        header = follow(heard, AttemptFinished, at=self._clock.now(), part=self._agent_id)
        return [AttemptFinished(**header, task_id=report.task_id, payload=report)]

    async def presence(self, records: Sequence[ProviderRecord], *, slots: int) -> Presence:
        """Return what to say in the PRESENCE bucket: what this host is and can run now.

        Raises:
            RenderFailedError: the host does not answer.
        """
        stats = await self._host.system_stats()
        system = stats.get("system")
        version = system.get("comfyui_version", "") if isinstance(system, dict) else ""
        return Presence(
            agent_id=self._agent_id,
            host=self._host.name,
            gpu_type=await self._host.gpu_type(),
            provider_ids=tuple(capable(records, await self._host.object_info())),
            slots=slots,
            at=self._clock.now(),
            version=str(version),
        )

    async def _watch(self, job_id: JobId, stop: anyio.Event) -> None:
        await self._cancellations.wait(job_id)
        stop.set()

    async def _report(self, heard: RunAttempt, stop: anyio.Event) -> AttemptReport:
        began = anyio.current_time()
        order = heard.payload
        report = AttemptReport(
            task_id=order.task.task_id,
            attempt=order.attempt,
            agent_id=self._agent_id,
            host=self._host.name,
            succeeded=False,
        )
        try:
            report = replace(report, gpu_type=await self._known_gpu_type())
            report = await self._attempt(heard, report, stop)
        except RenderFailedError as failed:
            report = replace(
                report,
                error_code=failed.code.value,
                message=failed.why,
                retriable=failed.retriable,
                gpu_seconds=failed.gpu_seconds,
                queue_wait_ms=failed.queue_wait_ms,
                nodes=failed.nodes,
                cold_start=_cold(failed.nodes),
            )
        return replace(report, duration_ms=round((anyio.current_time() - began) * 1000))

    async def _attempt(
        self, heard: RunAttempt, report: AttemptReport, stop: anyio.Event
    ) -> AttemptReport:
        order = heard.payload
        self._check_still_wanted(heard, stop)
        record = self._providers.find(order.task.provider_id)
        if record is None:
            raise RenderFailedError(
                Fault.PROVIDER_UNKNOWN, f"no provider {order.task.provider_id!r} here"
            )
        provider = DeclarativeProvider(record)
        prompt_id = str(uuid.uuid5(RUNS, f"{order.task.task_id}:{order.attempt}"))
        uploaded = await self._upload(order.task.input_video_uri, prompt_id)
        graph = provider.compile(order.task, clip=uploaded, prefix=f"{UPLOADS}/{prompt_id}/out")
        self._check_still_wanted(heard, stop)
        rendered = await render(
            self._host,
            graph,
            prompt_id=prompt_id,
            timeout_s=self._time_left(heard),
            stop=stop,
            hear=_Teller(heard, progress=self._progress, clock=self._clock).tell,
        )
        try:
            return await self._keep(rendered, provider.output_node, report)
        except RenderFailedError as failed:
            # the file is no good, but the host has rendered
            failed.gpu_seconds, failed.nodes = rendered.gpu_seconds, rendered.nodes
            failed.queue_wait_ms = rendered.queue_wait_ms
            raise

    def _check_still_wanted(self, heard: RunAttempt, stop: anyio.Event) -> None:
        if stop.is_set():
            raise RenderFailedError(Fault.CANCELLED, "the job was cancelled")
        if self._time_left(heard) <= 0:
            raise RenderFailedError(Fault.EXPIRED, "nobody waits for this attempt any more")

    def _time_left(self, heard: RunAttempt) -> float:
        """Return the seconds this attempt may take: its own timeout, within the task's end."""
        own = heard.payload.task.timeout_ms / 1000
        if heard.payload.not_after == EPOCH:
            return own
        return min(own, (heard.payload.not_after - self._clock.now()).total_seconds())

    async def _known_gpu_type(self) -> str:
        if not self._gpu_type:
            self._gpu_type = await self._host.gpu_type()
        return self._gpu_type

    async def _upload(self, uri: str, prompt_id: str) -> ClipInfo:
        try:
            async with self._store.as_file(uri) as path:
                found = await run_sync(clip.measure, path)
                name = await self._host.upload(path, name=f"{prompt_id}.mp4", subfolder=UPLOADS)
        except (MediaNotFoundError, InvalidUriError) as missing:
            raise RenderFailedError(Fault.INPUT_MISSING, "the clip is not stored") from missing
        return ClipInfo(
            file=name, width=found.width, height=found.height, frames=found.frames, fps=found.fps
        )

    async def _keep(
        self, rendered: Rendered, output_node: str, report: AttemptReport
    ) -> AttemptReport:
        """Fetch the result, prove that it is a video, store it."""
        files = rendered.outputs.get(output_node, ())
        if not files:
            raise RenderFailedError(Fault.NO_OUTPUT, "the host gave no file")
        uri = f"s3://output/{report.task_id}/{report.attempt}/result.mp4"
        async with anyio.TemporaryDirectory(dir=str(self._work_dir)) as folder:
            raw, clean = Path(folder, "raw"), Path(folder, "result.mp4")
            await self._host.download(files[0], to=raw)
            await run_sync(clip.strip, raw, clean)
            found = await run_sync(clip.verify, clean)
            size = (await anyio.Path(clean).stat()).st_size
            try:
                await self._store.put_file(uri, clean, content_type=CONTENT_TYPE)
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
            cold_start=_cold(rendered.nodes),
        )


class _Teller:
    """Turns how far a render is into lines of progress, a bounded number for each render."""

    def __init__(self, heard: RunAttempt, *, progress: Progress, clock: Clock) -> None:
        self._heard = heard
        self._progress = progress
        self._clock = clock
        self._lines = 0
        self._node = ""
        self._percent = 0.0

    def tell(self, advance: Advance) -> None:
        """Say a line when a new node runs or a step is done; never go back."""
        percent = max(advance.percent, self._percent)
        if advance.node_id == self._node and percent - self._percent < PROGRESS_STEP:
            return
        self._node, self._percent = advance.node_id, percent
        self._lines += 1
        task, attempt = self._heard.payload.task, self._heard.payload.attempt
        header = follow(
            self._heard, JobProgressed, at=self._clock.now(), part=f"{attempt}:{self._lines}"
        )
        self._progress.say(
            JobProgressed(
                **header,
                stage="render",
                detail=advance.class_type,
                percent=percent,
                task_id=task.task_id,
                provider_id=task.provider_id,
                node=advance.node_id,
            )
        )


def _cold(nodes: Sequence[NodeTiming]) -> bool:
    """Return whether the host had to load a model: a loader ran instead of being cached."""
    return any("Loader" in node.class_type and not node.cached for node in nodes)
