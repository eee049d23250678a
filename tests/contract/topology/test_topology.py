"""The declaration of the topology: consistent in itself, and the same as ``nats/*.json``."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from msgspec import structs

from actors.provider_registry.shipped import shipped
from effectmesh.cli.broker import documents
from effectmesh.prepare import topology_for
from schemas.base import Command, Event, Message, Module
from schemas.commands import RunAttempt, Wake
from schemas.lanes import LANES
from schemas.progress import JobProgressed
from schemas.telemetry import TelemetryPacket
from subjects import build
from subjects.topology import (
    ACK_WAIT_S,
    BUCKETS,
    CMD,
    DLQ,
    EVT,
    HEARS,
    LOG,
    MAX_DELIVER,
    OBEYS,
    PROGRESS,
    SAGA,
    STREAMS,
    TIMER,
    TLM,
    WAKES,
    Consumer,
    Stream,
    gpu_consumers,
    topology,
)
from tests.builders import header, video_ingested
from tests.contract.messages.examples import kinds, read

GENERATED = ("streams", "buckets", "consumers")
"""The folders below ``nats/`` that ``effectmesh topology write`` owns."""
NATS = Path(__file__).parents[3] / "nats"
DECLARED = topology_for(shipped())


def test_the_files_below_nats_are_the_declaration() -> None:
    """Whoever sets up a broker with the files gets what the actors check for."""
    wanted = documents(DECLARED)

    found = {
        f"{folder}/{path.name}": path.read_text(encoding="utf-8")
        for folder in GENERATED
        for path in (NATS / folder).glob("*")
    }
    assert sorted(found) == sorted(wanted), "run: effectmesh topology write"
    assert [path for path in wanted if found[path] != wanted[path]] == []


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_message_is_stored_by_exactly_one_stream(kind: type[Message]) -> None:
    """By none, and it is lost; by two, and it is worked on twice."""
    subject = _subject_of(kind)

    keeping = [stream.name for stream in STREAMS if _any_matches(stream.subjects, subject)]

    assert keeping == [_home_of(kind)]


@pytest.mark.parametrize(
    ("subject", "stream"),
    [
        (build.saga("job_1"), SAGA),
        (build.timer("job_1", "deadline"), TIMER),
        (build.due(Module.APPROVAL, "tnt_1", "job_1", "deadline"), TIMER),
        (build.dead_letter(Module.APPROVAL), DLQ),
        (build.log("business", Module.APPROVAL, "WARN"), LOG),
    ],
)
def test_everything_else_is_stored_by_exactly_one_stream(subject: str, stream: str) -> None:
    """The server would refuse overlapping streams; nothing would refuse a missing one."""
    assert [each.name for each in STREAMS if _any_matches(each.subjects, subject)] == [stream]


def test_no_two_streams_claim_one_subject() -> None:
    """The server refuses the second, and half of the topology is missing."""
    claims = [(stream.name, each) for stream in STREAMS for each in stream.subjects]
    claims += [(f"KV_{each.name}", build.entries(each.name)) for each in BUCKETS]

    clashes = [pair for pair in itertools.combinations(claims, 2) if _meet(pair[0][1], pair[1][1])]

    assert clashes == []


@pytest.mark.parametrize("stream", [each.name for each in STREAMS if each.retention == "workqueue"])
def test_consumers_of_a_work_queue_do_not_overlap(stream: str) -> None:
    """The server refuses them (10100); each command is for one consumer."""
    filters = [
        (each.name, one)
        for each in DECLARED.consumers
        if each.stream == stream
        for one in each.filters
    ]

    clashes = [
        (a, b) for a, b in itertools.combinations(filters, 2) if _meet(a[1], b[1]) and a[0] != b[0]
    ]

    assert len(filters) > 1
    assert clashes == []


@pytest.mark.parametrize(
    "consumer", DECLARED.consumers, ids=lambda each: f"{each.stream}.{each.name}"
)
def test_the_filters_of_one_consumer_do_not_overlap(consumer: Consumer) -> None:
    """The server refuses them (10138)."""
    pairs = itertools.combinations(consumer.filters, 2)

    assert [pair for pair in pairs if _meet(*pair)] == []


@pytest.mark.parametrize(
    "consumer", DECLARED.consumers, ids=lambda each: f"{each.stream}.{each.name}"
)
def test_a_consumer_filters_what_its_stream_stores(consumer: Consumer) -> None:
    """A filter beside the stream's subjects never delivers anything."""
    [stream] = [each for each in STREAMS if each.name == consumer.stream]

    beside = [one for one in consumer.filters if not any(_meet(one, s) for s in stream.subjects)]

    assert beside == []


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        (module, kind)
        for heard in (HEARS, OBEYS)
        for module, kinds_ in heard.items()
        for kind in kinds_
    ],
    ids=lambda each: getattr(each, "__name__", str(each)),
)
def test_what_a_module_hears_reaches_its_consumer(module: Module, kind: type[Message]) -> None:
    """``HEARS`` and ``OBEYS`` are what the decoder accepts; the filter must deliver just that."""
    subject = _subject_of(kind)

    reached = [
        each.name
        for each in DECLARED.consumers
        if each.stream in (EVT, CMD) and _any_matches(each.filters, subject)
    ]

    assert module in reached


