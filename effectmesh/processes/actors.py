"""The ten modules in one process. This is the only place where actors are built."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any, Final

import anyio
import asyncpg
import msgspec
from msgspec import Struct

from actors.approval.actor import Approval
from actors.approval.answers import ApprovalAnswers
from actors.approval.postgres import PostgresNotifications, PostgresQueue
from actors.economic_engine.actor import EconomicEngine
from actors.economic_engine.answers import EconomicAnswers
from actors.economic_engine.postgres import PostgresLedger
from actors.economic_engine.publisher import PolicyPublisher
from actors.economic_engine.tracker import Tracker
from actors.execution.core import TaskPhase
from actors.gallery.actor import Gallery
from actors.gallery.answers import GalleryAnswers
from actors.gallery.postgres import PostgresCatalog
from actors.orchestrator.actor import Orchestrator
from actors.orchestrator.index import JobAnswers
from actors.orchestrator.postgres import PostgresJobIndex, PostgresSlots
from actors.provider_registry.postgres import PostgresRecords
from actors.quality_evaluation.actor import QualityEvaluation
from actors.quality_evaluation.pixels import PixelJudge
from actors.quality_evaluation.postgres import PostgresScores
from actors.runtime import provision
from actors.runtime.bus import Bus
from actors.runtime.contract import Answerer, Saga, SystemClock
from actors.runtime.health import consumers_check, copy_check
from actors.runtime.host import STARTING, Hosted, run_hosted, run_workers, supervised
from actors.runtime.logs import ActionLog
from actors.runtime.record import Record, Recorded, StreamLog
from actors.runtime.sweeper import Sweeper, Swept
from actors.runtime.telemetry import TelemetryProducer
from actors.runtime.tracing import Tracer
from actors.runtime.watch import Watched
from actors.runtime.worker import Worker
from economics.pricing import PRICES
from effectmesh.database import AWAY, pooled
from effectmesh.policy_shell import PolicyShell
from effectmesh.prepare import topology_for
from effectmesh.processes.analysis import AnalysisCare
from effectmesh.processes.catalog import CatalogCare
from effectmesh.processes.common import traced
from effectmesh.processes.copies import registry_copy, routing_copy
from effectmesh.processes.fleet import FleetCare, execution_module
from effectmesh.processes.intake import IntakeCare
from effectmesh.processes.prompts import PromptCare
from effectmesh.processes.vitals import (
    about,
    answering_health,
    buses_check,
    database_check,
    working_check,
)
from effectmesh.settings import Settings
from effectmesh.shelf import media_store
from effectmesh.state import routing_key
from effectmesh.users import connected_as
from media.store import MediaStore
from schemas.base import Module, ProviderId
from schemas.jobs import ENDINGS, Job, JobState
from schemas.routing import ProviderRecord, RoutingManifest
from subjects.build import ANSWERER
from subjects.topology import INDEX, MANIFEST_KEY, Consumer, Topology

HOSTED: Final = tuple(each for each in Module if each not in (Module.GATEWAY, Module.GPU_AGENT))
"""The ten modules."""
MEASURING: Final = (Module.EXECUTION, Module.QUALITY_EVALUATION, Module.ECONOMIC_ENGINE)
"""Those that say telemetry: beside their work, so that no message waits for it."""
INDEX_CONCURRENCY: Final = 32


async def main(settings: Settings, stopping: anyio.Event) -> None:
    """Run every module until ``stopping``, then drain."""
    async with AsyncExitStack() as opened:
        tracer = await opened.enter_async_context(traced(settings))
        pool = await opened.enter_async_context(pooled(settings.postgres_url))
        buses = await opened.enter_async_context(connected_as(settings, *HOSTED, name="actors"))
        records = PostgresRecords(pool=pool, clock=SystemClock())
        declared = topology_for(await records.current(), replicas=settings.replicas)
        await provision.check(buses[Module.ORCHESTRATOR], declared)
        await _run(
            settings,
            buses=buses,
            pool=pool,
            declared=declared,
            stopping=stopping,
            tracer=tracer,
        )


async def _run(
    settings: Settings,
    *,
    buses: Mapping[Module, Bus],
    pool: asyncpg.Pool,
    declared: Topology,
    stopping: anyio.Event,
    tracer: Tracer,
) -> None:
    dice = random.Random()  # noqa: S311  it only spreads retries
    # One copy of each bucket serves the process; the Economic Engine may read both.
    bus = buses[Module.ECONOMIC_ENGINE]
    routing = routing_copy(bus)
    registry = registry_copy(bus)
    tracker = Tracker()
    publisher = PolicyPublisher(
        tracker=tracker,
        records=lambda: tuple(registry.values.values()),
        book=PRICES,
        clock=SystemClock(),
        interval=timedelta(seconds=settings.policy_interval_s),
    )
    policy = PolicyShell(
        bus=bus,
        tracker=tracker,
        publisher=publisher,
        routing=routing,
        registry=registry,
        clock=SystemClock(),
    )
    telemetry = {
        module: TelemetryProducer(bus=buses[module], module=module, clock=SystemClock())
        for module in MEASURING
    }
    providers = CatalogCare(bus=buses[Module.PROVIDER_REGISTRY], pool=pool, registry=registry)
    prompts = PromptCare(
        settings, bus=buses[Module.PROMPT_GENERATION], pool=pool, clock=SystemClock()
    )
    store = media_store(settings)
    intake = IntakeCare(settings, store=store, pool=pool, clock=SystemClock())
    analysis = AnalysisCare(settings, store=store, pool=pool, clock=SystemClock())
    hosted = modules(
        settings,
        buses=buses,
        pool=pool,
        routing=routing,
        registry=registry,
        tracker=tracker,
        telemetry=telemetry,
        store=store,
        intake=intake,
        analysis=analysis,
        providers=providers,
        prompts=prompts,
    )
    fleet = FleetCare(settings, bus=buses[Module.EXECUTION], registry=registry, routing=routing)
    indexer = _indexer(buses[Module.ORCHESTRATOR], pool, declared, dice, tracer)
    failing = {STARTING: "starting"}
    checks = {
        "process": working_check(stopping),
        "bus": buses_check(buses.values()),
        "consumers": consumers_check(bus, lambda: _pulled(declared)),
        "routing copy": copy_check(lambda: routing.complete),
        "registry copy": copy_check(lambda: registry.complete),
        "database": database_check(pool),
    }
    keep = partial(supervised, dice=dice, failing=failing)
    async with (
        answering_health(settings, checks, failing),
        anyio.create_task_group() as background,
    ):
        background.start_soon(keep, "routing copy", routing.run)
        background.start_soon(keep, "registry copy", registry.run)
        await routing.ready()
        await registry.ready()
        background.start_soon(keep, "policy", policy.run)
        for cared in (providers, fleet, prompts, intake, analysis):
            for name, run in cared.parts():
                background.start_soon(keep, name, run)
        background.start_soon(keep, "sweeper", _sweeper(buses, telemetry).run)
        for module, producer in telemetry.items():
            background.start_soon(keep, f"telemetry of {module}", producer.run)
        background.start_soon(keep, "log of the job list", indexer.log.run)
        background.start_soon(partial(run_workers, [indexer], stopping, failing=failing))
        await run_hosted(
            bus=bus,
            hosted=hosted,
            declared=declared,
            dice=dice,
            stopping=stopping,
            away=AWAY,
            tracer=tracer,
            about=about(),
            failing=failing,
        )
        background.cancel_scope.cancel()


def modules(
    settings: Settings,
    *,
    buses: Mapping[Module, Bus],
    pool: asyncpg.Pool,
    routing: Watched[RoutingManifest],
    registry: Watched[ProviderRecord],
    tracker: Tracker,
    telemetry: Mapping[Module, TelemetryProducer],
    store: MediaStore,
    intake: IntakeCare,
    analysis: AnalysisCare,
    providers: CatalogCare,
    prompts: PromptCare,
) -> Sequence[Hosted]:
    """Return the ten modules, built."""
    clock = SystemClock()
    ledger = PostgresLedger(pool=pool)
    queue, notifications = PostgresQueue(pool=pool), PostgresNotifications(pool=pool)
    catalog = PostgresCatalog(pool=pool)
    orchestrator = Orchestrator(
        routes=_Routes(routing),
        slots=PostgresSlots(pool=pool),
        key=routing_key(settings),
        clock=clock,
    )
    quality = QualityEvaluation(
        store=store,
        judge=PixelJudge(),
        looks=_Looks(registry),
        history=PostgresScores(pool=pool),
        clock=clock,
    )
    gallery = Gallery(store=store, catalog=catalog, public_url=settings.public_url, clock=clock)
    engine = EconomicEngine(ledger=ledger, book=PRICES, clock=clock)
    approval = Approval(queue=queue, notifications=notifications, clock=clock)
    execution = execution_module(
        buses[Module.EXECUTION],
        say=telemetry[Module.EXECUTION].saying(buses[Module.EXECUTION].say),
        clock=clock,
    )
    money = EconomicAnswers(
        ledger=ledger, tracker=tracker, manifest=lambda: routing.get(MANIFEST_KEY), clock=clock
    )
    answerers: Mapping[Module, Answerer] = {
        Module.VIDEO_INTAKE: intake.module,
        Module.CONTENT_ANALYSIS: analysis.module,
        Module.ORCHESTRATOR: JobAnswers(index=PostgresJobIndex(pool=pool)),
        Module.APPROVAL: ApprovalAnswers(queue=queue, notifications=notifications),
        Module.GALLERY: GalleryAnswers(catalog=catalog),
        Module.PROVIDER_REGISTRY: providers.answers,
        Module.ECONOMIC_ENGINE: money,
    }
    receivers: Mapping[Module, Any] = {
        Module.VIDEO_INTAKE: intake.module.receive,
        Module.CONTENT_ANALYSIS: analysis.module.receive,
        Module.PROMPT_GENERATION: prompts.module.receive,
        Module.ORCHESTRATOR: _recorded(orchestrator, buses[Module.ORCHESTRATOR]),
        Module.EXECUTION: execution.receive,
        Module.PROVIDER_REGISTRY: providers.module.receive,
        Module.QUALITY_EVALUATION: telemetry[Module.QUALITY_EVALUATION].hearing(quality.receive),
        Module.ECONOMIC_ENGINE: telemetry[Module.ECONOMIC_ENGINE].hearing(engine.receive),
        Module.APPROVAL: approval.receive,
        Module.GALLERY: gallery.receive,
    }
    return [
        Hosted(
            module=module,
            bus=buses[module],
            receive=receivers.get(module),
            answerers={
                question: answerers[module]
                for question, owner in ANSWERER.items()
                if owner is module
            },
        )
        for module in HOSTED
    ]


def _recorded(saga: Saga[Any, Any], bus: Bus) -> Any:
    return Recorded(saga=saga, log=StreamLog(bus=bus), say=bus.say).receive


def _sweeper(buses: Mapping[Module, Bus], telemetry: Mapping[Module, TelemetryProducer]) -> Sweeper:
    """Return what lets sagas speak that stored their words and perhaps never said them."""
    jobs, tasks = buses[Module.ORCHESTRATOR], buses[Module.EXECUTION]
    return Sweeper(
        bus=jobs,
        kinds=(
            Swept(
                owns=partial(_begins, "job_"),
                over=job_is_over,
                log=StreamLog(bus=jobs),
                say=jobs.say,
            ),
            Swept(
                owns=partial(_begins, "tasks_"),
                over=tasks_are_over,
                log=StreamLog(bus=tasks),
                say=telemetry[Module.EXECUTION].saying(tasks.say),
            ),
        ),
    )


def job_is_over(state: bytes) -> bool:
    """Tell whether a job's state is an ending."""
    return msgspec.json.decode(state, type=_JobEnd).state in ENDINGS


