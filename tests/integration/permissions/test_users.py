"""Every module does its whole work as its own user, and is refused what belongs to another."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import anyio
import msgspec
import pytest
from msgspec import Struct, structs

from actors.provider_registry.shipped import shipped
from actors.runtime import bus as bus_module
from actors.runtime.bus import Bus
from actors.runtime.contract import Later, Put, Step
from actors.runtime.errors import NotPermittedError
from actors.runtime.feed import Feed
from actors.runtime.host import Hosted, consumers_of, run_hosted
from actors.runtime.record import Recorded, StreamLog
from actors.runtime.watch import Watched
from actors.runtime.wire import EXPECTED_LAST, Sayable
from actors.runtime.worker import SlotPuller
from effectmesh.prepare import topology_for
from schemas.base import EventId, JobId, Message, Module
from schemas.commands import RunAttempt, Wake
from schemas.progress import JobProgressed
from schemas.telemetry import TelemetryPacket
from subjects import build
from subjects.build import ANSWERER, OWNER
from subjects.topology import CMD, EVT, HEARS, OBEYS, SAGA, TLM, WAKES
from tests.builders import NOON, TENANT, header
from tests.contract.messages.examples import encoded, read
from tests.contract.ops.test_server_conf import MEASURES, ORDERS, PROGRESSES, READS, WRITES
from tests.integration.permissions.conftest import As
from tests.integration.runtime.world import SOON_S, Seen, settled, stored, working

DECLARED = topology_for(shipped())
HEARING = sorted({*HEARS, *OBEYS, *WAKES})
SAGAS = (Module.ORCHESTRATOR, Module.EXECUTION)


class Told(Struct, frozen=True):
    """What a saga remembers here."""

    count: int = 0


class Remembering:
    """A saga that says everything its module says, and sets and takes away a timer."""

    state_type = Told

    def __init__(self, module: Module) -> None:
        self._module = module

    def key(self, heard: Message) -> str:
        """One for each module."""
        return f"{self._module}_saga"

    async def step(self, state: Told | None, heard: Message) -> Step[Told]:
        """Say everything."""
        wake = Wake(**header(f"evt_wake_{heard.event_id}"), purpose="probe")  # type: ignore[arg-type]
        key = self.key(heard)
        timers = [
            Later(key=key, name="a", module=self._module, at=at, message=wake)
            for at in (NOON.replace(year=2999), None)
        ]
        told = Told((state or Told()).count + 1)
        return Step(told, (*_words(self._module, heard.event_id), *timers))


@pytest.mark.usefixtures("unrefused")
@pytest.mark.parametrize("module", HEARING)
async def test_a_module_hears_says_and_remembers(whole: Bus, as_user: As, module: Module) -> None:
    """All it is for: pull, acknowledge, its facts, orders, samples, entries, records, timers."""
    heard = _messages_for(module)
    wanted = {each.event_id for each in heard}
    await whole.say(heard)
    if module in WAKES:
        alarm = Wake(**header(f"evt_{module}_wakes"), purpose="probe")  # type: ignore[arg-type]
        wanted.add(alarm.event_id)
        await whole.say([Later(key=module, name="b", module=module, at=NOON, message=alarm)])
    async with as_user(module) as own:
        answered: Seen[str] = Seen()

        async def receive(message: Message) -> Sequence[Sayable]:
            said: Sequence[Sayable] = ()
            if message.event_id not in wanted:
                return said  # what it says here itself, or another test's module
            if module in SAGAS:
                await Recorded(
                    saga=Remembering(module), log=StreamLog(bus=own), say=own.say
                ).receive(message)
            else:
                said = _words(module, message.event_id)
            answered.add(message.event_id)
            return said

        async with _hosted(Hosted(module=module, receive=receive, bus=own), whole):
            await answered.when(lambda ids: wanted <= set(ids))
            for consumer in consumers_of(module, DECLARED):
                await settled(whole, consumer)

    ids = {each.message_id for each in await stored(whole, EVT, f"evt.{module}.>")}
    said = {w.event_id for w in _words(module, heard[-1].event_id) if isinstance(w, Message)}
    facts = {i for i in said if any(i.endswith(k.__name__) for k in OWNER)}
    assert facts <= ids
    assert len(facts) == len([kind for kind, owner in OWNER.items() if owner is module])
    if module in SAGAS:
        assert await whole.last(SAGA, build.saga(f"{module}_saga")) is not None
    if module in MEASURES:
        assert await stored(whole, TLM, build.telemetry(module))


@pytest.mark.usefixtures("unrefused")
@pytest.mark.parametrize("module", sorted(set(ANSWERER.values())))
async def test_a_module_answers_what_it_is_asked(as_user: As, module: Module) -> None:
    """The gateway asks, with its own user, and reads the answer in its own inbox."""
    questions = [kind for kind, answerer in ANSWERER.items() if answerer is module]
    async with as_user(Module.GATEWAY) as gateway, as_user(module) as own:
        echo = {kind: _Echo() for kind in questions}
        async with _hosted(Hosted(module=module, answerers=echo, bus=own), own):
            for kind in questions:
                question: Any = msgspec.json.decode(encoded(kind), type=kind)
                assert await _answered(gateway, question) == question


@pytest.mark.usefixtures("unrefused")
async def test_an_agent_renders(whole: Bus, as_user: As) -> None:
    """It pulls renders, reports, shows progress and that it is alive, and reads its buckets."""
    consumer = next(each for each in DECLARED.consumers if each.name.startswith("exec-"))
    order = structs.replace(read(RunAttempt), event_id=EventId("evt_order"))
    await whole.publish(consumer.filters[0], msgspec.json.encode(order), {})
    rendered: Seen[str] = Seen()
    async with as_user(Module.GPU_AGENT) as own:

        async def render(heard: RunAttempt) -> Sequence[Sayable]:
            rendered.add(heard.event_id)
            return _words(Module.GPU_AGENT, heard.event_id)

        puller = SlotPuller(
            bus=own,
            module=Module.GPU_AGENT,
            consumers=lambda: [consumer],
            decoder=msgspec.json.Decoder(RunAttempt),
            receive=render,
            slots=1,
            beat_s=0.1,
            dice=random.Random(1),
        )
        async with working(puller):
            await rendered.until(1)
            await settled(whole, consumer)


@pytest.mark.usefixtures("unrefused")
@pytest.mark.parametrize("module", sorted(READS))
async def test_a_module_follows_what_it_keeps_a_copy_of(as_user: As, module: Module) -> None:
    """A copy that may not be read stays empty, and routing would stand still."""
    async with as_user(module) as own, anyio.create_task_group() as tasks:
        with anyio.fail_after(SOON_S):
            for stream in READS[module]:
                if stream.startswith("KV_"):
                    copy = Watched(bus=own, bucket=stream.removeprefix("KV_"), decode=bytes)
                    tasks.start_soon(copy.run)
                    await copy.ready()
                else:
                    await Feed(bus=own, stream=stream, subject=">").read(_ignore)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("module", [each for each in Module if each is not Module.GATEWAY])
async def test_a_module_is_refused_what_is_anothers(as_user: As, module: Module) -> None:
    """At once and by name: a refusal that looks like a time-out is looked for on the wrong side."""
    other = next(each for each in OWNER.values() if each is not module)
    fact = next(kind for kind, owner in OWNER.items() if owner is other)
    async with as_user(module) as own:
        refused: list[NotPermittedError] = []
        with anyio.fail_after(bus_module.ACK_TIMEOUT_S / 2):
            for attempt in (
                own.say([structs.replace(read(fact), tenant_id=TENANT)]),
                own.publish(build.dead_letter(other), b"{}", {}),
                own.publish(build.entry("ROUTING", "override.mine"), b"{}", {})
                if WRITES.get(module) != "ROUTING"
                else own.publish(build.entry("REGISTRY", "mine"), b"{}", {}),
                own.api(f"STREAM.DELETE.{EVT}"),
                own.api(f"STREAM.PURGE.{CMD}"),
                own.api(f"CONSUMER.DELETE.{EVT}.{other}"),
                own.api(f"CONSUMER.CREATE.{EVT}", {"stream_name": EVT, "config": {}}),
            ):
                with pytest.raises(NotPermittedError) as caught:
                    await attempt
                refused.append(caught.value)
        for subject in ("evt.>", "_INBOX.>", f"{build.inbox_prefix(other)}.>"):
            async with own.subscribed(subject, _drop):
                await own.barrier()
                assert f'Subscription to "{subject}"'.lower() in own.last_error.lower()
        assert own.alive

    assert refused[0].subject.startswith(f"evt.{other}.")


@pytest.mark.parametrize("module", sorted({*Module} - {*SAGAS}))
async def test_only_the_sagas_write_records(as_user: As, module: Module) -> None:
    """Who writes a record decides what a job does next."""
    async with as_user(module) as own:
        with pytest.raises(NotPermittedError):
            await own.publish(build.saga("job_1"), b"{}", {EXPECTED_LAST: "0"})
        with pytest.raises(NotPermittedError):
            await own.last(SAGA, build.saga("job_1"))


class _Echo:
    """Answers with the question."""

    async def answer(self, question: Struct) -> Struct:
        """Return it."""
        return question


class _hosted:  # noqa: N801  used as a function
    """A module that runs for the length of the block."""

    def __init__(self, hosted: Hosted, bus: Bus) -> None:
        self._hosted = hosted
        self._bus = bus
        self._stopping = anyio.Event()
        self._tasks = anyio.create_task_group()

    async def __aenter__(self) -> None:
        """Start it."""
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._run)

    async def _run(self) -> None:
        await run_hosted(
            bus=self._bus,
            hosted=[self._hosted],
            declared=DECLARED,
            dice=random.Random(1),
            stopping=self._stopping,
        )

    async def __aexit__(self, *failure: Any) -> bool | None:
        """Drain it."""
        self._stopping.set()
        return await self._tasks.__aexit__(*failure)


async def _answered(gateway: Bus, question: Struct) -> Struct:
    """Ask until somebody is there to answer."""
    with anyio.fail_after(SOON_S):
        while True:
            try:
                return await gateway.ask(question, type(question))
            except bus_module.AskError:
                await anyio.lowlevel.checkpoint()


def _messages_for(module: Module) -> list[Message]:
    """Return one of every kind a module hears, obeys and wakes up by."""
    kinds: Iterable[type[Message]] = (*HEARS.get(module, ()), *OBEYS.get(module, ()))
    return [
        structs.replace(read(kind), event_id=EventId(f"evt_{module}_hears_{kind.__name__}"))
        for kind in kinds
    ]


def _words(module: Module, cause: str) -> list[Any]:
    """Return one of everything that a module says."""
    kinds = [kind for kind, owner in OWNER.items() if owner is module]
    kinds += ORDERS.get(module, ())
    kinds += [JobProgressed] if module in PROGRESSES else []
    said: list[Any] = [
        structs.replace(
            read(kind),
            event_id=EventId(f"{cause}_{kind.__name__}"),
            correlation_id=JobId("job_probe"),
        )
        for kind in kinds
    ]
    if module in MEASURES:
        said.append(structs.replace(read(TelemetryPacket), module=module, event_id=f"{cause}_t"))
    if module in WRITES:
        said.append(Put(bucket=WRITES[module], key="probe", value=b"{}"))
    return said


async def _ignore(*_: Any) -> None:
    """Read and forget."""


async def _drop(_: Any) -> None:
    """Nothing comes."""
