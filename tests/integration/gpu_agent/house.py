"""Agents on a real broker beside real renderers, with two providers whose models are pretended."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import msgspec
from msgspec.structs import replace

from actors.provider_registry.shipped import shipped
from actors.runtime.bus import Bus
from actors.runtime.contract import Progress, SystemClock
from actors.runtime.worker import SlotPuller
from gpu_agent.affinity import Affinity, Bounds
from gpu_agent.agent import GpuAgent
from gpu_agent.comfy import ComfyHost, HostLimits, open_host
from gpu_agent.presence import Presence
from gpu_agent.renderer.behaviour import Behaviour, PretendedModel
from gpu_agent.renderer.server import running_renderer
from gpu_agent.reporting import Reporting, Say
from gpu_agent.standing import Served, Standing
from media.local_store import LocalMediaStore
from media.store import MediaStore
from schemas.base import EventId, JobId, Module, ProviderId
from schemas.commands import RunAttempt
from schemas.events import AttemptFinished
from schemas.progress import JobProgressed
from schemas.routing import CostModel, NodeMap, ProviderRecord
from schemas.tasks import AttemptOrder, AttemptReport
from subjects import build
from subjects.topology import CMD, DLQ, EVT, Consumer, gpu_consumer
from tests.builders import execution_task, header
from tests.integration.runtime.world import SOON_S, apply, stored
from tests.unit.gpu_agent.clips import write_clip

LANE = "interactive"
INPUT = "s3://intake/normalized/tnt_1/vid_1.mp4"
LIMITS = HostLimits(poll_s=0.02, retry_s=0.02, reconnect_s=0.05)
LOAD_S = 0.6
BOUNDS = Bounds(cold_after_s=0.3, cold_limit_s=1.0, join_s=20.0, overtake_s=20.0)
ACK_WAIT_S = 1


def enlarging(letter: str) -> ProviderRecord:
    """Return a provider that enlarges the clip with a model of its own."""
    base = next(each for each in shipped() if each.provider_id == "fx-warm-grade-v1")
    model = f"{letter}.safetensors"
    graph: dict[str, dict[str, object]] = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": ""}},
        "2": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "3": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": model}},
        "4": {
            "class_type": "ImageUpscaleWithModel",
            "inputs": {"upscale_model": ["3", 0], "image": ["2", 0]},
        },
        "5": {"class_type": "CreateVideo", "inputs": {"images": ["4", 0], "fps": 25.0}},
        "9": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["5", 0], "filename_prefix": "", "format": "auto", "codec": "auto"},
        },
    }
    return replace(
        base,
        provider_id=ProviderId(f"up-{letter}-v1"),
        graph=graph,
        node_mapping=NodeMap(video_input_node="1", output_node="9"),
        node_dependencies=tuple(sorted({str(node["class_type"]) for node in graph.values()})),
        parameter_rules={},
        default_parameters={},
        required_models=(model,),
        cost_model=CostModel(
            base_cost_per_frame=0.01,
            gpu_type_required="any",
            avg_gpu_seconds_per_frame=0.01,
            cold_start_penalty_seconds=LOAD_S,
        ),
    )


RECORDS = {each.provider_id: each for each in (*shipped(), enlarging("a"), enlarging("b"))}


def two_models() -> Behaviour:
    """Return a renderer's switches: two models, of which one fits."""
    models = {
        f"{letter}.safetensors": PretendedModel(folder="upscale_models", load_s=LOAD_S)
        for letter in "ab"
    }
    return Behaviour(models=models)


class Known:
    """The providers of this test."""

    def find(self, provider_id: ProviderId) -> ProviderRecord | None:
        """Return a record."""
        return RECORDS.get(provider_id)


class Uncancelled:
    """Nobody cancels anything."""

    async def wait(self, job_id: JobId) -> None:
        """Wait for ever."""
        await anyio.sleep_forever()


class Unheard:
    """Nobody watches."""

    def say(self, line: JobProgressed) -> None:
        """Forget the line."""


class Started:
    """Tells when the first line of progress comes."""

    def __init__(self) -> None:
        self.event = anyio.Event()

    def say(self, line: JobProgressed) -> None:
        """Wake whoever waits."""
        self.event.set()

    async def started(self) -> None:
        """Return when it has come."""
        with anyio.fail_after(SOON_S):
            await self.event.wait()


class Neighbours:
    """What the agents of one process know of each other: what they would say of themselves."""

    def __init__(self) -> None:
        self.agents: dict[str, GpuAgent] = {}

    def beside(self, own: str) -> _Beside:
        """Return one agent's view."""
        return _Beside(self, own)


