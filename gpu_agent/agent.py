"""The agent beside one ComfyUI host: hears orders, reports attempts, says what it can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio
from msgspec.structs import replace

from actors.runtime.contract import Clock, Progress, Said, TryLater
from actors.runtime.follow import follow
from gpu_agent import wire
from gpu_agent.attempt import Attempt, Workplace
from gpu_agent.comfy import ComfyHost
from gpu_agent.costs import NodeCosts
from gpu_agent.errors import RenderFailedError
from gpu_agent.fit import capable
from gpu_agent.hosting import HostState
from gpu_agent.ports import Alone, Cancellations, Folders, OutOfReach, Peers, Providers
from gpu_agent.presence import Presence
from gpu_agent.vitals import Gauge, NoGauge, Sampler
from media.store import MediaStore
from schemas.base import JobId
from schemas.commands import RunAttempt
from schemas.events import AttemptFinished
from schemas.lanes import LANES
from schemas.routing import ProviderRecord
from schemas.tasks import AttemptOrder, AttemptReport
from workflows.object_info import ObjectInfo

STUCK: Final = "the host goes on with a render that it was told to stop"
CLEAR_AFTER_S: Final = 120.0
"""How long files and history of a run are kept: its report may be lost, and be wanted again."""
INFO_S: Final = 60.0
"""How soon a model file or a class that was added to a host is seen."""
DECLINES: Final = 3
"""How often an order is left to others that asks for another host, if there is one."""
DECLINED_KEPT: Final = 256
DECLINE_S: Final = 1.0


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
        lanes: Sequence[str] = LANES,
        peers: Peers | None = None,
        costs: NodeCosts | None = None,
        gauge: Gauge | None = None,
        folders: Folders | None = None,
        previews: bool = False,
    ) -> None:
        self.state = HostState()
        self.costs = costs or NodeCosts()
        self._agent_id = agent_id
        self._host = host
        self._cancellations = cancellations
        self._clock = clock
        self._lanes = tuple(lanes)
        self._peers = peers or Alone()
        self._folders = folders or OutOfReach()
        self._gpu_type = ""
        self._info: ObjectInfo | None = None
        self._asked_at = 0.0
        self._declined: dict[str, int] = {}
        self._workplace = Workplace(
            host=host,
            store=store,
            providers=providers,
            progress=progress,
            clock=clock,
            work_dir=work_dir,
            state=self.state,
            costs=self.costs,
            sampler=Sampler(host=host, gauge=gauge or NoGauge()),
            previews=previews,
            object_info=self._known_info,
        )

    async def receive(self, heard: RunAttempt) -> Sequence[Said]:
        """Render once and report; a failure is a report too.

        Raises:
            TryLater: the order wishes for another host, and there is one.
        """
        self._let_others_go_first(heard.payload)
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
        try:
            stats = await self._host.system_stats()
        except RenderFailedError:
            self._info = None  # it may come back as another version, with other files
            raise
        system = stats.get("system")
        version = system.get("comfyui_version", "") if isinstance(system, dict) else ""
        memory = wire.memory(stats)
        await self._look_whether_it_works_again()
        able = () if self.state.stuck else capable(records, await self._known_info())
        offered = {
            name for each in records if each.provider_id in able for name in each.capabilities
        }
        return Presence(
            agent_id=self._agent_id,
            host=self._host.name,
            gpu_type=wire.gpu_type(stats),
            provider_ids=tuple(able),
            slots=slots,
            at=self._clock.now(),
            version=str(version),
            lanes=self._lanes,
            capabilities=tuple(sorted(offered)),
            loaded=tuple(sorted(self.state.loaded)),
            busy=self.state.busy,
            vram_total_bytes=memory.vram_total,
            vram_free_bytes=memory.vram_free,
            ram_total_bytes=memory.ram_total,
            ram_free_bytes=memory.ram_free,
            trouble=STUCK if self.state.stuck else "",
        )

    async def tidy(self) -> None:
        """Do what can wait: clear up behind runs, and have a leaking host start over while idle.

        Raises:
            RenderFailedError: the host does not answer.
        """
        now, state = anyio.current_time(), self.state
        for prompt_id in state.left_before(now - CLEAR_AFTER_S):
            await self._folders.clear(prompt_id)
            await self._host.forget(prompt_id)
        await self._folders.clear_old()
        idle = now - state.idle_since if state.idle_since and not state.busy else 0.0
        if not state.busy and state.leak.to_recycle(idle_s=idle, loads_next=False):
            await self._host.free()
            state.let_go()

    async def _known_info(self) -> ObjectInfo:
        """Return the host's classes and files; making the list holds a host up for half a second.

        Asked for anew after a while, and when the host did not answer meanwhile.
        """
        now = anyio.current_time()
        if self._info is None or now - self._asked_at > INFO_S:
            self._info, self._asked_at = await self._host.object_info(), now
        return self._info

    async def _look_whether_it_works_again(self) -> None:
        if self.state.stuck and self.state.stuck not in await self._host.runs():
            self.state.works_again()

    def _let_others_go_first(self, order: AttemptOrder) -> None:
        """Leave an order to another host for a while, when it was lost here before."""
        others = {
            each.host
            for each in self._peers.others()
            if order.task.provider_id in each.provider_ids
        }
        if self._host.name not in order.avoid_hosts or not others - set(order.avoid_hosts):
            return
        key = f"{order.task.task_id}:{order.attempt}"
        times = self._declined.pop(key, 0)
        if times >= DECLINES:
            return
        self._declined[key] = times + 1
        if len(self._declined) > DECLINED_KEPT:
            self._declined.pop(next(iter(self._declined)))
        raise TryLater("another host is to try this", retry_after=DECLINE_S)

    async def _watch(self, job_id: JobId, stop: anyio.Event) -> None:
        await self._cancellations.wait(job_id)
        stop.set()

    async def _report(self, heard: RunAttempt, stop: anyio.Event) -> AttemptReport:
        order = heard.payload
        report = AttemptReport(
            task_id=order.task.task_id,
            attempt=order.attempt,
            agent_id=self._agent_id,
            host=self._host.name,
            succeeded=False,
            provider_id=order.task.provider_id,
        )
        report = replace(report, gpu_type=await self._known_gpu_type())
        return await Attempt(heard, at=self._workplace, stop=stop).run(report)

    async def _known_gpu_type(self) -> str:
        """Return what the host told once; a host that is gone is noticed by the attempt."""
        if not self._gpu_type:
            try:
                self._gpu_type = await self._host.gpu_type()
            except RenderFailedError:
                return "cpu"
        return self._gpu_type
