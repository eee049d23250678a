"""Telemetry on a real broker: batches, brokers that die, and readers that miss nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn

import anyio
import msgspec
import pytest
from anyio.to_thread import run_sync
from msgspec import structs

from actors.runtime import provision, telemetry
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import FrozenClock
from actors.runtime.provision import stream_config
from actors.runtime.telemetry import ACK_TIMEOUT_S, TelemetryProducer, read_telemetry
from effectmesh.embedded.nats import EmbeddedNats
from schemas.base import JobId, Module, TaskId
from schemas.telemetry import ChargeMeasured, TelemetryPacket
from subjects import build
from subjects.topology import TLM, Topology
from tests.builders import NOON, TENANT, WARM
from tests.integration.runtime.world import SOON_S, Seen, apply, restart, stored, stream_named

STREAM = stream_named(TLM)
SUBJECT = build.telemetry(Module.EXECUTION)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here has to wait for others."""
    monkeypatch.setattr(telemetry, "FLUSH_AFTER_S", 0.01)


def charge(number: int) -> ChargeMeasured:
    """Return one of many samples."""
    return ChargeMeasured(
        at=NOON,
        task_id=TaskId(f"task_{number}"),
        job_id=JobId("job_1"),
        tenant_id=TENANT,
        provider_id=WARM,
        effect_type="style_transfer",
        charged_microtokens=2,
        cost_microtokens=1,
    )


def numbered(numbers: Iterable[int]) -> list[str]:
    """Return the tasks of these samples."""
    return [f"task_{number}" for number in numbers]


def producer(bus: Bus, *, packet_limit: int = 10) -> TelemetryProducer:
    """Return a producer that is not running yet."""
    return TelemetryProducer(
        bus=bus, module=Module.EXECUTION, clock=FrozenClock(), packet_limit=packet_limit
    )


@asynccontextmanager
async def running(of: TelemetryProducer) -> AsyncIterator[None]:
    """Run it for the length of the block, and let it send what is left."""
    with anyio.fail_after(4 * SOON_S):
        async with anyio.create_task_group() as group:
            group.start_soon(of.run)
            yield
            group.cancel_scope.cancel()


@asynccontextmanager
async def reading(bus: Bus) -> AsyncIterator[Seen[str]]:
    """Read for the length of the block, which begins when all that is stored was read."""
    seen: Seen[str] = Seen()

    def take(packet: TelemetryPacket) -> None:
        for sample in packet.samples:
            seen.add(sample.task_id)

    with anyio.fail_after(4 * SOON_S):
        async with anyio.create_task_group() as group:
            await group.start(read_telemetry, bus, take)
            yield seen
            group.cancel_scope.cancel()


def measured(numbers: Iterable[int], of: TelemetryProducer) -> None:
    """Measure these."""
    for number in numbers:
        of.measure(charge(number))


async def kept(bus: Bus) -> list[str]:
    """Return the tasks of every sample in the stream."""
    packets = [
        msgspec.json.decode(each.data, type=TelemetryPacket) for each in await stored(bus, TLM)
    ]
    return [sample.task_id for packet in packets for sample in packet.samples]


