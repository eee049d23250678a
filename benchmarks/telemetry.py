"""What telemetry costs: CPU per event to produce and to consume it, against one event a message.

Ours packs 50 events into a message, sends it by fast ingest and reads it without acknowledgements.
The peer is what the client library's manual shows: ``js.publish`` for each event, so many of them
under way at once, and ``fetch`` with an ``ack`` for each. Both write typed JSON into the same
stream. It is the client's CPU, the whole process; the broker has its own.
``python -m benchmarks.telemetry`` prints it.
"""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime
from typing import Final

import anyio
import msgspec
import nats
import uvloop
from nats.js import JetStreamContext

from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import SystemClock
from actors.runtime.telemetry import BATCH_PACKETS, TelemetryProducer, read_telemetry
from benchmarks.results import Outcome, Seen, row
from benchmarks.running import ROUNDS, broker, spread
from schemas.base import JobId, Module, ProviderId, TaskId, TenantId
from schemas.telemetry import TaskMeasured, TelemetryPacket
from subjects import build
from subjects.topology import STREAMS, TLM, Topology

PACKED: Final = 50
"""Events a message."""
EVENTS: Final = PACKED * BATCH_PACKETS * 16
PEER_EVENTS: Final = 3200
PEER_IN_FLIGHT: Final = 256
PEER_FETCH: Final = 64
WITHIN_S: Final = 60.0
PRODUCE: Final = "produce_us"
CONSUME: Final = "consume_us"
PEER_PRODUCE: Final = "peer_produce_us"
PEER_CONSUME: Final = "peer_consume_us"

_SUBJECT: Final = build.telemetry(Module.EXECUTION)
_DURABLE: Final = "peer"
_NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


class MissingError(Exception):
    """Events got lost, so nothing was measured."""

    def __init__(self, found: int, wanted: int) -> None:
        super().__init__(f"{found} of {wanted} events arrived")


async def run() -> Outcome:
    """Measure against a broker of its own."""
    with broker() as server:
        found = await measure(server.url)
    rows = [
        row("telemetry.produce", found[PRODUCE], peer=found[PEER_PRODUCE]),
        row("telemetry.consume", found[CONSUME], peer=found[PEER_CONSUME]),
    ]
    seen = [
        Seen(what=name.removesuffix("_us"), wall="", cpu=spread(found[name], "us/event", digits=2))
        for name in (PRODUCE, PEER_PRODUCE, CONSUME, PEER_CONSUME)
    ]
    return Outcome(rows=rows, seen=seen)


async def measure(url: str) -> dict[str, list[float]]:
    """Return the CPU microseconds of one event, for each of them as many as there are rounds."""
    found: dict[str, list[float]] = {
        PRODUCE: [],
        CONSUME: [],
        PEER_PRODUCE: [],
        PEER_CONSUME: [],
    }
    for _ in range(ROUNDS):
        async with connected(url, name="bench") as bus:
            with anyio.fail_after(WITHIN_S):
                await _anew(bus)
                found[PRODUCE].append(await _produce(bus))
                found[CONSUME].append(await _consume(bus))
        client = await nats.connect(url)
        async with connected(url, name="bench") as bus:
            with anyio.fail_after(WITHIN_S):
                await _anew(bus)
                found[PEER_PRODUCE].append(await _peer_produces(client.jetstream()))
                found[PEER_CONSUME].append(await _peer_consumes(client.jetstream()))
        await client.close()
    return found


async def _anew(bus: Bus) -> None:
    """Make the stream anew, as the platform declares it."""
    for name in (await bus.api("STREAM.NAMES")).get("streams") or ():
        await bus.api(f"STREAM.DELETE.{name}")
    streams = tuple(each for each in STREAMS if each.name == TLM)
    await provision.apply(bus, Topology(streams=streams, consumers=(), buckets=()))


async def _produce(bus: Bus) -> float:
    events = [_event(number) for number in range(EVENTS)]
    producer = TelemetryProducer(
        bus=bus, module=Module.EXECUTION, clock=SystemClock(), packet_limit=PACKED
    )
    async with anyio.create_task_group() as running:
        running.start_soon(producer.run)
        await anyio.wait_all_tasks_blocked()
        began = time.process_time()
        for event in events:
            producer.measure(event)
        running.cancel_scope.cancel()  # which sends what is queued, all of it
    used = time.process_time() - began
    if producer.stored != EVENTS:
        raise MissingError(producer.stored, EVENTS)
    return 1e6 * used / EVENTS


async def _consume(bus: Bus) -> float:
    counting = _Counting()
    began = time.process_time()
    async with anyio.create_task_group() as running:
        await running.start(read_telemetry, bus, counting.take)
        running.cancel_scope.cancel()
    used = time.process_time() - began
    if counting.events != EVENTS:
        raise MissingError(counting.events, EVENTS)
    return 1e6 * used / EVENTS


class _Counting:
    def __init__(self) -> None:
        self.events = 0

    def take(self, packet: TelemetryPacket) -> None:
        self.events += len(packet.samples)


async def _peer_produces(stream: JetStreamContext) -> float:
    events = [_event(number) for number in range(PEER_EVENTS)]
    encoder = msgspec.json.Encoder()
    room = anyio.CapacityLimiter(PEER_IN_FLIGHT)

    async def publish(event: TaskMeasured) -> None:
        async with room:
            headers = {"Nats-Msg-Id": event.task_id}
            await stream.publish(_SUBJECT, encoder.encode(event), headers=headers)

    began = time.process_time()
    async with anyio.create_task_group() as publishing:
        for event in events:
            publishing.start_soon(publish, event)
    return 1e6 * (time.process_time() - began) / PEER_EVENTS


async def _peer_consumes(stream: JetStreamContext) -> float:
    decoder = msgspec.json.Decoder(TaskMeasured)
    reader = await stream.pull_subscribe(_SUBJECT, durable=_DURABLE, stream=TLM)
    read = 0
    began = time.process_time()
    while read < PEER_EVENTS:
        for message in await reader.fetch(PEER_FETCH, timeout=WITHIN_S):
            decoder.decode(message.data)
            await message.ack()
            read += 1
    used = time.process_time() - began
    await reader.unsubscribe()
    return 1e6 * used / PEER_EVENTS


def _event(number: int) -> TaskMeasured:
    """Return one of many events, as Execution measures them."""
    return TaskMeasured(
        at=_NOON,
        task_id=TaskId(f"task_{number:024d}"),
        job_id=JobId(f"job_{number // 4:024d}"),
        tenant_id=TenantId("tnt_01k9qv3m5n7p"),
        provider_id=ProviderId("fx-warm-grade-v1"),
        effect_type="color_correction",
        succeeded=True,
        cost_microtokens=1_500_000,
        gpu_seconds=12.25,
        duration_ms=13_000,
        queue_wait_ms=120,
        frames=190,
        nodes={"ImageBlend": 1800, "KSampler": 9000, "VAEDecode": 900},
    )


def main() -> None:
    """Measure and print."""
    with broker() as server:
        found = uvloop.run(measure(server.url))
    for what, values in found.items():
        shown = " ".join(f"{each:6.2f}" for each in values)
        print(f"{what:16} {statistics.median(values):6.2f} us/event  ({shown})")


if __name__ == "__main__":
    main()
