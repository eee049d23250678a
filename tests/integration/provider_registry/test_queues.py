"""A new provider's queues on a real broker, made while everything runs."""

from __future__ import annotations

import random

import pytest

from actors.provider_registry.queues import BrokerQueues
from actors.runtime import provision
from actors.runtime.bus import connected
from actors.runtime.errors import NotPermittedError
from actors.runtime.memory import MemoryBroker, VirtualClock
from actors.runtime.memory import connected as connected_in_memory
from schemas.base import Module, ProviderId
from subjects.topology import CMD, Topology, gpu_consumers, topology
from tests.integration.permissions.conftest import As
from tests.integration.permissions.conftest import as_user as as_user
from tests.integration.permissions.conftest import broker as broker

NEW = ProviderId("fx-new-v1")
WANTED = Topology(streams=(), consumers=gpu_consumers(NEW), buckets=())


async def test_queues_are_made_once_and_left_as_they_are(nats_server: str) -> None:
    """Their limit may have been changed meanwhile, for a provider that throttles."""
    async with connected(nats_server, name="test") as bus:
        await provision.apply(bus, topology())
        queues = BrokerQueues(bus=bus)
        await queues.ensure(NEW)
        assert await provision.plan(bus, WANTED) == []

        consumer = WANTED.consumers[0]
        config = provision.consumer_config(consumer) | {"max_ack_pending": 3}
        place = f"CONSUMER.CREATE.{CMD}.{consumer.name}"
        await bus.api(place, {"stream_name": CMD, "config": config})
        await queues.ensure(NEW)
        info = await bus.api(f"CONSUMER.INFO.{CMD}.{consumer.name}")

    assert info["config"]["max_ack_pending"] == 3


async def test_the_broker_in_memory_does_the_same() -> None:
    """What the tests of the registry run on."""
    broker = MemoryBroker(clock=VirtualClock(), dice=random.Random(1))
    async with connected_in_memory(broker, name="test") as bus:
        await provision.apply(bus, topology())
        await BrokerQueues(bus=bus).ensure(NEW)

        assert await provision.plan(bus, WANTED) == []


async def test_the_registry_may_make_queues_of_renders_and_no_others(as_user: As) -> None:
    """With its own user; a consumer of another module's orders would take them away."""
    async with as_user(Module.PROVIDER_REGISTRY) as own:
        await BrokerQueues(bus=own).ensure(ProviderId("fx-allowed-v1"))
        spy = {"durable_name": "spy", "name": "spy", "filter_subject": "cmd.approval.>"}
        for call in ("CONSUMER.CREATE.CMD.spy", "CONSUMER.CREATE.CMD.spy.cmd.approval.>"):
            with pytest.raises(NotPermittedError):
                await own.api(call, {"stream_name": CMD, "config": spy})
