"""A provider's limit on a real broker: it holds at once, and whatever is started anew."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest

from actors.execution.actor import ExecutionModule, Limits
from actors.execution.broker import BrokerConsumers
from actors.execution.keeper import LimitKeeper
from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import SystemClock
from actors.runtime.record import Recorded, StreamLog
from actors.runtime.watch import Watched
from actors.runtime.wire import Sayable
from actors.runtime.worker import Worker
from schemas.base import Message, Module, ProviderId
from schemas.commands import RunAttempt, SetConcurrency
from schemas.hosts import CONCURRENCY_LIMIT, ConcurrencyLimit
from schemas.lanes import BATCH, INTERACTIVE
from schemas.tasks import AttemptOrder
from subjects.topology import CMD, CONTROL, Consumer, Topology, gpu_consumer, in_lanes, topology
from tests.builders import execution_task, header
from tests.integration.runtime.world import SOON_S, Seen

A = ProviderId("fx-a")
DECLARED: Topology = topology(in_lanes([A, "fx-b"]))
USERS = gpu_consumer(INTERACTIVE, A)


@pytest.fixture
async def bus(nats_server: str) -> AsyncIterator[Bus]:
    """Return a connection to a broker of the test's own that is as declared."""
    async with connected(nats_server, name="test") as opened:
        await provision.apply(opened, DECLARED)
        yield opened


def render(number: int) -> RunAttempt:
    """Return one of many renders of one provider."""
    task = execution_task(f"task_{number}", A, lane=INTERACTIVE)
    return RunAttempt(**header(f"evt_{number}"), payload=AttemptOrder(task=task, attempt=1))  # type: ignore[arg-type]


def limited(limit: int) -> SetConcurrency:
    """Return the Economic Engine's command."""
    order = ConcurrencyLimit(provider_id=A, limit=limit, reason="it throttles")
    return SetConcurrency(**header(f"evt_limit_{limit}"), payload=order)  # type: ignore[arg-type]


async def nothing(heard: Message) -> Sequence[Sayable]:
    """Hear nothing of this kind."""
    raise AssertionError(heard)


def module(bus: Bus) -> ExecutionModule:
    """Return module 6, of which only the limits are asked."""
    kept = Recorded(saga=Limits(), log=StreamLog(bus=bus), say=bus.say)
    return ExecutionModule(tasks=nothing, quarantines=nothing, limits=kept.receive)


@asynccontextmanager
async def keeping(bus: Bus) -> AsyncIterator[None]:
    """Hold the broker to the limits for the length of the block."""
    control: Watched[bytes] = Watched(bus=bus, bucket=CONTROL, decode=bytes)
    keeper = LimitKeeper(
        consumers=BrokerConsumers(bus=bus),
        entries=control,
        providers=lambda: (A, "fx-b"),
        clock=SystemClock(),
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(control.run)
        await control.ready()
        tasks.start_soon(keeper.run)
        yield
        tasks.cancel_scope.cancel()


async def limit_of(bus: Bus, consumer: Consumer) -> int:
    """Return what the server allows."""
    found = await bus.api(f"CONSUMER.INFO.{CMD}.{consumer.name}")
    return int(found["config"]["max_ack_pending"])


async def until_limit(bus: Bus, consumer: Consumer, wanted: int) -> None:
    """Return when the server allows so many."""
    with anyio.fail_after(SOON_S):
        while await limit_of(bus, consumer) != wanted:
            await anyio.lowlevel.checkpoint()


class Host:
    """Renders for as long as the test says, and counts how many at once."""

    def __init__(self) -> None:
        self.began: Seen[str] = Seen()
        self.ended: Seen[str] = Seen()
        self.running = 0
        self.most = 0
        self.go = anyio.Event()

    async def receive(self, heard: RunAttempt) -> Sequence[Sayable]:
        """Render until told to finish."""
        self.running += 1
        self.most = max(self.most, self.running)
        self.began.add(heard.payload.task.task_id)
        await self.go.wait()
        await anyio.lowlevel.checkpoint()
        self.running -= 1
        self.ended.add(heard.payload.task.task_id)
        return ()


async def test_a_lower_limit_throttles_at_once(bus: Bus) -> None:
    """What runs may finish; nothing more begins until there are fewer than the limit."""
    host = Host()
    # Seven more than are allowed afterwards; a priority group takes one message a pull.
    consumer = msgspec.structs.replace(USERS, priority_group="")
    plain = topology().streams, consumer
    await bus.api(f"CONSUMER.DELETE.{CMD}.{consumer.name}")
    await provision.apply(bus, Topology(streams=plain[0], consumers=(consumer,), buckets=()))
    await bus.say([render(n) for n in range(12)])
    worker = Worker(
        bus=bus,
        module=Module.GPU_AGENT,
        consumer=consumer,
        decoder=msgspec.json.Decoder(RunAttempt),
        receive=host.receive,
        concurrency=4,
        dice=random.Random(1),
    )
    async with keeping(bus), anyio.create_task_group() as tasks:
        tasks.start_soon(worker.run)
        await host.began.until(4)
        await module(bus).receive(limited(2))
        await until_limit(bus, USERS, 1)
        host.most = 0
        host.go.set()
        await host.ended.until(12)
        worker.stop()

    assert len(host.began.items) == 12
    assert host.most == 1


async def test_a_limit_is_shared_by_the_lanes_of_one_provider_and_no_other(bus: Bus) -> None:
    """The other provider is not to blame."""
    async with keeping(bus):
        await module(bus).receive(limited(8))
        await until_limit(bus, gpu_consumer(BATCH, A), 2)

    assert await limit_of(bus, USERS) == 6
    assert await limit_of(bus, gpu_consumer(INTERACTIVE, "fx-b")) == CONCURRENCY_LIMIT


async def test_a_limit_is_no_drift_and_nobody_takes_it_back(bus: Bus) -> None:
    """Processes start and check, operators apply; the limit is an order, not an accident."""
    await BrokerConsumers(bus=bus).set(USERS, 3)

    assert await provision.plan(bus, DECLARED) == []
    longer = msgspec.structs.replace(USERS, ack_wait_s=25)
    changed = msgspec.structs.replace(DECLARED, consumers=(longer,))
    assert [each.field for each in await provision.apply(bus, changed)] == ["ack_wait"]
    assert await limit_of(bus, USERS) == 3


async def test_a_limit_survives_a_restart_and_a_consumer_that_is_made_again(
    bus: Bus, nats_server: str
) -> None:
    """It is kept in CONTROL; the process that ordered it may be gone."""
    await module(bus).receive(limited(8))
    await bus.api(f"CONSUMER.DELETE.{CMD}.{USERS.name}")
    await provision.apply(bus, DECLARED)
    assert await limit_of(bus, USERS) == CONCURRENCY_LIMIT

    async with connected(nats_server, name="started later") as later, keeping(later):
        await until_limit(bus, USERS, 6)


async def test_the_queues_are_told_over_all_lanes(bus: Bus) -> None:
    """The scaler counts what waits and what runs; a provider without queues is left out."""
    task = execution_task("task_b", A, lane=BATCH)
    shadow = RunAttempt(**header("evt_b"), payload=AttemptOrder(task=task, attempt=1))  # type: ignore[arg-type]
    await bus.say([render(1), render(2), shadow])

    [queue] = await BrokerConsumers(bus=bus).read([A, "fx-new"])
    assert (queue.provider_id, queue.waiting, queue.running) == (A, 3, 0)
    assert await BrokerConsumers(bus=bus).get(gpu_consumer(INTERACTIVE, "fx-new")) is None
