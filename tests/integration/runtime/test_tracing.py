"""One trace a job: over several connections, with the spans where a collector expects them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import msgspec
import pytest
from anyio.to_thread import run_sync
from msgspec import structs

from actors.runtime import answering
from actors.runtime.answers import serve_answers
from actors.runtime.bus import Bus, connected
from actors.runtime.contract import GiveUp, Later, SystemClock
from actors.runtime.follow import follow
from actors.runtime.otlp import exporting
from actors.runtime.spans import root_of
from actors.runtime.tracing import Tracer
from actors.runtime.worker import Worker
from effectmesh.processes.bus_for_gateway import GatewayBus
from schemas.asks import FindJob, JobFound
from schemas.base import JobId, Module
from schemas.commands import DecideApproval, DecisionOrder, StartJob, Wake
from schemas.events import Notice, UserNotified, VideoIngested
from subjects import build
from subjects.topology import CMD, DLQ, EVT, TIMER, Consumer
from tests.builders import JOB, NOON, TENANT, USER, header, job_order, video_ingested
from tests.integration.runtime.collector import Collector, Got, collecting
from tests.integration.runtime.world import Seen, apply, consumer, working

ORDERED = consumer(
    Module.ORCHESTRATOR, stream=CMD, filters=(build.commands_for(Module.ORCHESTRATOR),)
)
DECIDED = consumer(Module.APPROVAL, stream=CMD, filters=(build.commands_for(Module.APPROVAL),))
INGESTED = consumer(Module.CONTENT_ANALYSIS, filters=(build.facts_of(VideoIngested),))
NOTIFIED = consumer(Module.GALLERY, filters=(build.facts_of(UserNotified),))
WOKEN = consumer(Module.APPROVAL, stream=TIMER, filters=(build.due_for(Module.APPROVAL),))
Receive = Callable[[Any], Awaitable[Sequence[Any]]]


class Place:
    """A process: a connection and a tracer of its own, and workers on them."""

    def __init__(self, bus: Bus, tracer: Tracer) -> None:
        self.bus = bus
        self.tracer = tracer

    def worker(self, of: Consumer, kind: Any, receive: Receive) -> Worker:
        """Return a worker that is not running yet."""
        return Worker(
            bus=self.bus,
            module=Module(of.name),
            consumer=of,
            decoder=msgspec.json.Decoder(kind),
            receive=receive,
            concurrency=4,
            dice=random.Random(1),
            tracer=self.tracer,
        )

    def gateway(self) -> GatewayBus:
        """Return what the HTTP handlers publish through."""
        copies: Any = None
        return GatewayBus(bus=self.bus, routing=copies, registry=copies, tracer=self.tracer)


@pytest.fixture
def collector() -> Any:
    """Return a collector that listens."""
    with collecting() as opened:
        yield opened


@asynccontextmanager
async def places(url: str, collector: Collector, count: int) -> AsyncIterator[list[Place]]:
    """Yield so many processes; when the block is left, all their spans have been exported."""
    async with AsyncExitStack() as opened:
        yield [
            Place(
                await opened.enter_async_context(connected(url, name=f"place {n}")),
                await opened.enter_async_context(exporting(collector.url, clock=SystemClock())),
            )
            for n in range(count)
        ]


def start_job() -> StartJob:
    """Return a user's order."""
    return StartJob(**header("evt_start"), payload=job_order())  # type: ignore[arg-type]


def decide() -> DecideApproval:
    """Return an admin's decision about that order."""
    decision = DecisionOrder(approve=True, decided_by=USER)
    return DecideApproval(**header("evt_decide"), payload=decision)  # type: ignore[arg-type]


async def ingest(heard: StartJob) -> Sequence[Any]:
    """Answer an order with a video."""
    made = follow(heard, VideoIngested, at=NOON)
    return [structs.replace(video_ingested(), **made)]


async def notify(heard: VideoIngested) -> Sequence[Any]:
    """Answer a video with a notice."""
    notice = Notice(kind="rejected", channel="app", user_id=USER, subject="it is done", body="")
    return [UserNotified(**follow(heard, UserNotified, at=NOON), payload=notice)]


def ending(seen: Seen[str]) -> Receive:
    """Return an actor that says nothing and is watched."""

    async def receive(heard: Any) -> Sequence[Any]:
        seen.add(heard.event_id)
        return []

    return receive


def named(spans: Sequence[Got], name: str) -> Got:
    """Return the only span of a name."""
    [found] = [each for each in spans if each.name == name]
    return found


def check_tree(spans: Sequence[Got]) -> Got:
    """Return the root; there is one, and every other span's parent was recorded."""
    known = {each.span_id for each in spans}
    [root] = [each for each in spans if not each.parent_id]
    assert len(known) == len(spans)
    assert {each.trace_id for each in spans} == {root.trace_id}
    assert [each.name for each in spans if each.parent_id and each.parent_id not in known] == []
    return root