def tasks_are_over(state: bytes) -> bool:
    """Tell whether every task of a job is closed."""
    tasks = msgspec.json.decode(state, type=_TaskEnds).tasks.values()
    return all(each.phase is TaskPhase.CLOSED for each in tasks)


class _JobEnd(Struct):
    """The one field of a job that says whether it is over."""

    state: JobState


class _TaskEnd(Struct):
    phase: TaskPhase = TaskPhase.RUNNING


class _TaskEnds(Struct):
    """Of a job's tasks, whether each is over."""

    tasks: dict[str, _TaskEnd] = {}


def _begins(prefix: str, key: str) -> bool:
    return key.startswith(prefix)


def _pulled(declared: Topology) -> Sequence[Consumer]:
    """Return the consumers that this process pulls."""
    return [each for each in declared.consumers if each.name in (*HOSTED, INDEX)]


def _indexer(
    bus: Bus, pool: asyncpg.Pool, declared: Topology, dice: random.Random, tracer: Tracer
) -> Worker:
    """Return the worker that keeps the job list: a function of the saga records, nothing more."""
    index = PostgresJobIndex(pool=pool)

    async def receive(record: Record) -> Sequence[Any]:
        if record.key.startswith("job_"):
            await index.store(msgspec.json.decode(record.state, type=Job), record.step)
        return ()

    [consumer] = [each for each in declared.consumers if each.name == INDEX]
    return Worker(
        bus=bus,
        module=Module.ORCHESTRATOR,
        consumer=consumer,
        decoder=msgspec.json.Decoder(Record),
        receive=receive,
        concurrency=INDEX_CONCURRENCY,
        dice=dice,
        away=AWAY,
        tracer=tracer,
        log=ActionLog(module=Module.ORCHESTRATOR, clock=SystemClock(), bus=bus),
    )


class _Routes:
    """The orchestrator's view of the manifest."""

    def __init__(self, routing: Watched[RoutingManifest]) -> None:
        self._routing = routing

    def manifest(self) -> RoutingManifest | None:
        """Return the newest manifest."""
        return self._routing.get(MANIFEST_KEY)


class _Looks:
    """Quality Evaluation's view of the registry."""

    def __init__(self, registry: Watched[ProviderRecord]) -> None:
        self._registry = registry

    def target_look(self, provider_id: ProviderId) -> Mapping[str, float]:
        """Return what a provider's effect should do to a clip."""
        record = self._registry.get(provider_id)
        return record.target_look if record else {}
