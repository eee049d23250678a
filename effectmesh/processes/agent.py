"""One GPU agent beside one ComfyUI host."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import anyio
import msgspec

from actors.runtime.bus import Bus, connected
from actors.runtime.contract import Put, SystemClock
from actors.runtime.host import run_workers, supervised
from actors.runtime.progress import LiveProgress
from actors.runtime.watch import Watched
from actors.runtime.worker import SlotPuller
from effectmesh.processes.copies import registry_copy
from effectmesh.settings import Settings
from gpu_agent.agent import GpuAgent
from gpu_agent.comfy import open_host
from gpu_agent.errors import RenderFailedError
from gpu_agent.presence import Presence
from media.local_store import LocalMediaStore
from schemas.base import JobId, Module, ProviderId
from schemas.commands import RunAttempt
from schemas.routing import ProviderRecord
from subjects.topology import (
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
        connected(settings.nats_url, name=name) as bus,
        open_host(comfyui) as host,
    ):
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
        puller = SlotPuller(
            bus=bus,
            module=Module.GPU_AGENT,
            consumers=serving.consumers,
            decoder=msgspec.json.Decoder(RunAttempt),
            receive=agent.receive,
            slots=slots,
            beat_s=GPU_ACK_WAIT_S / 3,
            dice=random.Random(),  # noqa: S311  it only spreads retries
        )
        async with anyio.create_task_group() as tasks:
            for what, run in (
                ("registry copy", registry.run),
                ("control copy", control.run),
                ("progress", progress.run),
            ):
                tasks.start_soon(supervised, what, run)
            await registry.ready()
            await control.ready()
            tasks.start_soon(supervised, "presence", serving.run)
            await run_workers([puller], stopping)
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