async def test_three_hops_over_two_processes_are_one_tree(
    bus: Bus, broker_url: str, collector: Collector
) -> None:
    """A gap, and nobody could say where a job lost its time."""
    await apply(bus, ORDERED, INGESTED, NOTIFIED, streams=[CMD, EVT, DLQ])
    seen: Seen[str] = Seen()
    async with (
        places(broker_url, collector, 2) as (one, other),
        working(
            one.worker(ORDERED, StartJob, ingest),
            other.worker(INGESTED, VideoIngested, notify),
            one.worker(NOTIFIED, UserNotified, ending(seen)),
        ),
    ):
        await other.gateway().publish(start_job())
        await seen.until(1)
    spans = await run_sync(collector.until, 4)

    root = check_tree(spans)
    first = named(spans, "process cmd.orchestrator.StartJob.{tenant}.{job}")
    second = named(spans, "process evt.video_intake.VideoIngested.{tenant}.{job}")
    third = named(spans, "process evt.approval.UserNotified.{tenant}.{job}")
    assert root.name == "send cmd.orchestrator.StartJob.{tenant}.{job}"
    assert [each.parent_id for each in (first, second, third)] == [
        root.span_id,
        first.span_id,
        second.span_id,
    ]
    assert [each.links for each in (root, first, second, third)] == [
        (),
        ((root.trace_id, root.span_id),),
        ((root.trace_id, first.span_id),),
        ((root.trace_id, second.span_id),),
    ]
    assert [each.service for each in (root, first, second, third)] == [
        Module.GATEWAY,
        Module.ORCHESTRATOR,
        Module.CONTENT_ANALYSIS,
        Module.GALLERY,
    ]
    assert second.attributes == {
        "messaging.system": "nats",
        "messaging.operation.type": "process",
        "messaging.destination.name": "evt.video_intake.VideoIngested.{tenant}.{job}",
        "messaging.consumer.group.name": "content_analysis",
        "messaging.message.id": follow(start_job(), VideoIngested, at=NOON)["event_id"],
        "nats.stream": EVT,
        "nats.sequence": 1,
        "nats.delivery_attempt": 1,
        "nats.verdict": "done",
        "effectmesh.job.id": JOB,
        "effectmesh.tenant.id": TENANT,
    }
    assert not any(each.failed for each in spans)


async def test_a_decision_that_comes_later_joins_the_job_s_tree(
    bus: Bus, broker_url: str, collector: Collector
) -> None:
    """It may come after days, by another gateway, which knows nothing but the job's id."""
    await apply(bus, ORDERED, DECIDED, streams=[CMD])
    seen: Seen[str] = Seen()
    async with (
        places(broker_url, collector, 2) as (one, other),
        working(
            one.worker(ORDERED, StartJob, ending(seen)),
            one.worker(DECIDED, DecideApproval, ending(seen)),
        ),
    ):
        await one.gateway().publish(start_job())
        await other.gateway().publish(decide())
        await seen.until(2)
    spans = await run_sync(collector.until, 4)

    root = check_tree(spans)
    sent = named(spans, "send cmd.approval.DecideApproval.{tenant}.{job}")
    assert (root.trace_id, root.span_id) == root_of(JobId(JOB))[:2]
    assert sent.parent_id == root.span_id
    assert named(spans, sent.name.replace("send", "process")).parent_id == sent.span_id


