"""Every module answers ``$SRV`` as the client library's own services do."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
import pytest
from msgspec import Struct
from nats import micro as theirs
from nats.aio.msg import Msg
from nats.micro.request import Request
from nats.micro.service import (
    NAME_REGEX,
    SEMVER_REGEX,
    SUBJECT_REGEX,
    Service,
    ServiceInfo,
    ServicePing,
    ServiceStats,
)

from actors.runtime.bus import Bus, connected
from actors.runtime.contract import GiveUp, TryLater
from actors.runtime.errors import AskError
from actors.runtime.host import Hosted, run_hosted
from actors.runtime.micro import About, Stats, everybody
from schemas.asks import JobFound, ListJobs
from schemas.base import Module, TenantId
from schemas.events import VideoIngested
from subjects.build import ask
from tests.integration.runtime.world import (
    SOON_S,
    Seen,
    apply,
    consumer,
    declared,
    fact,
    settled,
)

HEARD = consumer(Module.CONTENT_ANALYSIS, filters=("evt.video_intake.>",))
ABOUT = About(version="1.2.3", started=datetime(2026, 3, 1, tzinfo=UTC), instance="proc1")
QUESTION = ListJobs(tenant_id=TenantId("tnt_1"))
ID = "proc1-content_analysis"


class _Actor:
    """Hears facts and answers questions; refuses what it is told to."""

    def __init__(self) -> None:
        self.heard: Seen[str] = Seen()
        self.refuse: dict[str, Exception] = {}
        self.held = anyio.Event()
        self.held.set()

    async def receive(self, heard: VideoIngested) -> Sequence[Any]:
        """Take down, or refuse."""
        self.heard.add(heard.event_id)
        await self.held.wait()
        if refusal := self.refuse.pop(heard.event_id, None):
            raise refusal
        return []

    async def answer(self, question: Struct) -> Struct:
        """Answer nothing in particular."""
        if refusal := self.refuse.pop("question", None):
            raise refusal
        return JobFound()


@pytest.fixture
def actor() -> _Actor:
    """Return an actor that refuses nothing."""
    return _Actor()


@asynccontextmanager
async def hosting(bus: Bus, actor: _Actor) -> AsyncIterator[None]:
    """Run the actor as one module, and return once it answers."""
    await apply(bus, HEARD)
    hosted = Hosted(
        module=Module.CONTENT_ANALYSIS, receive=actor.receive, answerers={ListJobs: actor}
    )
    stopping = anyio.Event()
    with anyio.fail_after(4 * SOON_S):
        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                await run_hosted(
                    bus=bus,
                    hosted=[hosted],
                    declared=declared(HEARD),
                    dice=random.Random(1),
                    stopping=stopping,
                    about=ABOUT,
                )

            tasks.start_soon(run)
            await _there(bus)
            yield
            stopping.set()


async def test_it_looks_like_a_service_of_the_client_library(
    bus: Bus, broker_url: str, actor: _Actor
) -> None:
    """``nats micro`` and every dashboard are written for those."""
    async with (
        hosting(bus, actor),
        connected(broker_url, name="theirs") as other,
        await theirs.add_service(other._client, name="peer", version="1.0.0") as peer,
    ):
        await peer.add_endpoint(name="echo", subject="echo", handler=_echo)
        for verb in ("PING", "INFO", "STATS"):
            found = {each["name"]: each for each in await _collect(bus, f"$SRV.{verb}", 2)}
            ours, reference = found[Module.CONTENT_ANALYSIS], found["peer"]

            assert ours.keys() == reference.keys()
            assert ours["type"] == reference["type"]
            for endpoint in ours.get("endpoints", ()):
                assert endpoint.keys() == reference["endpoints"][0].keys()


async def test_the_client_library_reads_it(bus: Bus, actor: _Actor) -> None:
    """Its names follow the protocol's rules too."""
    async with hosting(bus, actor):
        [ping] = await _collect(bus, "$SRV.PING", 1)
        [info] = await _collect(bus, "$SRV.INFO", 1)
        [stats] = await _collect(bus, "$SRV.STATS", 1)

    assert ServicePing.from_dict(ping).id == ID
    read = ServiceInfo.from_dict(info)
    assert {each.name for each in read.endpoints} == {"EVT", "ListJobs"}
    assert all(NAME_REGEX.match(each.name) for each in read.endpoints)
    assert all(SUBJECT_REGEX.match(each.subject) for each in read.endpoints)
    assert SEMVER_REGEX.match(read.version)
    assert ServiceStats.from_dict(stats).started == datetime(2026, 3, 1)  # noqa: DTZ001  theirs


@pytest.mark.parametrize("tail", ["", ".content_analysis", f".content_analysis.{ID}"])
async def test_it_answers_everybody_its_name_and_its_id(bus: Bus, actor: _Actor, tail: str) -> None:
    """One of many processes can be asked alone."""
    async with hosting(bus, actor):
        for verb in ("PING", "INFO", "STATS"):
            [found] = await _collect(bus, f"$SRV.{verb}{tail}", 1)
            assert (found["name"], found["id"]) == (Module.CONTENT_ANALYSIS, ID)


