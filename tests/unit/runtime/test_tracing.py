"""Spans: where they belong, what is passed on, and that exporting them is never in the way."""

from __future__ import annotations

import ast
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
import msgspec
import pytest
from anyio.to_thread import run_sync
from msgspec import Struct
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from actors.runtime import otlp
from actors.runtime.answering import Answering
from actors.runtime.contract import FrozenClock, GiveUp, TryLater
from actors.runtime.errors import BusUnavailableError
from actors.runtime.otlp import Exporting, readable
from actors.runtime.record import Recorded
from actors.runtime.spans import Finished, Recorder, read, root_of
from actors.runtime.tracing import UNTRACED, PassedOn, carried, current
from actors.runtime.wire import Outgoing, outgoing
from schemas.base import JobId, Module
from schemas.commands import StartJob, TopUp, TopUpWallet, Wake
from subjects.template import place
from subjects.topology import Consumer
from tests.architecture.tree import parsed, sources
from tests.architecture.tree import place as place_of
from tests.builders import JOB, USER, header, job_order, video_ingested
from tests.unit.runtime.fakes import Counting, MemoryLog, wake

PRODUCER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE, SPAN = PRODUCER.split("-")[1:3]
UNSAMPLED = PRODUCER[:-1] + "0"
CONSUMER = Consumer(stream="EVT", name="gallery", filters=("evt.>",), description="a test")
SOON_S = 15.0


class Delivered(Struct):
    """A message as a tracer sees it."""

    subject: str = "evt.approval.UserNotified.tnt_1.job_1"
    reply: str = "$JS.ACK.EVT.gallery.1.41.7.1700000000000000000.12"
    headers: dict[str, str] | None = None
    data: bytes = b""


class World:
    """A recorder, and what it recorded."""

    def __init__(self) -> None:
        self.spans: list[Finished] = []
        self.tracer = Recorder(clock=FrozenClock(), dice=random.Random(1), take=self.spans.append)

    def process(self, **message: Any) -> Finished:
        """Answer one message with nothing."""
        with self.tracer.processing(
            Delivered(**message), module=Module.GALLERY, consumer="gallery"
        ):
            pass
        return self.spans[-1]


def test_a_span_belongs_to_the_producer_of_its_message() -> None:
    """As its parent, so that a job is one tree, and as a link, as the conventions want it."""
    span = World().process(headers={"traceparent": PRODUCER, "tracestate": "a=1"})

    [shown] = [readable(span)]
    assert shown.parent is not None
    assert (f"{shown.parent.trace_id:032x}", f"{shown.parent.span_id:016x}") == (TRACE, SPAN)
    assert [each.context for each in shown.links] == [shown.parent]
    assert shown.kind is SpanKind.CONSUMER
    assert shown.context is not None
    assert shown.context.trace_id == shown.parent.trace_id
    assert shown.context.trace_state.get("a") == "1"


@pytest.mark.parametrize(
    "traceparent",
    ["", "hello", PRODUCER[:-3], PRODUCER.upper(), f"00-{'0' * 32}-{SPAN}-01", "00-a-b-01"],
)
def test_a_malformed_parent_begins_a_trace_of_its_own(traceparent: str) -> None:
    """Whatever a stranger writes there must not break the handling of a message."""
    span = World().process(headers={"traceparent": traceparent})

    assert span.parent is None
    assert not span.linked
    assert int(span.context.trace_id, 16)


def test_what_is_said_carries_the_span_of_what_is_answered() -> None:
    """Events, timers and saga records; afterwards nothing does."""
    world = World()
    delivered = Delivered(headers={"traceparent": PRODUCER, "tracestate": "a=1"})
    with world.tracer.processing(delivered, module=Module.GALLERY, consumer="gallery"):
        inside = outgoing(video_ingested())

    [span] = world.spans
    assert inside.headers["traceparent"] == f"00-{TRACE}-{span.context.span_id}-01"
    assert inside.headers["tracestate"] == "a=1"
    assert "traceparent" not in outgoing(video_ingested()).headers


async def test_messages_that_are_answered_at_once_keep_their_traces_apart() -> None:
    """One connection, one process, sixty-four jobs under way."""
    world = World()
    both = anyio.Event()
    found: dict[str, str] = {}

    async def answer(job: str) -> None:
        delivered = Delivered(
            headers={"traceparent": f"00-{root_of(JobId(job)).trace_id}-{SPAN}-01"}
        )
        with world.tracer.processing(delivered, module=Module.GALLERY, consumer="gallery"):
            found[job] = ""
            if len(found) == 2:
                both.set()
            await both.wait()
            found[job] = carried()["traceparent"].split("-")[1]

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer, "job_1")
        tasks.start_soon(answer, "job_2")

    assert found == {job: root_of(JobId(job)).trace_id for job in ("job_1", "job_2")}


def test_what_is_not_sampled_is_passed_on_and_not_recorded() -> None:
    """Whoever began the trace decided that."""
    world = World()
    delivered = Delivered(headers={"traceparent": UNSAMPLED})
    with world.tracer.processing(delivered, module=Module.GALLERY, consumer="gallery"):
        assert carried() == {"traceparent": UNSAMPLED}

    assert world.spans == []