class _Beside:
    def __init__(self, everybody: Neighbours, own: str) -> None:
        self._everybody = everybody
        self._own = own

    def others(self) -> Collection[Presence]:
        return [
            Presence(
                agent_id=name,
                host=name,
                gpu_type="cpu",
                provider_ids=tuple(RECORDS),
                slots=1,
                at=SystemClock().now(),
                loaded=tuple(agent.state.loaded),
            )
            for name, agent in self._everybody.agents.items()
            if name != self._own
        ]


def queue(provider_id: str) -> Consumer:
    """Return a provider's queue; what a dead agent had comes back soon."""
    return replace(gpu_consumer(LANE, provider_id), ack_wait_s=ACK_WAIT_S)


async def furnished(bus: Bus, folder: Path, *providers: str) -> LocalMediaStore:
    """Make the streams and queues, and a store that holds the clip."""
    await apply(bus, *(queue(each) for each in providers), streams=(CMD, EVT, DLQ))
    return await stocked(folder)


async def stocked(folder: Path) -> LocalMediaStore:
    """Return a store that holds a small clip."""
    store = LocalMediaStore(root=folder / "media")
    clip = await anyio.to_thread.run_sync(
        lambda: write_clip(folder / "in.mp4", frames=4, width=64, height=64)
    )
    await store.put_file(INPUT, clip, content_type="video/mp4")
    return store


def attempt_of(provider_id: str, task_id: str, *, attempt: int = 1) -> RunAttempt:
    """Return the order of one attempt."""
    task = replace(execution_task(task_id, provider_id, parameters={}), lane=LANE)
    return RunAttempt(
        **header(EventId(f"evt_{task_id}_{attempt}")),  # type: ignore[arg-type]
        payload=AttemptOrder(task=task, attempt=attempt),
    )


async def order(bus: Bus, provider_id: str, *tasks: str) -> None:
    """Ask for one render for each task."""
    subject = build.gpu_work(LANE, provider_id)
    for task_id in tasks:
        sent = attempt_of(provider_id, task_id)
        await bus.publish(subject, msgspec.json.encode(sent), {"Nats-Msg-Id": sent.event_id})


async def reports(bus: Bus) -> list[AttemptReport]:
    """Return every report in the order in which they were stored."""
    facts = await stored(bus, EVT, build.facts_of(AttemptFinished))
    return [msgspec.json.decode(each.data, type=AttemptFinished).payload for each in facts]


def agent_of(
    host: ComfyHost,
    store: MediaStore,
    folder: Path,
    neighbours: Neighbours,
    *,
    name: str,
    progress: Progress | None = None,
) -> GpuAgent:
    """Return an agent of one host."""
    agent = GpuAgent(
        agent_id=name,
        host=host,
        store=store,
        providers=Known(),
        cancellations=Uncancelled(),
        progress=progress or Unheard(),
        clock=SystemClock(),
        work_dir=folder,
        peers=neighbours.beside(name),
    )
    neighbours.agents[name] = agent
    return agent


def puller_of(
    bus: Bus,
    agent: GpuAgent,
    providers: Sequence[str],
    neighbours: Neighbours,
    *,
    name: str,
    say: Say | None = None,
) -> tuple[SlotPuller, Standing]:
    """Return what pulls for an agent, and its plan."""
    served = [
        Served(consumer=queue(each), lane=LANE, record=RECORDS[ProviderId(each)])
        for each in providers
    ]
    standing = Standing(
        bus=bus,
        served=lambda: served,
        loaded=lambda: agent.state.loaded,
        peers=neighbours.beside(name),
        affinity=Affinity(BOUNDS),
    )
    puller = SlotPuller(
        bus=bus,
        module=Module.GPU_AGENT,
        consumers=lambda: [each.consumer for each in served],
        plan=standing,
        decoder=msgspec.json.Decoder(RunAttempt),
        receive=Reporting(receive=agent.receive, say=say or bus.say, again_s=0.1).receive,
        slots=1,
        beat_s=ACK_WAIT_S / 3,
        dice=random.Random(1),
    )
    return puller, standing


@asynccontextmanager
async def hosts(
    folder: Path, count: int, behaviour: Callable[[], Behaviour] = Behaviour
) -> AsyncIterator[list[ComfyHost]]:
    """Run so many renderers and yield a client of each."""
    async with AsyncExitStack() as stack:
        found = []
        for number in range(count):
            url = await stack.enter_async_context(
                running_renderer(folder / f"renderer-{number}", behaviour())
            )
            client = open_host(url, name=f"host-{number}", limits=LIMITS)
            found.append(await stack.enter_async_context(client))
        yield found