async def test_a_redelivery_is_a_span_of_its_own(
    bus: Bus, broker_url: str, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both tries belong to the producer, and the failed one says why."""
    monkeypatch.setattr(answering, "NAK_BASE_S", 0.001)
    monkeypatch.setattr(answering, "NAK_CAP_S", 0.002)
    await apply(bus, INGESTED)
    seen: Seen[str] = Seen()

    async def stumble(heard: Any) -> Sequence[Any]:
        seen.add(heard.event_id)
        if len(seen.items) == 1:
            raise ValueError("odd")
        return []

    async with (
        places(broker_url, collector, 1) as [one],
        working(one.worker(INGESTED, VideoIngested, stumble)),
    ):
        with one.tracer.sending(start_job(), module=Module.GATEWAY):
            await one.bus.say([video_ingested()])
        await seen.until(2)
    spans = await run_sync(collector.until, 3)

    root = check_tree(spans)
    tries = [each for each in spans if each is not root]
    assert [each.attributes["nats.delivery_attempt"] for each in tries] == [1, 2]
    assert [each.parent_id for each in tries] == [root.span_id] * 2
    assert [(each.failed, each.why) for each in tries] == [(True, "ValueError: odd"), (False, "")]
    assert [each.attributes["nats.verdict"] for each in tries] == ["later", "done"]


async def test_a_dead_letter_is_a_failed_span_and_carries_it(
    bus: Bus, broker_url: str, collector: Collector
) -> None:
    """Whoever reads the letter finds the trace, and whoever reads the trace the failure."""
    await apply(bus, INGESTED)
    buried: Seen[dict[str, str]] = Seen()

    async def refuse(_: Any) -> Sequence[Any]:
        raise GiveUp("never")

    async def look(message: Any) -> None:
        buried.add(message.headers)

    async with (
        places(broker_url, collector, 1) as [one],
        bus.subscribed(build.dead_letter(Module.CONTENT_ANALYSIS), look),
    ):
        await bus.barrier()
        async with working(one.worker(INGESTED, VideoIngested, refuse)):
            await bus.say([video_ingested()])
            await buried.until(1)
    [span] = await run_sync(collector.until, 1)

    assert (span.failed, span.why) == (True, "gave_up: never")
    assert span.attributes["nats.verdict"] == "buried"
    assert buried.items[0]["traceparent"] == f"00-{span.trace_id}-{span.span_id}-01"


async def test_a_timer_goes_on_with_the_trace_it_was_set_in(
    bus: Bus, broker_url: str, collector: Collector
) -> None:
    """The broker keeps it for hours; the job is the same."""
    await apply(bus, INGESTED, WOKEN, streams=[EVT, TIMER, DLQ])
    seen: Seen[str] = Seen()

    async def wait(heard: VideoIngested) -> Sequence[Any]:
        wake = Wake(**follow(heard, Wake, at=NOON), purpose="deadline")
        at = datetime.now(UTC) + timedelta(milliseconds=200)
        name = "deadline"
        return [Later(key=JOB, name=name, module=Module.APPROVAL, at=at, message=wake)]

    async with (
        places(broker_url, collector, 1) as [one],
        working(one.worker(INGESTED, VideoIngested, wait), one.worker(WOKEN, Wake, ending(seen))),
    ):
        await bus.say([video_ingested()])
        await seen.until(1)
    spans = await run_sync(collector.until, 2)

    root = check_tree(spans)
    woken = named(spans, "process due.approval.{tenant}.{job}.{name}")
    assert woken.parent_id == root.span_id


async def test_a_question_in_the_course_of_a_job_is_part_of_it(
    bus: Bus, broker_url: str, collector: Collector
) -> None:
    """What an actor waits for is seen; what a page asks on its own makes no trace."""
    await apply(bus, INGESTED)
    seen: Seen[str] = Seen()

    class _Jobs:
        async def answer(self, question: Any) -> Any:
            seen.add(question.job_id)
            return JobFound()

    async with places(broker_url, collector, 2) as (one, other):

        async def ask(heard: VideoIngested) -> Sequence[Any]:
            await one.bus.ask(FindJob(tenant_id=TENANT, job_id=heard.correlation_id), JobFound)
            return []

        serve = partial(
            serve_answers,
            bus=other.bus,
            module=Module.ORCHESTRATOR,
            answerers={FindJob: _Jobs()},
            tracer=other.tracer,
        )
        async with anyio.create_task_group() as serving:
            serving.start_soon(serve)
            await _answered(bus)
            async with working(one.worker(INGESTED, VideoIngested, ask)):
                await bus.say([video_ingested()])
                await seen.when(lambda asked: JOB in asked)
            serving.cancel_scope.cancel()
    spans = await run_sync(collector.until, 2)

    root = check_tree(spans)
    assert len(spans) == 2
    assert named(spans, "process ask.orchestrator.FindJob").parent_id == root.span_id


async def test_a_collector_that_refuses_holds_up_nobody(
    bus: Bus, broker_url: str, collector: Collector
) -> None:
    """Jobs pay the bills, traces do not."""
    await apply(bus, INGESTED)
    collector.refuses = True
    seen: Seen[str] = Seen()
    async with (
        places(broker_url, collector, 1) as [one],
        working(one.worker(INGESTED, VideoIngested, ending(seen))),
    ):
        await bus.say([video_ingested("evt_1")])
        await run_sync(collector.until_asked)
        await bus.say([video_ingested("evt_2")])
        await seen.until(2)

    assert seen.items == ["evt_1", "evt_2"]
    assert collector.spans == []


async def _answered(bus: Bus) -> None:
    """Return once somebody answers; a question outside of a job, so it leaves no span."""
    with anyio.fail_after(15):
        while True:
            try:
                await bus.ask(FindJob(tenant_id=TENANT, job_id=JobId("job_none")), JobFound)
            except Exception:
                await anyio.lowlevel.checkpoint()
            else:
                return