def test_a_process_that_does_not_trace_passes_the_trace_on() -> None:
    """One process without a collector must not cut every job's trace in two."""
    delivered = Delivered(headers={"traceparent": PRODUCER, "Schema": "Wake"})
    with UNTRACED.processing(delivered, module=Module.GALLERY, consumer="gallery"):
        assert outgoing(video_ingested()).headers["traceparent"] == PRODUCER
    with UNTRACED.processing(Delivered(), module=Module.GALLERY, consumer="gallery"):
        assert carried() == {}


def test_an_order_is_the_root_that_its_job_is_found_by() -> None:
    """The trace id is made of the job id; what is no job has an id of its own."""
    world = World()
    start = StartJob(**header("evt_1"), payload=job_order())  # type: ignore[arg-type]
    top_up = TopUpWallet(
        **header("evt_2"),  # type: ignore[arg-type]
        payload=TopUp(topup_id="top_1", amount_microtokens=1, by=USER),
    )
    for said in (start, top_up):
        with world.tracer.sending(said, module=Module.GATEWAY):
            pass

    started, paid = world.spans
    assert (started.context, started.parent) == (root_of(JOB), None)
    assert paid.parent is None
    assert paid.context.trace_id != started.context.trace_id
    assert [each.kind for each in world.spans] == ["producer"] * 2


class _Bus:
    """Takes everything."""

    async def say(self, said: Any) -> None:
        """Take it."""

    async def publish(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        """Take it."""

    async def send(self, subject: str, data: bytes) -> None:
        """Take it."""


@pytest.mark.parametrize(
    ("error", "why", "verdict"),
    [
        (None, None, "done"),
        (TryLater("not now"), None, "later"),
        (GiveUp("never"), "gave_up: never", "buried"),
        (ValueError("odd"), "ValueError: odd", "later"),
    ],
)
async def test_a_span_says_how_its_message_ended(
    error: Exception | None, why: str | None, verdict: str
) -> None:
    """To be put off is no failure; to be buried, or a bug, is."""

    async def receive(_: Any) -> Sequence[Any]:
        if error:
            raise error
        return []

    world = World()
    await _answer(world, receive, msgspec.json.encode(wake("evt_1")))

    [span] = world.spans
    assert (span.error, span.attributes["nats.verdict"]) == (why, verdict)
    assert span.attributes["messaging.message.id"] == "evt_1"


async def test_poison_has_the_job_that_its_subject_names() -> None:
    """It is not known from the body, and still belongs to somebody."""

    async def receive(_: Any) -> Sequence[Any]:
        return []

    world = World()
    await _answer(world, receive, b"garbage")

    [span] = world.spans
    assert span.error is not None
    assert span.error.startswith("poison: ")
    assert span.attributes["effectmesh.job.id"] == "job_1"
    assert "messaging.message.id" not in span.attributes


async def _answer(
    world: World, receive: Callable[[Any], Awaitable[Sequence[Any]]], body: bytes
) -> None:
    answering = Answering(
        bus=_Bus(),  # type: ignore[arg-type]
        module=Module.GALLERY,
        decoder=msgspec.json.Decoder(Wake),
        receive=receive,
        dice=random.Random(1),
        tracer=world.tracer,
    )
    message: Any = Delivered(subject="due.gallery.tnt_1.job_1.deadline", data=body)
    answering.begin(message)
    await answering.answer(message, CONSUMER)


async def test_words_that_a_saga_says_again_keep_the_trace_they_were_first_said_in() -> None:
    """They are the old message's answer, though a new message brings them back."""
    log = MemoryLog()
    said: list[Outgoing] = []

    async def fails(_: Sequence[Outgoing]) -> None:
        raise BusUnavailableError("prog", after_s=1)

    async def says(orders: Sequence[Outgoing]) -> None:
        said.extend(orders)

    with PassedOn({"traceparent": PRODUCER}), pytest.raises(BusUnavailableError):
        await Recorded(saga=Counting(), log=log, say=fails).receive(wake("evt_1"))
    other = PRODUCER.replace(TRACE, "1" * 32)
    with PassedOn({"traceparent": other}):
        await Recorded(saga=Counting(), log=log, say=says).receive(wake("evt_2"))

    assert [each.headers["traceparent"] for each in said] == [PRODUCER, other]


@pytest.mark.parametrize(
    ("subject", "template", "job"),
    [
        (
            "cmd.orchestrator.StartJob.tnt_1.job_1",
            "cmd.orchestrator.StartJob.{tenant}.{job}",
            "job_1",
        ),
        ("cmd.exec.standard.fx-warm-grade-v1", "cmd.exec.standard.fx-warm-grade-v1", ""),
        ("due.approval.tnt_1.job_1.reminder", "due.approval.{tenant}.{job}.{name}", "job_1"),
        ("saga.job_1", "saga.{key}", ""),
        ("$KV.CONTROL.cancel.job_1", "$KV.>", ""),
        ("evt.job_1", "evt.>", ""),
    ],
)
def test_a_pattern_names_no_job(subject: str, template: str, job: str) -> None:
    """A name for each job would be as many names as jobs, and no dashboard survives that."""
    assert (place(subject).template, place(subject).job) == (template, job)


class _Stuck(SpanExporter):
    """A collector that does not answer before it is told to."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()
        self.taken: list[str] = []
        self.closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take a batch, late."""
        self.asked.set()
        self.go_on.wait(SOON_S)
        self.taken += [each.name for each in spans]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Note it."""
        self.closed = True


class _Broken(SpanExporter):
    """A collector that is never right."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Fail."""
        self.asked.release()
        raise OSError("no")

    def shutdown(self) -> None:
        """Do nothing."""


async def test_a_full_queue_drops_spans_and_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector hangs; the work does not."""
    monkeypatch.setattr(otlp, "QUEUED", 4)
    monkeypatch.setattr(otlp, "BATCH", 2)
    stuck = _Stuck()
    spans = Exporting(exporter=stuck, where="here")
    span = World().process()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spans.run)
        for _ in range(2):
            spans.take(span)
        await run_sync(stuck.asked.wait, SOON_S)
        for _ in range(7):
            spans.take(span)
        assert spans.dropped == 3
        stuck.go_on.set()
        tasks.cancel_scope.cancel()

    assert len(stuck.taken) == spans.exported == 6
    assert stuck.closed


async def test_an_exporter_that_raises_is_counted_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its errors reach nobody, and it is said once that spans are lost."""
    monkeypatch.setattr(otlp, "BATCH", 1)
    broken = _Broken()
    spans = Exporting(exporter=broken, where="http://nobody/v1/traces")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spans.run)
        for _ in range(2):
            spans.take(World().process())
            await run_sync(broken.asked.acquire)
        tasks.cancel_scope.cancel()

    assert spans.failed == 2
    said = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert said == ["http://nobody/v1/traces does not take spans; work goes on without"]


