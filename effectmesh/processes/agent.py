"""One GPU agent beside one ComfyUI host."""

from __future__ import annotations

import logging
import random
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import anyio
import msgspec
from msgspec import Struct

from actors.runtime.bus import Bus
from actors.runtime.contract import Put, SystemClock
from actors.runtime.health import WELL, consumers_check, copy_check
from actors.runtime.host import run_workers, supervised
from actors.runtime.logs import ActionLog
from actors.runtime.micro import Meter, Service, pulling_several
from actors.runtime.progress import LiveProgress
from actors.runtime.watch import Watched
from actors.runtime.worker import SlotPuller
from effectmesh.processes.common import traced
from effectmesh.processes.copies import registry_copy
from effectmesh.processes.vitals import (
    about,
    answering_health,
    buses_check,
    working_check,
)
from effectmesh.settings import Settings
from effectmesh.shelf import media_store
from effectmesh.users import connected_as
from gpu_agent.address import check_address
from gpu_agent.agent import GpuAgent
from gpu_agent.comfy import open_host
from gpu_agent.costs import CostFile
from gpu_agent.errors import RenderFailedError, UnsafeHostError
from gpu_agent.folders import HostFolders
from gpu_agent.presence import Presence
from gpu_agent.reporting import Reporting
from gpu_agent.standing import Served, Standing
from gpu_agent.vitals import find_gauge
from schemas.base import JobId, Module, ProviderId
from schemas.commands import RunAttempt
from schemas.hosts import Quarantine
from schemas.lanes import LANES
from schemas.routing import ProviderRecord
from subjects import build
from subjects.topology import (
    CMD,
    CONTROL,
    GPU_ACK_WAIT_S,
    PRESENCE,
    Consumer,
    gpu_consumer,
)

log = logging.getLogger("effectmesh.agent")

LOOK_S: Final = 10.0
"""How often the host is asked what it can run, and the presence is renewed."""
HOST_RETRY_S: Final = 0.25
SAVE_S: Final = 60.0
"""How often what was learnt about nodes is kept."""


class AgentOptions(Struct, frozen=True, kw_only=True):
    """What one agent is told at its start."""

    comfyui: str
    slots: int = 1
    lanes: tuple[str, ...] = LANES
    comfyui_dir: Path | None = None
    """Where the host's ``input`` and ``output`` are, when they are on this machine."""
    allow_public_host: bool = False
    previews: bool = False


async def main(settings: Settings, stopping: anyio.Event, *, options: AgentOptions) -> None:
    """Serve until ``stopping``, then finish what renders.

    Raises:
        UnsafeHostError: everybody can reach the host.
    """
    await check_address(options.comfyui, allow_public=options.allow_public_host)
    name = "agent_" + urlsplit(options.comfyui).netloc.replace(".", "-").replace(":", "_")
    folder = settings.home / "agents" / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = CostFile(folder / "node-costs.json")
    async with (
        traced(settings) as tracer,
        connected_as(settings, Module.GPU_AGENT, name=name) as buses,
        open_host(options.comfyui) as host,
    ):
        bus = buses[Module.GPU_AGENT]
        registry = registry_copy(bus)
        control: Watched[bytes] = Watched(bus=bus, bucket=CONTROL, decode=bytes)
        present = Watched(bus=bus, bucket=PRESENCE, decode=msgspec.json.Decoder(Presence).decode)
        progress = LiveProgress(bus=bus)
        peers = _Peers(present, own=name)
        agent = GpuAgent(
            agent_id=name,
            host=host,
            store=media_store(settings),
            providers=_Providers(registry),
            cancellations=_Cancellations(control),
            progress=progress,
            clock=SystemClock(),
            work_dir=folder,
            lanes=options.lanes,
            peers=peers,
            costs=await kept.load(),
            gauge=find_gauge(),
            folders=HostFolders(options.comfyui_dir, now=_seconds) if options.comfyui_dir else None,
            previews=options.previews,
        )
        serving = _Serving(
            bus=bus,
            agent=agent,
            registry=registry,
            quarantine=_Quarantine(control, host=host.name),
            options=options,
        )
        standing = Standing(
            bus=bus,
            served=serving.served,
            loaded=lambda: agent.state.loaded,
            peers=peers,
        )
        meter = Meter()
        puller = SlotPuller(
            bus=bus,
            module=Module.GPU_AGENT,
            consumers=serving.consumers,
            plan=standing,
            decoder=meter.decoding(msgspec.json.Decoder(RunAttempt)),
            receive=meter.receiving(Reporting(receive=agent.receive, say=bus.say).receive),
            slots=options.slots,
            beat_s=GPU_ACK_WAIT_S / 3,
            dice=random.Random(),  # noqa: S311  it only spreads retries
            tracer=tracer,
            log=ActionLog(module=Module.GPU_AGENT, clock=SystemClock(), bus=bus),
        )
        renders = pulling_several("renders", CMD, serving.consumers, meter)
        service = Service(bus=bus, module=Module.GPU_AGENT, about=about(), endpoints=[renders])
        failing: dict[str, str] = {}
        checks = {
            "process": working_check(stopping),
            "bus": buses_check([bus]),
            "consumers": consumers_check(bus, serving.consumers),
            "registry copy": copy_check(lambda: registry.complete),
            "control copy": copy_check(lambda: control.complete),
            "host": serving.look,
        }
        keep = partial(supervised, failing=failing)
        async with (
            answering_health(settings, checks, failing),
            anyio.create_task_group() as tasks,
        ):
            for what, run in (
                ("registry copy", registry.run),
                ("control copy", control.run),
                ("presence copy", present.run),
                ("progress", progress.run),
                ("log", puller.log.run),
                ("service", service.run),
                ("standing", standing.run),
                ("tidying", partial(_tidy, agent, kept)),
            ):
                tasks.start_soon(keep, what, run)
            await registry.ready()
            await control.ready()
            await present.ready()
            tasks.start_soon(keep, "presence", serving.run)
            await run_workers([puller], stopping, failing=failing)
            tasks.cancel_scope.cancel()
        await kept.save(agent.costs)