async def test_samples_go_by_fast_ingest(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, in few messages, and without an ordinary publish."""
    await apply(bus, streams=[TLM])
    monkeypatch.setattr(bus, "say", _never)
    of = producer(bus)
    async with reading(bus) as seen, running(of):
        measured(range(555), of)
        await seen.until(555)

    packets = await stored(bus, TLM, SUBJECT)
    assert seen.items == numbered(range(555))
    assert len(packets) == 56
    assert {each.message_id for each in packets} == {
        msgspec.json.decode(each.data, type=TelemetryPacket).event_id for each in packets
    }
    assert (of.stored, of.dropped) == (555, 0)


async def test_producers_of_one_stream_do_not_disturb_each_other(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All go by fast ingest: no batch is taken for a part of another."""
    await apply(bus, streams=[TLM])
    monkeypatch.setattr(bus, "say", _never)
    first, second = producer(bus), producer(bus)
    async with reading(bus) as seen, running(first), running(second):
        measured(range(300), first)
        measured(range(300, 600), second)
        await seen.until(600)

    assert sorted(await kept(bus)) == sorted(numbered(range(600)))


async def test_a_stream_that_takes_no_batches_gets_everything_too(bus: Bus) -> None:
    """A broker that an older version of us has set up."""
    plain = structs.replace(STREAM, allow_batched=False)
    await provision.apply(bus, Topology(streams=(plain,), consumers=(), buckets=()))
    of = producer(bus)
    async with reading(bus) as seen, running(of):
        measured(range(35), of)
        await seen.until(35)

    assert await kept(bus) == numbered(range(35))


async def test_an_older_stream_learns_to_take_batches(bus: Bus) -> None:
    """``topology apply`` changes it in place; what it holds stays."""
    plain = structs.replace(STREAM, allow_batched=False)
    await provision.apply(bus, Topology(streams=(plain,), consumers=(), buckets=()))

    changed = await provision.apply(bus, Topology(streams=(STREAM,), consumers=(), buckets=()))

    assert [each.field for each in changed] == ["allow_batched"]


async def test_the_last_samples_are_stored_when_the_process_ends(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is cancelled before the packet would have been sent."""
    monkeypatch.setattr(telemetry, "FLUSH_AFTER_S", SOON_S)
    await apply(bus, streams=[TLM])
    of = producer(bus)
    async with running(of):
        await anyio.wait_all_tasks_blocked()
        measured(range(3), of)

    assert await kept(bus) == numbered(range(3))


async def test_a_broker_that_is_killed_loses_nothing_it_had_acknowledged(
    mortal: EmbeddedNats,
) -> None:
    """Nor what was under way: it is said again, and goes on long before a time-out.

    The stream is written at once here; the real one is not, and may forget its last packets.
    """
    prompt = structs.replace(STREAM, persist_async=False)
    async with connected(mortal.url, name="test") as shaky:
        await provision.apply(shaky, Topology(streams=(prompt,), consumers=(), buckets=()))
        of = producer(shaky)
        async with reading(shaky) as seen, running(of):
            measured(range(1000), of)
            await seen.until(500)
            os.kill(mortal.pid, signal.SIGSTOP)
            measured(range(1000, 2000), of)
            await anyio.wait_all_tasks_blocked()
            before = of.stored
            await run_sync(mortal.kill)
            measured(range(2000, 3000), of)
            await run_sync(mortal.start)
            with anyio.fail_after(ACK_TIMEOUT_S - 1):
                await seen.when(lambda items: len(set(items)) == 3000)

        assert before < 2000
        assert await kept(shaky) == numbered(range(3000))
        assert (of.stored, of.dropped) == (3000, 0)


async def test_a_reader_outlives_the_broker(mortal: EmbeddedNats) -> None:
    """It reads what was stored while it was deaf, and what nobody can read stops nothing."""
    async with connected(mortal.url, name="test") as shaky:
        await apply(shaky, streams=[TLM])
        of = producer(shaky)
        async with running(of):
            measured(range(20), of)
            async with reading(shaky) as seen:
                await seen.until(20)
                await restart(mortal)
                await shaky.publish(SUBJECT, b"{", {})
                measured(range(20, 40), of)
                await seen.when(lambda items: set(items) == set(numbered(range(40))))


async def test_a_number_that_is_given_twice_hides_no_packet(mortal: EmbeddedNats) -> None:
    """A stream that is written late forgets its end with the broker, and counts on from there."""
    topology = Topology(streams=(STREAM,), consumers=(), buckets=())
    other = numbered(range(100, 110))

    async with connected(mortal.url, name="test") as shaky:
        await provision.apply(shaky, topology)

        async def forget() -> None:
            """Have other packets under the same numbers before the reader is back."""
            async with connected(mortal.url, name="other") as elsewhere:
                await elsewhere.api(f"STREAM.DELETE.{TLM}")
                await elsewhere.api(f"STREAM.CREATE.{TLM}", stream_config(STREAM))
                of = producer(elsewhere, packet_limit=1)
                async with running(of):
                    measured(range(100, 110), of)

        with shaky.reconnecting(forget):
            of = producer(shaky, packet_limit=1)
            async with running(of), reading(shaky) as seen:
                measured(range(5), of)
                await seen.until(5)
                await restart(mortal)
                await seen.when(lambda items: set(other) <= set(items))

    assert _in_order(seen.items, other)


async def _never(_: object) -> NoReturn:
    raise AssertionError


def _in_order(items: Sequence[str], wanted: Sequence[str]) -> bool:
    return [each for each in items if each in set(wanted)] == list(wanted)