async def test_a_process_that_ends_exports_its_last_spans() -> None:
    """The last moment of a process is the one somebody will want to see."""
    memory = InMemorySpanExporter()
    spans = Exporting(exporter=memory, where="here")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spans.run)
        await anyio.lowlevel.checkpoint()
        spans.take(World().process())
        tasks.cancel_scope.cancel()

    [span] = memory.get_finished_spans()
    assert span.resource.attributes["service.name"] == "gallery"


async def test_an_export_that_is_under_way_ends_before_the_exporter_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Closing ends the tries of an exporter, and the batch would be lost."""
    monkeypatch.setattr(otlp, "BATCH", 1)
    stuck = _Stuck()
    spans = Exporting(exporter=stuck, where="here")
    ending = anyio.CancelScope()

    async def run() -> None:
        with ending:
            await spans.run()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        spans.take(World().process())
        await run_sync(stuck.asked.wait, SOON_S)
        ending.cancel()
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert not stuck.closed
        stuck.go_on.set()

    assert stuck.closed
    assert spans.exported == 1


async def test_a_batch_whose_export_never_began_is_exported_at_the_end() -> None:
    """A process that ends at that moment would take it to the grave."""
    memory = InMemorySpanExporter()
    spans = Exporting(exporter=memory, where="here")
    spans.take(World().process())
    with anyio.CancelScope() as ending:
        ending.cancel()
        await spans._empty()

    with anyio.CancelScope() as ending:
        ending.cancel()
        await spans.run()

    assert spans.exported == len(memory.get_finished_spans()) == 1


async def test_the_last_spans_have_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector that hangs must not hold up the end of a process."""
    monkeypatch.setattr(otlp, "FLUSH_S", 0.01)
    stuck = _Stuck()
    spans = Exporting(exporter=stuck, where="here")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(spans.run)
        await anyio.lowlevel.checkpoint()
        spans.take(World().process())
        tasks.cancel_scope.cancel()

    assert stuck.closed
    assert stuck.taken == []
    stuck.go_on.set()


def test_a_span_that_is_left_by_an_error_says_so() -> None:
    """A handler that is cut off by the end of its process, for instance."""
    world = World()
    with (
        pytest.raises(RuntimeError),
        world.tracer.processing(Delivered(), module=Module.GALLERY, consumer="gallery"),
    ):
        raise RuntimeError("cut off")

    assert world.spans[0].error == "RuntimeError: cut off"
    assert current().headers == {}


def test_headers_are_read_as_they_are_written() -> None:
    """W3C's form, flags and all."""
    found = read({"traceparent": PRODUCER})

    assert found is not None
    assert (found.trace_id, found.span_id, found.sampled) == (TRACE, SPAN, True)


def test_only_a_process_with_a_collector_loads_the_sdk() -> None:
    """It is large, and ten actors in one process are to weigh little more than one."""
    loading = [
        place_of(path, node)
        for path in sources()
        if path.name != "otlp.py"
        for node in parsed(path).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        and ("opentelemetry" in ast.unparse(node) or "runtime.otlp" in ast.unparse(node))
    ]

    assert loading == []