def test_no_module_is_delivered_a_fact_it_does_not_hear() -> None:
    """It would be poison there, and a dead letter."""
    strays = [
        (consumer.name, kind.__name__)
        for consumer in DECLARED.consumers
        if consumer.stream == EVT
        for kind in build.OWNER
        if _any_matches(consumer.filters, _subject_of(kind))
        and kind not in HEARS[Module(consumer.name)]
    ]

    assert strays == []


def test_every_command_is_obeyed() -> None:
    """A command without a consumer stays in the work queue until it is a week old."""
    obeyed = {kind for kinds_ in OBEYS.values() for kind in kinds_}

    assert obeyed == set(build.ADDRESSEE)
    assert all(kind in OBEYS[module] for kind, module in build.ADDRESSEE.items())


@pytest.mark.parametrize("module", WAKES)
def test_a_timer_reaches_the_module_that_set_it(module: Module) -> None:
    """And no other."""
    subject = build.due(module, "tnt_1", "job_1", "deadline")

    reached = [
        each.name
        for each in DECLARED.consumers
        if each.stream == TIMER and _any_matches(each.filters, subject)
    ]

    assert reached == [module]


def test_a_timer_s_own_subject_reaches_nobody() -> None:
    """Only when it is due; the schedule itself is not work."""
    subject = build.timer("job_1", "deadline")

    assert not any(_any_matches(each.filters, subject) for each in DECLARED.consumers)


def test_a_disabled_provider_has_no_consumer() -> None:
    """Its renders would wait for an agent that never pulls."""
    records = shipped()
    served = next(each for each in records if each.status == "active")
    others = [each for each in records if each is not served]

    declared = topology_for([structs.replace(served, status="disabled"), *others])

    assert len(declared.consumers) == len(topology_for([served, *others]).consumers) - len(LANES)
    assert not [each for each in declared.consumers if each.name.endswith(served.provider_id)]


def test_every_provider_has_a_consumer_in_each_lane_and_none_elsewhere() -> None:
    """A render in a lane that nobody looks into waits for its deadline."""
    providers = [each.provider_id for each in shipped() if each.status != "disabled"]

    rendering = {each.name for each in DECLARED.consumers if each.name.startswith("exec-")}
    assert rendering == {each.name for one in providers for each in gpu_consumers(one)}
    assert [each.filters for each in gpu_consumers("fx-a")] == [
        ("cmd.exec.interactive.fx-a",),
        ("cmd.exec.batch.fx-a",),
    ]


