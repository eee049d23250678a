"""Makes the server's streams, consumers and buckets what ``subjects.topology`` declares.

``plan`` compares field by field, ``apply`` creates and updates what differs, ``check`` refuses to
go on. Only fields we declare are compared: what the server adds by itself is its own business.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import anyio
from msgspec import Struct

from actors.runtime.errors import ApiError, AskError, BusError, DriftError
from actors.runtime.transport import Transport
from subjects import build
from subjects.topology import Bucket, Consumer, Stream, Topology

NANO: Final = 1_000_000_000
STREAM_NOT_FOUND: Final = 10059
CONSUMER_NOT_FOUND: Final = 10014
NO_PEERS: Final = frozenset({10005, 10074})
"""A cluster with too few servers for the copies, and a server without a cluster."""
OLDEST_SERVER: Final = (2, 14)
UNLIMITED: Final = -1
TUNED: Final = "max_ack_pending"
"""The field that ``Consumer.tunable`` is about."""
JETSTREAM_TRIES: Final = 4
JETSTREAM_WAIT_S: Final = 0.25

Config = dict[str, Any]


class Difference(Struct, frozen=True, kw_only=True):
    """One thing that is not as declared. ``field`` is empty when the whole object is missing."""

    kind: str
    name: str
    field: str = ""
    declared: str = ""
    found: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        if not self.field:
            return f"{self.kind} {self.name} is missing"
        where = f"{self.kind} {self.name}: {self.field}"
        return f"{where} is {self.found}, declared {self.declared}"


class OldServerError(BusError):
    """The broker lacks something we need."""

    def __init__(self, found: str) -> None:
        needed = ".".join(str(part) for part in OLDEST_SERVER)
        super().__init__(f"nats-server {found} is too old; effectmesh needs {needed} or newer")


class JetStreamOffError(BusError):
    """The broker runs without JetStream."""

    def __init__(self) -> None:
        super().__init__("the broker has no JetStream; add a jetstream block to its configuration")


class TooFewServersError(BusError):
    """The broker cannot keep as many copies as are declared."""

    def __init__(self, replicas: int) -> None:
        super().__init__(
            f"the broker has no {replicas} servers to keep copies on; "
            "start the cluster of nats/cluster, or set EFFECTMESH_REPLICAS=1"
        )


def stream_config(stream: Stream, *, replicas: int = 1) -> Config:
    """Return a stream's configuration as the server's API takes it.

    Only a single copy may be written late: with several the server syncs, whatever is declared.
    """
    config: Config = {
        "name": stream.name,
        "subjects": list(stream.subjects),
        "description": stream.description,
        "retention": stream.retention,
        "storage": stream.storage,
        "discard": stream.discard,
        "max_age": stream.max_age_s * NANO,
        "max_bytes": stream.max_bytes or UNLIMITED,
        "max_msgs_per_subject": stream.max_msgs_per_subject or UNLIMITED,
        "duplicate_window": stream.duplicate_window_s * NANO,
        "num_replicas": replicas,
        "allow_direct": True,
        "deny_delete": stream.deny_delete,
    }
    if stream.allow_schedules:
        config |= {"allow_msg_schedules": True, "allow_msg_ttl": True}
    if stream.allow_batched:
        config["allow_batched"] = True
    if stream.persist_async and replicas == 1:
        config["persist_mode"] = "async"
    return config


def bucket_config(bucket: Bucket, *, replicas: int = 1) -> Config:
    """Return the configuration of the stream behind a key-value bucket."""
    window_s = min(bucket.ttl_s, 120) if bucket.ttl_s else 120
    return {
        "name": build.bucket_stream(bucket.name),
        "subjects": [build.entries(bucket.name)],
        "description": bucket.description,
        "retention": "limits",
        "storage": bucket.storage,
        "discard": "new",
        "max_age": bucket.ttl_s * NANO,
        "max_bytes": bucket.max_bytes,
        "max_msgs_per_subject": bucket.history,
        "duplicate_window": window_s * NANO,
        "num_replicas": replicas,
        "allow_direct": True,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
    }


def consumer_config(consumer: Consumer) -> Config:
    """Return a consumer's configuration as the server's API takes it."""
    config: Config = {
        "durable_name": consumer.name,
        "name": consumer.name,
        "description": consumer.description,
        "deliver_policy": "all",
        "ack_policy": "explicit",
        "ack_wait": consumer.ack_wait_s * NANO,
        "max_deliver": UNLIMITED,
        "max_ack_pending": consumer.max_ack_pending,
        "replay_policy": "instant",
    }
    if len(consumer.filters) == 1:
        config["filter_subject"] = consumer.filters[0]
    else:
        config["filter_subjects"] = list(consumer.filters)
    if consumer.priority_group:
        config |= {"priority_policy": "prioritized", "priority_groups": [consumer.priority_group]}
    return config


async def plan(bus: Transport, declared: Topology) -> Sequence[Difference]:
    """Return everything that is not as declared.

    Raises:
        OldServerError: the broker is too old.
        JetStreamOffError: the broker has no JetStream.
    """
    await _check_server(bus)
    differences: list[Difference] = []
    for kind, name, config in _kept(declared):
        differences += await _compare_stream(bus, kind, name, config)
    for consumer in declared.consumers:
        differences += await _compare_consumer(bus, consumer)
    return differences


async def apply(bus: Transport, declared: Topology) -> Sequence[Difference]:
    """Create and update what differs; return what was changed.

    Raises:
        ApiError: the server refuses a change, such as another storage kind for an old stream.
        TooFewServersError: there are fewer servers than copies.
    """
    changed = await plan(bus, declared)
    names = {(each.kind, each.name): not each.field for each in changed}
    for kind, name, config in _kept(declared):
        await _apply_stream(bus, config, missing=names.get((kind, name)))
    for consumer in declared.consumers:
        if ("consumer", _consumer_name(consumer)) in names:
            await _apply_consumer(
                bus, consumer, missing=names["consumer", _consumer_name(consumer)]
            )
    return changed


async def check(bus: Transport, declared: Topology) -> None:
    """Return when the server is as declared.

    Raises:
        DriftError: it is not, and says where.
    """
    if differences := await plan(bus, declared):
        raise DriftError([str(each) for each in differences])


def _kept(declared: Topology) -> Iterator[tuple[str, str, Config]]:
    """Yield kind, name and configuration of every stream, those behind the buckets too."""
    for stream in declared.streams:
        yield "stream", stream.name, stream_config(stream, replicas=declared.replicas)
    for bucket in declared.buckets:
        yield "bucket", bucket.name, bucket_config(bucket, replicas=declared.replicas)


async def _check_server(bus: Transport) -> None:
    version = bus.server_version
    if tuple(int(part) for part in version.split("-")[0].split(".")[:2]) < OLDEST_SERVER:
        raise OldServerError(version)
    for last in (*(False,) * JETSTREAM_TRIES, True):
        try:
            await bus.api("INFO")
        except ApiError as refused:
            raise JetStreamOffError from refused
        except AskError as silent:
            if not bus.alive:
                raise
            # A broker that has just started answers before its JetStream does.
            if last:
                raise JetStreamOffError from silent
            await anyio.sleep(JETSTREAM_WAIT_S)
        else:
            return


async def _compare_stream(
    bus: Transport, kind: str, name: str, declared: Config
) -> list[Difference]:
    try:
        found = (await bus.api(f"STREAM.INFO.{declared['name']}"))["config"]
    except ApiError as error:
        if error.code != STREAM_NOT_FOUND:
            raise
        return [Difference(kind=kind, name=name)]
    return _compare(kind, name, declared, found)


async def _compare_consumer(bus: Transport, consumer: Consumer) -> list[Difference]:
    name = _consumer_name(consumer)
    try:
        info = await bus.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
    except ApiError as error:
        if error.code not in (CONSUMER_NOT_FOUND, STREAM_NOT_FOUND):
            raise
        return [Difference(kind="consumer", name=name)]
    return _compare("consumer", name, _tuned(consumer, info["config"]), info["config"])


def _tuned(consumer: Consumer, found: Config) -> Config:
    """Return what is declared; what is changed while everything runs is right as it is."""
    config = consumer_config(consumer)
    if consumer.tunable and found.get(TUNED):
        config[TUNED] = found[TUNED]
    return config


def _compare(kind: str, name: str, declared: Config, found: Config) -> list[Difference]:
    return [
        Difference(
            kind=kind, name=name, field=field, declared=str(value), found=str(found.get(field))
        )
        for field, value in declared.items()
        # the server leaves out what is false
        if (found.get(field) or False) != (value or False)
    ]


async def _apply_stream(bus: Transport, config: Config, *, missing: bool | None) -> None:
    """Create what is missing, update what differs; ``None`` is neither."""
    if missing is None:
        return
    verb = "CREATE" if missing else "UPDATE"
    try:
        await bus.api(f"STREAM.{verb}.{config['name']}", config)
    except ApiError as refused:
        if refused.code in NO_PEERS:
            raise TooFewServersError(config["num_replicas"]) from refused
        raise


async def _apply_consumer(bus: Transport, consumer: Consumer, *, missing: bool) -> None:
    place = f"{consumer.stream}.{consumer.name}"
    config = consumer_config(consumer)
    if consumer.tunable and not missing:
        config = _tuned(consumer, (await bus.api(f"CONSUMER.INFO.{place}"))["config"])
    await bus.api(f"CONSUMER.CREATE.{place}", {"stream_name": consumer.stream, "config": config})


def _consumer_name(consumer: Consumer) -> str:
    return f"{consumer.stream}/{consumer.name}"
