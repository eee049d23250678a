"""A whole house on the broker in memory: two real sagas, and the other modules played by script."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import msgspec
from msgspec import structs

from actors.execution.actor import Execution
from actors.execution.pricing import RatedPricer
from actors.orchestrator.actor import Orchestrator
from actors.runtime import provision
from actors.runtime.answering import Decode
from actors.runtime.follow import follow
from actors.runtime.host import consumers_of, decoder_of
from actors.runtime.memory import MemoryBroker, MemoryBus, VirtualClock, connected
from actors.runtime.record import Record, Recorded, StreamLog
from actors.runtime.transport import Transport
from actors.runtime.wire import Sayable, outgoing
from actors.runtime.worker import Worker
from schemas.base import Message, Module
from schemas.commands import HoldTokens, IngestVideo, ReleaseTokens, RunAttempt, SettleTokens
from schemas.events import (
    AdminApproved,
    ApprovalRequested,
    ContentAnalyzed,
    JobEnded,
    TaskSucceeded,
    VideoIngested,
)
from schemas.lanes import INTERACTIVE
from subjects import build
from subjects.topology import CMD, DLQ, EVT, SAGA, TIMER, Consumer, gpu_consumer, topology
from tests.builders import (
    admin_approved,
    attempt_finished,
    content_analyzed,
    prompts_generated,
    quality_evaluated,
    video_ingested,
)
from tests.integration.runtime.world import stored
from tests.unit.orchestrator.script import (
    A,
    B,
    effect_published,
    start_job,
    tokens_charged,
    tokens_held,
    tokens_released,
)
from tests.unit.orchestrator.test_actor import Board, manifest, route
from tests.unit.orchestrator.test_actor import Counter as Numbers

LANE: Final = INTERACTIVE
SAGAS: Final = (Module.ORCHESTRATOR, Module.EXECUTION)
SCRIPTED: Final = (
    Module.VIDEO_INTAKE,
    Module.CONTENT_ANALYSIS,
    Module.PROMPT_GENERATION,
    Module.QUALITY_EVALUATION,
    Module.ECONOMIC_ENGINE,
    Module.APPROVAL,
    Module.GALLERY,
)
CONCURRENCY: Final = 8
DAY_S: Final = 24 * 3600.0
LATER_S: Final = 300.0
"""Time for everything that was lost to come again."""


class Died(Exception):
    """The process is gone, and was started again knowing nothing."""


class House:
    """The modules around one broker, each saga in so many ``processes``.

    ``deaths`` is how likely a saga dies at each place where it may.
    """

    def __init__(
        self,
        *,
        seed: int,
        deaths: float = 0.0,
        silent: Sequence[Module] = (),
        processes: int = 1,
    ) -> None:
        self._dice = random.Random(seed)
        self._deaths = deaths
        self._silent = silent
        self._processes = processes
        self.clock = VirtualClock()
        self.broker = MemoryBroker(clock=self.clock, dice=self._dice)
        self.declared = topology([(LANE, A), (LANE, B)])
        self.died = 0
        self.ended: dict[str, JobEnded] = {}

    async def order(self, bus: MemoryBus) -> None:
        """Order one effect. What comes of it begins when the time is moved."""
        await bus.say([start_job()])

    async def finish(self) -> None:
        """Let time pass until the job has ended, and what was lost came again."""
        await self.clock.until(lambda: bool(self.ended), within_s=DAY_S)
        self.broker.faults.odds = {}
        self._deaths = 0.0
        await self.clock.advance(LATER_S)

    def workers(self, bus: MemoryBus) -> Iterator[Worker]:
        """Yield a worker for every consumer of every module that is not silent."""
        for module in SAGAS * self._processes:
            receive = self._mortal(bus, module)
            for consumer in consumers_of(module, self.declared):
                yield self._worker(bus, module, consumer, decoder_of(module), receive)
        for module in SCRIPTED:
            for consumer in consumers_of(module, self.declared):
                yield self._worker(bus, module, consumer, decoder_of(module), self._play)
        if Module.GPU_AGENT not in self._silent:
            for provider in (A, B):
                consumer = gpu_consumer(LANE, provider)
                decoder = msgspec.json.Decoder(RunAttempt)
                yield self._worker(bus, Module.GPU_AGENT, consumer, decoder, self._play)

    def _worker(
        self, bus: MemoryBus, module: Module, consumer: Consumer, decoder: Decode, receive: Any
    ) -> Worker:
        return Worker(
            bus=bus,
            module=module,
            consumer=consumer,
            decoder=decoder,
            receive=receive,
            concurrency=CONCURRENCY,
            dice=self._dice,
        )

    # -- the modules that are played ------------------------------------------------------------

    async def _play(self, heard: Message) -> Sequence[Message]:
        if isinstance(heard, JobEnded):
            self.ended[heard.event_id] = heard
        at = self.clock.now()
        return [
            structs.replace(each, **follow(heard, type(each), at=at)) for each in _answers(heard)
        ]

    # -- the sagas ------------------------------------------------------------------------------

    def _mortal(self, bus: MemoryBus, module: Module) -> Callable[[Any], Awaitable[Sequence[Any]]]:
        """Return a saga's ``receive``, which now and then dies and begins anew.

        Whatever else was under way dies with it: it says and writes nothing more, and nobody hears
        that it was answered.
        """
        lives = [_Life(self, bus, module)]

        async def receive(heard: Any) -> Sequence[Any]:
            life = lives[-1]
            try:
                said = await life.saga.receive(heard)
                life.risk()
            except Died:
                if life is lives[-1]:
                    lives.append(_Life(self, bus, module))
                raise
            return said

        return receive

    def saga(self, module: Module) -> Any:
        """Return a new actor."""
        if module is Module.EXECUTION:
            return Execution(pricer=RatedPricer(), clock=self.clock)
        board = Board(manifest(route(A), route(B)))
        return Orchestrator(routes=board, slots=Numbers(), key=b"k", clock=self.clock)

    def dies(self) -> bool:
        """Roll the dice."""
        dies = self._dice.random() < self._deaths
        self.died += dies
        return dies


class _Life:
    """One process with one saga in it; a ``Log`` that the dead cannot write to."""

    def __init__(self, house: House, bus: MemoryBus, module: Module) -> None:
        self._house = house
        self._bus = bus
        self._log = StreamLog(bus=bus)
        self._over = False
        self.saga = Recorded(saga=house.saga(module), log=self, say=self._say)

    async def last(self, key: str) -> tuple[int, bytes] | None:
        """Return the newest record."""
        return await self._log.last(key)

    async def append(self, key: str, body: bytes, *, after: int) -> int:
        """Store a record."""
        self.risk()
        return await self._log.append(key, body, after=after)

    async def _say(self, said: Iterable[Sayable]) -> None:
        for order in [outgoing(each) for each in said]:
            self.risk()
            await self._bus.say([order])

    def risk(self) -> None:
        """Die now, or have died before."""
        self._over = self._over or self._house.dies()
        if self._over:
            raise Died


@asynccontextmanager
async def running(house: House) -> AsyncIterator[MemoryBus]:
    """Yield a connection to a house in which everybody works, then let them finish."""
    async with connected(house.broker, name="house") as bus:
        await provision.apply(bus, house.declared)
        workers = list(house.workers(bus))
        async with anyio.create_task_group() as tasks:
            for worker in workers:
                tasks.start_soon(worker.run)
            yield bus
            for worker in workers:
                worker.stop()


async def facts(bus: Transport) -> Counter[str]:
    """Return how often each kind of fact was stored."""
    return Counter(each.subject.split(".")[2] for each in await stored(bus, EVT))


async def problems(bus: Transport) -> list[str]:
    """Return what is not as it must be when a job is over."""
    commands = await bus.api(f"STREAM.INFO.{CMD}")
    letters = await bus.api(f"STREAM.INFO.{DLQ}")
    timers = await stored(bus, TIMER, "timer.>")
    return [
        *(f"{kind} was stored {n} times" for kind, n in await _repeated(bus)),
        *(f"{key} jumps" for key in await _broken_histories(bus)),
        *(f"{each.subject} is still set" for each in timers),
        *["commands are left"] * commands["state"]["messages"],
        *["a dead letter"] * letters["state"]["messages"],
    ]


async def _repeated(bus: Transport) -> list[tuple[str, int]]:
    ids = Counter(each.message_id for each in await stored(bus, EVT))
    return [(each, n) for each, n in ids.items() if n > 1]


async def _broken_histories(bus: Transport) -> list[str]:
    steps: dict[str, list[int]] = {}
    for each in await stored(bus, SAGA, build.saga_records()):
        record = msgspec.json.decode(each.data, type=Record)
        steps.setdefault(record.key, []).append(record.step)
    return [key for key, found in steps.items() if found != list(range(1, len(found) + 1))]


def _answers(heard: Message) -> Iterator[Message]:
    """Yield what a module says to a message, as on a good day."""
    match heard:
        case HoldTokens():
            yield tokens_held()
        case SettleTokens():
            yield tokens_charged()
        case ReleaseTokens():
            yield tokens_released()
        case IngestVideo():
            yield video_ingested()
        case VideoIngested():
            yield content_analyzed()
        case ContentAnalyzed():
            yield prompts_generated()
        case RunAttempt(payload=order):
            yield attempt_finished(task_id=order.task.task_id, attempt=order.attempt)
        case TaskSucceeded(payload=result):
            yield quality_evaluated(task_id=heard.task_id, provider_id=result.provider_id)
        case ApprovalRequested():
            yield admin_approved()
        case AdminApproved():
            yield effect_published()
        case _:
            return