def test_a_provider_that_is_named_twice_has_one_consumer() -> None:
    """Two revisions of a provider share one queue."""
    once = topology([("standard", "fx-a")])

    assert topology([("standard", "fx-a"), ("standard", "fx-a")]) == once


@pytest.mark.parametrize("stream", STREAMS, ids=lambda each: each.name)
def test_a_stream_remembers_ids_longer_than_redeliveries_take(stream: Stream) -> None:
    """After the window the answer to a redelivery would be stored a second time."""
    assert stream.duplicate_window_s > ACK_WAIT_S * MAX_DELIVER


@pytest.mark.parametrize(
    "bad", ["", "a.b", "a b", "*", ">", "a\n", "ä", "tab\t", "x" * 129, "$JS", "a\x00"]
)
def test_a_token_that_nats_would_read_as_structure_is_refused(bad: str) -> None:
    """An id with a dot would land in another tenant's subjects, one with ``>`` in everybody's."""
    calls = (
        lambda: build.saga(bad),
        lambda: build.timer("job_1", bad),
        lambda: build.timer(bad, "deadline"),
        lambda: build.due(Module.APPROVAL, bad, "job_1", "deadline"),
        lambda: build.progress(bad, "job_1"),
        lambda: build.progress_of_tenant(bad),
        lambda: build.facts_about(bad),
        lambda: build.gpu_work("standard", bad),
        lambda: build.log(bad, "approval", "WARN"),
        lambda: build.entry(bad, "manifest"),
        lambda: build.entries(bad),
        lambda: build.subject_of(_of_tenant(bad)),
    )

    for call in calls:
        with pytest.raises(build.InvalidTokenError) as refused:
            call()
        assert refused.value.token == bad or refused.value.token in bad


def test_a_key_of_a_bucket_may_have_dots_but_no_empty_part() -> None:
    """``override.fx-a`` is one key; ``override.`` would be a subject the server refuses."""
    subject = build.entry("ROUTING", "override.fx-a")

    assert subject == "$KV.ROUTING.override.fx-a"
    assert build.entry_key("ROUTING", subject) == "override.fx-a"
    for bad in ("override.", ".a", "a..b", "a.*"):
        with pytest.raises(build.InvalidTokenError):
            build.entry("ROUTING", bad)


def test_a_message_nobody_declared_has_no_subject() -> None:
    """It fails where it is said, not silently on the bus."""

    class Unheard(Event, frozen=True, kw_only=True):
        """Declared nowhere."""

    class Unobeyed(Command, frozen=True, kw_only=True):
        """Declared nowhere."""

    for kind in (Unheard, Unobeyed, Message):
        with pytest.raises(build.UnroutedMessageError):
            build.subject_of(kind(**header("evt_1")))  # type: ignore[arg-type]
    with pytest.raises(build.UnroutedMessageError):
        build.ask(Unheard)


def _subject_of(kind: type[Message]) -> str:
    if kind is Wake:
        return build.due(Module.ORCHESTRATOR, "tnt_1", "job_1", "deadline")
    return build.subject_of(read(kind))


def _of_tenant(tenant: str) -> Message:
    return structs.replace(video_ingested(), tenant_id=tenant)


def _home_of(kind: type[Message]) -> str:
    special = {Wake: TIMER, JobProgressed: PROGRESS, TelemetryPacket: TLM, RunAttempt: CMD}
    return special.get(kind) or (EVT if issubclass(kind, Event) else CMD)


def _any_matches(filters: tuple[str, ...], subject: str) -> bool:
    return any(_meet(each, subject) for each in filters)


def _meet(first: str, second: str) -> bool:
    """Tell whether some subject matches both filters."""
    pairs = itertools.zip_longest(first.split("."), second.split("."))
    for a, b in pairs:
        if a is None or b is None:
            return False
        if ">" in (a, b):
            return True
        if a != b and "*" not in (a, b):
            return False
    return True
