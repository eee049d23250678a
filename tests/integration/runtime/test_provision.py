"""The topology is declared, planned, applied and checked; any difference is found and named."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import anyio
import pytest

from actors.provider_registry.shipped import shipped
from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from actors.runtime.errors import ApiError, DriftError
from actors.runtime.host import Hosted, run_hosted
from actors.runtime.provision import Config, JetStreamOffError
from effectmesh.embedded.nats import EmbeddedNats
from effectmesh.prepare import topology_for
from schemas.base import Module
from subjects.topology import DLQ, EVT, ROUTING, TIMER, TLM, Topology
from tests.integration.embedded.parents import running
from tests.integration.runtime.world import (
    SOON_S,
    bucket_named,
    consumer,
    declared,
    fact,
    restart,
    stored,
    stream_named,
)

ALL = topology_for(shipped())
DAY_NS = 24 * 3600 * provision.NANO
ONE = consumer(filters=("evt.a.>",))
SEVERAL = consumer(filters=("evt.a.>", "evt.b.>"))
GROUPED = consumer(filters=("evt.a.>",), priority_group="hosts")

CANNOT_STORE = 10049
STORE_TRIES = 100

OF_A_STREAM: dict[str, tuple[str, Any]] = {
    "subjects": (EVT, ["evt.>", "more.>"]),
    "description": (EVT, "something else"),
    "retention": (EVT, "interest"),
    "storage": (DLQ, "memory"),
    "discard": (EVT, "new"),
    "max_age": (EVT, DAY_NS),
    "max_bytes": (EVT, 1_000_000),
    "max_msgs_per_subject": (EVT, 5),
    "duplicate_window": (EVT, provision.NANO),
    "allow_direct": (EVT, False),
    "deny_delete": (EVT, False),
    "persist_mode": (TLM, "default"),
    "allow_batched": (TLM, False),
    "allow_msg_schedules": (TIMER, False),
    "allow_msg_ttl": (TIMER, False),
}
"""For each field of a stream: one that declares it, and another value for it."""
OF_A_BUCKET: dict[str, Any] = {
    "subjects": ["$KV.ROUTING.>", "more.>"],
    "description": "something else",
    "retention": "interest",
    "storage": "memory",
    "discard": "old",
    "max_age": DAY_NS,
    "max_bytes": 1_000_000,
    "max_msgs_per_subject": 5,
    "duplicate_window": provision.NANO,
    "allow_direct": False,
    "allow_rollup_hdrs": False,
    "deny_delete": False,
}
OF_A_CONSUMER: dict[str, tuple[Any, Any]] = {
    "description": (ONE, "something else"),
    "deliver_policy": (ONE, "new"),
    "ack_policy": (ONE, "all"),
    "ack_wait": (ONE, provision.NANO),
    "max_deliver": (ONE, 3),
    "max_ack_pending": (ONE, 3),
    "replay_policy": (ONE, "original"),
    "filter_subject": (ONE, "evt.b.>"),
    "filter_subjects": (SEVERAL, ["evt.a.>", "evt.c.>"]),
    "priority_policy": (GROUPED, "overflow"),
    "priority_groups": (GROUPED, ["others"]),
}
UPDATABLE = {"subjects", "description", "discard", "max_age", "max_bytes", "duplicate_window"} | {
    "max_msgs_per_subject",
    "ack_wait",
    "max_deliver",
    "max_ack_pending",
    "filter_subject",
    "filter_subjects",
}
"""What the server lets anybody change later."""
ALONE = {"num_replicas", "name", "durable_name"}
"""What a broker of one node cannot have otherwise, and what makes it another object."""


@pytest.mark.parametrize("field", OF_A_STREAM)
async def test_every_changed_field_of_a_stream_is_found(bus: Bus, field: str) -> None:
    """A limit that somebody lowered by hand loses messages weeks later."""
    name, other = OF_A_STREAM[field]
    await _create(bus, provision.stream_config(stream_named(name)), field, other)

    await _found_and_repaired(bus, declared(streams=[name]), "stream", name, field)


@pytest.mark.parametrize("field", OF_A_BUCKET)
async def test_every_changed_field_of_a_bucket_is_found(bus: Bus, field: str) -> None:
    """A bucket is a stream with rules of its own."""
    config = provision.bucket_config(bucket_named(ROUTING))
    await _create(bus, config, field, OF_A_BUCKET[field])

    topology = declared(streams=[], buckets=[ROUTING])
    await _found_and_repaired(bus, topology, "bucket", ROUTING, field)


@pytest.mark.parametrize("field", OF_A_CONSUMER)
async def test_every_changed_field_of_a_consumer_is_found(bus: Bus, field: str) -> None:
    """A filter that lacks an event looks like a module that sleeps."""
    of, other = OF_A_CONSUMER[field]
    await provision.apply(bus, declared(streams=[EVT]))
    config = provision.consumer_config(of) | {field: other}
    await bus.api(f"CONSUMER.CREATE.EVT.{of.name}", {"stream_name": EVT, "config": config})

    topology = declared(of, streams=[EVT])
    await _found_and_repaired(bus, topology, "consumer", f"EVT/{of.name}", field)


def test_the_tests_above_change_every_field_that_is_declared() -> None:
    """A new field has to be tried too."""
    streams = {key for each in ALL.streams for key in provision.stream_config(each)}
    buckets = {key for each in ALL.buckets for key in provision.bucket_config(each)}
    consumers = {key for each in ALL.consumers for key in provision.consumer_config(each)}

    assert streams - ALONE == set(OF_A_STREAM)
    assert buckets - ALONE == set(OF_A_BUCKET)
    assert consumers - ALONE == set(OF_A_CONSUMER)


async def test_everything_is_missing_then_made_then_as_declared(bus: Bus) -> None:
    """And applying it again changes nothing."""
    names = {
        *(("stream", each.name) for each in ALL.streams),
        *(("bucket", each.name) for each in ALL.buckets),
        *(("consumer", f"{each.stream}/{each.name}") for each in ALL.consumers),
    }

    missing = await provision.plan(bus, ALL)
    assert {(each.kind, each.name) for each in missing} == names
    assert all(str(each).endswith("is missing") for each in missing)

    assert await provision.apply(bus, ALL) == missing
    assert await provision.plan(bus, ALL) == []
    assert await provision.apply(bus, ALL) == []
    await provision.check(bus, ALL)


async def test_applying_keeps_what_is_stored(bus: Bus) -> None:
    """It is run on every start."""
    config = provision.stream_config(stream_named(EVT)) | {"max_bytes": 1_000_000}
    await bus.api("STREAM.CREATE.EVT", config)
    await bus.say([fact(1), fact(2)])

    await provision.apply(bus, declared(streams=[EVT]))

    assert len(await stored(bus, EVT)) == 2


async def test_what_somebody_else_made_is_left_alone(bus: Bus) -> None:
    """Other programs may use the same broker."""
    await bus.api("STREAM.CREATE.OTHERS", {"name": "OTHERS", "subjects": ["others.>"]})

    await provision.apply(bus, ALL)

    assert "OTHERS" in (await bus.api("STREAM.NAMES"))["streams"]


async def test_a_change_the_server_refuses_is_an_error(bus: Bus) -> None:
    """A file stream does not become one in memory; somebody has to decide."""
    config = provision.stream_config(stream_named(DLQ)) | {"storage": "memory"}
    await bus.api("STREAM.CREATE.DLQ", config)

    with pytest.raises(ApiError, match="storage"):
        await provision.apply(bus, declared(streams=[DLQ]))


async def test_the_check_names_what_differs_and_what_to_do(bus: Bus) -> None:
    """It is the first thing an operator reads."""
    await provision.apply(bus, declared(ONE))
    changed = provision.consumer_config(ONE) | {"max_ack_pending": 3}
    body = {"stream_name": EVT, "config": changed}
    await bus.api(f"CONSUMER.CREATE.EVT.{ONE.name}", body)

    with pytest.raises(DriftError) as drift:
        await provision.check(bus, declared(ONE, SEVERAL))

    assert "consumer EVT/approval: max_ack_pending is 3, declared 256" in str(drift.value)
    assert "effectmesh topology apply" in str(drift.value)


async def test_actors_do_not_start_without_their_consumers(bus: Bus) -> None:
    """A process that hears nothing must end, not wait."""

    async def receive(_: Any) -> tuple[()]:
        return ()

    await provision.apply(bus, declared())
    hosted = [Hosted(module=Module.APPROVAL, receive=receive)]
    with anyio.fail_after(SOON_S), pytest.raises(DriftError, match="EVT/approval"):
        await run_hosted(
            bus=bus,
            hosted=hosted,
            declared=declared(ONE),
            dice=random.Random(1),
            stopping=anyio.Event(),
        )


async def test_a_broker_without_jetstream_is_told(home: Path) -> None:
    """It answers, stores nothing, and every message would be lost."""
    with running(_Forgetful(home=home)) as url:
        async with connected(url, name="test") as bus:
            with pytest.raises(JetStreamOffError, match="jetstream block"):
                await provision.plan(bus, ALL)


async def test_what_was_applied_is_there_after_the_broker_was_killed(
    mortal: EmbeddedNats,
) -> None:
    """A broker of one node forgets a stream in memory with its contents and its existence.

    Whatever is said there then has no stream, and every saga that says progress stands still.
    """
    async with connected(mortal.url, name="test") as bus:
        await provision.apply(bus, ALL)
        await restart(mortal)

        assert [str(each) for each in await provision.plan(bus, ALL)] == []


class _Forgetful(EmbeddedNats):
    """A broker that stores nothing."""

    def _config(self, password: str, ports: Path) -> str:
        lines = super()._config(password, ports).splitlines()
        return "\n".join(each for each in lines if not each.startswith("jetstream"))


async def _create(bus: Bus, config: Config, field: str, other: object) -> None:
    changed = config | {field: other}
    if field == "max_age" and changed["duplicate_window"] > changed["max_age"] > 0:
        changed["duplicate_window"] = changed["max_age"]
    for _ in range(STORE_TRIES):
        try:
            await bus.api(f"STREAM.CREATE.{config['name']}", changed)
        except ApiError as busy:
            # the server clears away a deleted stream's folder behind its answer
            if busy.code != CANNOT_STORE:
                raise
            await anyio.sleep(0.05)
        else:
            return
    pytest.fail("the server does not let go of the stream before")


async def _found_and_repaired(
    bus: Bus, topology: Topology, kind: str, name: str, field: str
) -> None:
    """Assert that exactly this field is found, and that it can be put right."""
    found = await provision.plan(bus, topology)

    assert [(each.kind, each.name, each.field) for each in found] == [(kind, name, field)]
    with pytest.raises(DriftError, match=field):
        await provision.check(bus, topology)
    if field in UPDATABLE:
        assert await provision.apply(bus, topology) == found
        assert await provision.plan(bus, topology) == []
