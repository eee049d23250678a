"""One GPU agent beside one ComfyUI host."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import anyio
import msgspec

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
from effectmesh.users import connected_as
from gpu_agent.agent import GpuAgent
from gpu_agent.comfy import open_host
from gpu_agent.errors import RenderFailedError
from gpu_agent.presence import Presence
from media.local_store import LocalMediaStore
from schemas.base import JobId, Module, ProviderId
from schemas.commands import RunAttempt
from schemas.routing import ProviderRecord
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


async def main(settings: Settings, stopping: anyio.Event, *, comfyui: str, slots: int) -> None:
    """Serve until ``stopping``, then finish what renders."""
    name = "agent_" + urlsplit(comfyui).netloc.replace(".", "-").replace(":", "_")
    folder = settings.home / "agents" / name
    folder.mkdir(parents=True, exist_ok=True)
    async with (
        traced(settings) as tracer,
        connected_as(settings, Module.GPU_AGENT, name=name) as buses,
        open_host(comfyui) as host,
    ):
        bus = buses[Module.GPU_AGENT]
        registry = registry_copy(bus)
        control: Watched[bytes] = Watched(bus=bus, bucket=CONTROL, decode=bytes)
        progress = LiveProgress(bus=bus)
        agent = GpuAgent(
            agent_id=name,
            host=host,
            store=LocalMediaStore(root=settings.media),
            providers=_Providers(registry),
            cancellations=_Cancellations(control),
            progress=progress,
            clock=SystemClock(),
            work_dir=folder,
        )
        serving = _Serving(bus=bus, agent=agent, registry=registry, slots=slots)
        meter = Meter()
        puller = SlotPuller(
            bus=bus,
            module=Module.GPU_AGENT,
            consumers=serving.consumers,
            decoder=meter.decoding(msgspec.json.Decoder(RunAttempt)),
            receive=meter.receiving(agent.receive),
            slots=slots,
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
                ("progress", progress.run),
                ("log", puller.log.run),
                ("service", service.run),
            ):
                tasks.start_soon(keep, what, run)
            await registry.ready()
            await control.ready()
            tasks.start_soon(keep, "presence", serving.run)
            await run_workers([puller], stopping, failing=failing)
            tasks.cancel_scope.cancel()


class _Serving:
    """Which consumers this agent pulls: those of the providers its host can run now."""

    def __init__(
        self, *, bus: Bus, agent: GpuAgent, registry: Watched[ProviderRecord], slots: int
    ) -> None:
        self._bus = bus
        self._agent = agent
        self._registry = registry
        self._slots = slots
        self._consumers: Sequence[Consumer] = ()
        self._able: set[ProviderId] = set()

    def consumers(self) -> Sequence[Consumer]:
        """Return them, empty while the host does not answer."""
        return self._consumers

    async def look(self) -> str:
        """Tell whether there is anything to serve."""
        return WELL if self._consumers else "the host does not answer, or can run no provider"

    async def run(self) -> None:
        """Ask the host and renew the presence until cancelled."""
        while True:
            wait = LOOK_S
            try:
                await self._look()
            except RenderFailedError as away:
                log.info("the host does not answer: %s", away)
                self._consumers = ()
                wait = HOST_RETRY_S
            with anyio.move_on_after(wait):
                await self._registry.changed()

    async def _look(self) -> None:
        records = tuple(self._registry.values.values())
        presence: Presence = await self._agent.presence(records, slots=self._slots)
        able = set(presence.provider_ids)
        if able != self._able:
            log.info("serving %s", ", ".join(sorted(able)) or "nothing")
        self._able = able
        self._consumers = [
            gpu_consumer(each.lane, each.provider_id)
            for each in records
            if each.provider_id in able
        ]
        value = msgspec.json.encode(presence)
        await self._bus.say([Put(bucket=PRESENCE, key=presence.agent_id, value=value)])


class _Providers:
    """The agent's view of the registry."""

    def __init__(self, registry: Watched[ProviderRecord]) -> None:
        self._registry = registry

    def find(self, provider_id: ProviderId) -> ProviderRecord | None:
        """Return the current record."""
        return self._registry.get(provider_id)


class _Cancellations:
    """The agent's view of the cancelled jobs."""

    def __init__(self, control: Watched[bytes]) -> None:
        self._control = control

    async def wait(self, job_id: JobId) -> None:
        """Return when the job is cancelled."""
        while self._control.get(f"cancel.{job_id}") is None:
            await self._control.changed()