class _Serving:
    """Which queues this agent pulls: those of the providers its host can run now."""

    def __init__(
        self,
        *,
        bus: Bus,
        agent: GpuAgent,
        registry: Watched[ProviderRecord],
        quarantine: _Quarantine,
        options: AgentOptions,
    ) -> None:
        self._bus = bus
        self._agent = agent
        self._registry = registry
        self._quarantine = quarantine
        self._options = options
        self._served: Sequence[Served] = ()
        self._able: set[ProviderId] = set()

    def served(self) -> Sequence[Served]:
        """Return them, empty while the host does not answer or stands aside."""
        stands = self._agent.state.stuck or self._quarantine.stands_aside()
        return () if stands else self._served

    def consumers(self) -> Sequence[Consumer]:
        """Return their consumers."""
        return [each.consumer for each in self.served()]

    async def look(self) -> str:
        """Tell whether there is anything to serve."""
        if self._agent.state.stuck:
            return "the host is stuck with a render"
        if self._quarantine.stands_aside():
            return "the host lost several renders and stands aside"
        return WELL if self._served else "the host does not answer, or can run no provider"

    async def run(self) -> None:
        """Ask the host and renew the presence until cancelled."""
        while True:
            wait = LOOK_S
            try:
                await self._look()
            except (RenderFailedError, UnsafeHostError) as away:
                log.info("the host is not served: %s", away)
                self._served = ()
                wait = HOST_RETRY_S
            with anyio.move_on_after(wait):
                await self._anything_new()

    async def _anything_new(self) -> None:
        """Return when the registry or what is known of the host has changed."""
        async with anyio.create_task_group() as waiting:
            waiting.start_soon(_end_with, waiting.cancel_scope, self._agent.state.changed)
            await self._registry.changed()
            waiting.cancel_scope.cancel()

    async def _look(self) -> None:
        self._agent.state.changed = anyio.Event()
        # a name may lead elsewhere than it did a while ago
        await check_address(self._options.comfyui, allow_public=self._options.allow_public_host)
        records = tuple(self._registry.values.values())
        presence = await self._agent.presence(records, slots=self._options.slots)
        if reason := self._quarantine.stands_aside():
            presence = msgspec.structs.replace(presence, provider_ids=(), trouble=reason)
        able = set(presence.provider_ids)
        if able != self._able:
            log.info("serving %s", ", ".join(sorted(able)) or "nothing")
        self._able = able
        self._served = [
            Served(consumer=gpu_consumer(lane, each.provider_id), lane=lane, record=each)
            for each in records
            if each.provider_id in able
            for lane in self._options.lanes
        ]
        value = msgspec.json.encode(presence)
        await self._bus.say([Put(bucket=PRESENCE, key=presence.agent_id, value=value)])


async def _end_with(scope: anyio.CancelScope, event: anyio.Event) -> None:
    """End what waits in a scope when an event comes."""
    await event.wait()
    scope.cancel()


async def _tidy(agent: GpuAgent, kept: CostFile) -> None:
    """Do from time to time what can wait."""
    while True:
        await anyio.sleep(SAVE_S)
        try:
            await agent.tidy()
            await kept.save(agent.costs)
        except (RenderFailedError, OSError) as later:
            log.info("not tidied: %s", later)


def _seconds() -> float:
    return SystemClock().now().timestamp()


class _Providers:
    """The agent's view of the registry."""

    def __init__(self, registry: Watched[ProviderRecord]) -> None:
        self._registry = registry

    def find(self, provider_id: ProviderId) -> ProviderRecord | None:
        """Return the current record."""
        return self._registry.get(provider_id)


class _Peers:
    """The agent's view of the others."""

    def __init__(self, present: Watched[Presence], *, own: str) -> None:
        self._present = present
        self._own = own

    def others(self) -> Collection[Presence]:
        """Return the other agents that are alive."""
        return [each for key, each in self._present.values.items() if key != self._own]


class _Quarantine:
    """The agent's view of what Execution says about its host."""

    def __init__(self, control: Watched[bytes], *, host: str) -> None:
        self._control = control
        self._key = build.quarantine_key(host)
        self._read: tuple[bytes, Quarantine | None] = (b"", None)

    def stands_aside(self) -> str:
        """Return why the host is to take no work now, empty when it may."""
        value = self._control.get(self._key) or b""
        if value != self._read[0]:
            self._read = (value, _quarantine(value))
        told = self._read[1]
        if told is None or told.until <= SystemClock().now():
            return ""
        return told.reason or "it lost several renders"


def _quarantine(value: bytes) -> Quarantine | None:
    try:
        return msgspec.json.decode(value, type=Quarantine)
    except msgspec.MsgspecError:
        return None  # taken away, or written by a later version


class _Cancellations:
    """The agent's view of the cancelled jobs."""

    def __init__(self, control: Watched[bytes]) -> None:
        self._control = control

    async def wait(self, job_id: JobId) -> None:
        """Return when the job is cancelled."""
        while self._control.get(build.cancel_key(job_id)) is None:
            await self._control.changed()