async def test_endpoints_are_its_questions_and_its_consumers(bus: Bus, actor: _Actor) -> None:
    """What a module is for is read off the running one."""
    async with hosting(bus, actor):
        [info] = await _collect(bus, "$SRV.INFO", 1)

    endpoints = {each["name"]: each for each in info["endpoints"]}
    assert endpoints["ListJobs"]["subject"] == ask(ListJobs)
    assert endpoints["EVT"]["queue_group"] == HEARD.name
    assert endpoints["EVT"]["metadata"] == {"filters": "evt.video_intake.>"}


async def test_messages_and_failures_are_counted(bus: Bus, actor: _Actor) -> None:
    """Poison never comes to the actor, and counts all the same; to be put off is no failure."""
    actor.refuse = {
        "evt_2": GiveUp("not ours"),
        "evt_3": TryLater("not yet", retry_after=0.01),
    }
    async with hosting(bus, actor):
        await bus.say([fact(n) for n in range(1, 5)])
        await bus.publish("evt.video_intake.VideoIngested.tnt_1.job_1", b"garbage", {})
        await actor.heard.until(5)
        await settled(bus, HEARD)
        found = _endpoint(await everybody(bus), "EVT")

    assert (found.num_requests, found.num_errors) == (6, 2)
    assert found.last_error
    assert found.processing_time > 0
    assert found.average_processing_time == found.processing_time // 6


async def test_questions_are_counted(bus: Bus, actor: _Actor) -> None:
    """Whoever asks gets the error; the operator sees how often."""
    async with hosting(bus, actor):
        before = _endpoint(await everybody(bus), "ListJobs").num_requests
        actor.refuse = {"question": KeyError("job_1")}
        with pytest.raises(AskError):
            await bus.ask(QUESTION, JobFound)
        await bus.ask(QUESTION, JobFound)
        found = _endpoint(await everybody(bus), "ListJobs")

    assert (found.num_requests - before, found.num_errors) == (2, 1)
    assert found.last_error == "KeyError: 'job_1'"
    assert found.data.lag is None


async def test_what_waits_and_what_is_under_way_is_seen(
    bus: Bus, actor: _Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module that falls behind shows first here."""
    monkeypatch.setattr("actors.runtime.host.SLOW", {Module.CONTENT_ANALYSIS: 2})
    actor.held = anyio.Event()
    async with hosting(bus, actor):
        await bus.say([fact(n) for n in range(5)])
        await actor.heard.until(2)
        busy = _endpoint(await everybody(bus), "EVT").data
        actor.held.set()
        await settled(bus, HEARD)
        idle = _endpoint(await everybody(bus), "EVT").data

    assert (busy.in_flight, busy.unacknowledged, busy.lag) == (2, 2, 3)
    assert (idle.in_flight, idle.unacknowledged, idle.lag, idle.redeliveries) == (0, 0, 0, 0)


async def test_other_programs_on_the_broker_are_left_out(
    bus: Bus, broker_url: str, actor: _Actor
) -> None:
    """Theirs need not have what ours say; they must not break the list."""
    async with (
        hosting(bus, actor),
        connected(broker_url, name="theirs") as other,
        await theirs.add_service(other._client, name="peer", version="1.0.0") as peer,
    ):
        await peer.add_endpoint(name="echo", subject="echo", handler=_echo)
        found = await everybody(bus)

    assert [each.name for each in found] == [Module.CONTENT_ANALYSIS]
    assert isinstance(peer, Service)


async def test_without_anybody_the_list_is_empty(bus: Bus) -> None:
    """And comes back."""
    with anyio.fail_after(SOON_S):
        assert await everybody(bus) == []


async def _echo(request: Request) -> None:
    await request.respond(request.data)


def _endpoint(found: Sequence[Stats], name: str) -> Any:
    [service] = found
    [endpoint] = [each for each in service.endpoints if each.name == name]
    return endpoint


async def _collect(bus: Bus, subject: str, count: int) -> list[dict[str, Any]]:
    """Return so many replies to one request, raw."""
    replies: Seen[dict[str, Any]] = Seen()

    async def take(message: Msg) -> None:
        replies.add(msgspec.json.decode(message.data))

    inbox = bus.new_inbox()
    async with bus.subscribed(inbox, take):
        await bus.barrier()
        await bus.send(subject, b"", reply=inbox)
        return await replies.until(count)


async def _there(bus: Bus) -> None:
    """Return once the service and the answers stand."""
    for subject in (f"$SRV.PING.{Module.CONTENT_ANALYSIS}.{ID}", ask(ListJobs)):
        while True:
            await bus.barrier()
            try:
                await bus._request(subject, msgspec.json.encode(QUESTION), timeout=1)
            except AskError:
                continue
            break
