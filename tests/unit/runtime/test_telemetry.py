"""Samples are packed and stored beside the work: never waited for, seldom lost, never twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import repeat
from typing import Any, NamedTuple

import anyio
import msgspec
import pytest
from nats.aio.msg import Msg

from actors.runtime import telemetry
from actors.runtime.contract import FrozenClock, Step
from actors.runtime.errors import ApiError, BusUnavailableError
from actors.runtime.follow import follow
from actors.runtime.record import Recorded
from actors.runtime.telemetry import QUEUED, TelemetryProducer
from actors.runtime.wire import MSG_ID, Outgoing, outgoing
from schemas.base import JobId, Message, Module, TaskId, TenantId
from schemas.commands import Wake
from schemas.progress import JobProgressed
from schemas.telemetry import ChargeMeasured, TelemetryPacket
from tests.builders import JOB, NOON, TENANT, WARM
from tests.unit.runtime.fakes import Count, MemoryLog, wake

ACK = b'{"type":"ack","seq":0,"msgs":16}'
DISABLED = b'{"error":{"err_code":10205,"description":"batch publish is disabled"}}'
UNKNOWN = b'{"error":{"err_code":10208,"description":"batch publish ID unknown"}}'


class Sent(NamedTuple):
    """One message of a batch."""

    packet: TelemetryPacket
    message_id: str
    batch: str
    number: int
    step: int


Answers = Callable[[Sent], Iterable[bytes]]


def whole(sent: Sent) -> Iterable[bytes]:
    """Answer as a broker that stores everything."""
    if sent.step == telemetry.START:
        yield ACK
    if sent.step == telemetry.COMMIT:
        yield b'{"stream":"TLM","seq":7,"batch":"b","count":%d}' % sent.number


class _Bus:
    """A connection whose broker answers batches as a test wants it to."""

    def __init__(self, answers: Answers = whole, *, inbox: str = "_INBOX.me") -> None:
        self.alive = True
        self.inbox = inbox
        self.answers = answers
        self.batches: list[list[Sent]] = []
        self.said: list[TelemetryPacket] = []
        self.refusals: Iterator[Exception] = iter(())
        self.deaf = False
        self.renew: list[Callable[[], Awaitable[None]]] = []
        self._handle: Callable[[Msg], Awaitable[None]] | None = None
        self._more = anyio.Event()

    def new_inbox(self) -> str:
        """Return a subject."""
        return self.inbox

    @contextmanager
    def reconnecting(self, call: Callable[[], Awaitable[None]]) -> Iterator[None]:
        """Keep the call."""
        self.renew.append(call)
        yield
        self.renew.remove(call)

    @asynccontextmanager
    async def subscribed(
        self, subject: str, handle: Callable[[Msg], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """Keep the handler."""
        assert subject == f"{self.inbox}.>"
        self._handle = handle
        yield
        self._handle = None

    async def send(self, subject: str, data: bytes, *, reply: str, headers: dict[str, str]) -> None:
        """Take one message of a batch and answer it."""
        *_, batch, _, gaps, number, step, mark = reply.split(".")
        assert (subject, gaps, mark) == ("tlm.execution", "fail", "$FI")
        sent = Sent(_packet(data), headers[MSG_ID], batch, int(number), int(step))
        if sent.number == 1:
            self.batches.append([])
        self.batches[-1].append(sent)
        for answer in self.answers(sent):
            assert self._handle is not None
            await self._handle(Msg(_client=None, subject=reply, data=answer))
        self._tell()

    async def say(self, orders: Iterable[Outgoing]) -> None:
        """Store in the ordinary way."""
        if self.deaf:
            await anyio.sleep_forever()
        if (refusal := next(self.refusals, None)) is not None:
            raise refusal
        self.said += [_packet(bytes(each.data)) for each in orders]
        self._tell()

    async def reconnect(self) -> None:
        """Have the connection replaced."""
        for call in self.renew:
            await call()

    async def until(self, ready: Callable[[], bool]) -> None:
        """Return when something that was sent makes ``ready`` true."""
        while not ready():
            await self._more.wait()

    @property
    def packets(self) -> list[TelemetryPacket]:
        """Return what was sent in batches."""
        return [sent.packet for batch in self.batches for sent in batch]

    def _tell(self) -> None:
        more, self._more = self._more, anyio.Event()
        more.set()


def _packet(data: bytes) -> TelemetryPacket:
    return msgspec.json.decode(data, type=TelemetryPacket)


def charge(number: int, *, effect_type: str = "style_transfer", tenant: str = "") -> ChargeMeasured:
    """Return one of many samples."""
    return ChargeMeasured(
        at=NOON,
        task_id=TaskId(f"task_{number}"),
        job_id=JobId(f"job_{number}"),
        tenant_id=TenantId(tenant) if tenant else TENANT,
        provider_id=WARM,
        effect_type=effect_type,
        charged_microtokens=2,
        cost_microtokens=1,
    )


def producer(bus: _Bus, *, packet_limit: int = 4) -> TelemetryProducer:
    """Return a producer that is not running yet."""
    return TelemetryProducer(
        bus=bus,  # type: ignore[arg-type]
        module=Module.EXECUTION,
        clock=FrozenClock(),
        packet_limit=packet_limit,
    )


def measured(numbers: Iterable[int], of: TelemetryProducer) -> None:
    """Measure these."""
    for number in numbers:
        of.measure(charge(number))


def tasks(packets: Iterable[TelemetryPacket]) -> list[str]:
    """Return the tasks of all samples, in order."""
    return [sample.task_id for packet in packets for sample in packet.samples]


def numbered(numbers: Iterable[int]) -> list[str]:
    """Return the tasks of these samples."""
    return [f"task_{number}" for number in numbers]


@asynccontextmanager
async def running(of: TelemetryProducer) -> AsyncIterator[None]:
    """Run it for the length of the block, and until it has nothing to do."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(of.run)
            yield
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here has to wait for others."""
    monkeypatch.setattr(telemetry, "FLUSH_AFTER_S", 0.01)
    monkeypatch.setattr(telemetry, "RETRY_S", 0)


async def test_many_samples_are_one_batch_of_a_few_packets() -> None:
    """One message and one acknowledgement for each would cost forty times as much."""
    bus = _Bus()
    of = producer(bus)
    measured(range(10), of)
    async with running(of):
        await bus.until(lambda: len(bus.packets) == 3)

    [batch] = bus.batches
    assert [(each.number, each.step) for each in batch] == [(1, 0), (2, 1), (3, 2)]
    assert [len(each.packet.samples) for each in batch] == [4, 4, 2]
    assert [each.message_id for each in batch] == [each.packet.event_id for each in batch]
    assert (tasks(bus.packets), of.stored, of.dropped) == (numbered(range(10)), 10, 0)


async def test_a_single_sample_does_not_wait_for_company() -> None:
    """The routing of the next job may depend on it."""
    bus = _Bus()
    of = producer(bus)
    async with running(of):
        of.measure(charge(1))
        await bus.until(lambda: len(bus.packets) == 1)

    assert bus.batches[0][0].step == telemetry.COMMIT


async def test_no_two_batches_of_a_stream_have_the_same_name() -> None:
    """The broker would take the second for the rest of the first, and refuse both."""
    buses = [_Bus(inbox="_INBOX.me"), _Bus(inbox="_INBOX.you")]
    for bus in buses:
        of = producer(bus)
        async with running(of):
            of.measure(charge(1))
            await bus.until(lambda bus=bus: len(bus.batches) == 1)  # type: ignore[misc]
            of.measure(charge(2))
            await bus.until(lambda bus=bus: len(bus.batches) == 2)  # type: ignore[misc]

    assert len({sent.batch for bus in buses for [sent] in bus.batches}) == 4


async def test_a_full_packet_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load nothing is gained by waiting."""
    monkeypatch.setattr(telemetry, "FLUSH_AFTER_S", 60)
    bus = _Bus()
    of = producer(bus)
    async with running(of):
        await anyio.wait_all_tasks_blocked()
        measured(range(3), of)
        await anyio.wait_all_tasks_blocked()
        of.measure(charge(3))
        await bus.until(lambda: bool(bus.packets))

    assert tasks(bus.packets) == numbered(range(4))


async def test_a_full_queue_drops_samples_and_counts_them() -> None:
    """A broker that is away for long must not eat the memory, nor hold anybody up."""
    of = producer(_Bus())
    measured(range(QUEUED + 5), of)

    assert of.dropped == 5


async def test_the_acknowledgement_that_a_batch_has_begun_is_not_its_end() -> None:
    """Its sequence is 0, and nothing is stored by then."""
    bus = _Bus(lambda sent: [ACK] if sent.step == telemetry.START else [])
    of = producer(bus)
    measured(range(8), of)
    async with running(of):
        await bus.until(lambda: len(bus.packets) == 2)
        await anyio.wait_all_tasks_blocked()
        before = (of.stored, len(bus.said))
        await bus.reconnect()

    assert before == (0, 0)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"stream":"TLM","seq":7,"batch":"b","count":1}',
        b'{"type":"gap","last_seq":2,"seq":3}',
        b'{"type":"err","seq":2,"error":{"err_code":10077,"description":"maximum bytes"}}',
        UNKNOWN,
        b"",
    ],
    ids=["short", "gap", "error", "unknown", "no stream"],
)
async def test_a_batch_that_is_not_whole_is_said_again(answer: bytes) -> None:
    """Under the same ids, so what the stream has of it is dropped there."""
    bus = _Bus(lambda sent: [answer] if sent.step == telemetry.COMMIT else [])
    of = producer(bus)
    measured(range(10), of)
    async with running(of):
        await bus.until(lambda: bool(bus.said))

    [batch] = bus.batches
    assert [each.event_id for each in bus.said] == [each.message_id for each in batch]
    assert (tasks(bus.said), of.stored) == (numbered(range(10)), 10)


async def test_a_new_connection_says_at_once_what_was_under_way() -> None:
    """The answer went down with the old one."""
    bus = _Bus(lambda _: [])
    of = producer(bus)
    measured(range(3), of)
    async with running(of):
        await bus.until(lambda: bool(bus.batches))
        await bus.reconnect()
        await bus.until(lambda: bool(bus.said))

    assert tasks(bus.said) == numbered(range(3))


async def test_a_late_answer_settles_no_other_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or what is lost of this one would never be said again."""
    monkeypatch.setattr(telemetry, "ACK_TIMEOUT_S", 0.01)
    bus = _Bus(lambda _: [])
    of = producer(bus)
    async with running(of):
        of.measure(charge(1))
        await bus.until(lambda: len(bus.said) == 1)
        assert bus._handle is not None
        late = b'{"stream":"TLM","seq":7,"batch":"b","count":1}'
        of.measure(charge(2))
        await bus.until(lambda: len(bus.batches) == 2)
        await bus._handle(Msg(_client=None, subject="_INBOX.me.me-1.1.fail.1.2.$FI", data=late))
        await bus.until(lambda: len(bus.said) == 2)

    assert tasks(bus.said) == numbered([1, 2])


async def test_a_stream_without_batches_gets_ordinary_messages() -> None:
    """Nothing is tried in vain twice, until another broker may know better."""
    bus = _Bus(lambda _: [DISABLED])
    of = producer(bus)
    async with running(of):
        of.measure(charge(1))
        await bus.until(lambda: len(bus.said) == 1)
        of.measure(charge(2))
        await bus.until(lambda: len(bus.said) == 2)
        tried = len(bus.batches)
        bus.answers = whole
        await bus.reconnect()
        of.measure(charge(3))
        await bus.until(lambda: len(bus.batches) == 2)

    assert tried == 1
    assert (tasks(bus.said), of.stored) == (numbered([1, 2]), 3)


async def test_what_the_stream_refuses_for_long_holds_up_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is dropped and counted, and the next batch goes its way."""
    monkeypatch.setattr(telemetry, "REFUSALS", 3)
    bus = _Bus(lambda _: [UNKNOWN])
    bus.refusals = repeat(ApiError("publish", 10047, "insufficient storage resources available"))
    of = producer(bus)
    async with running(of):
        measured(range(3), of)
        await bus.until(lambda: len(bus.batches) == 3)
        bus.answers = whole
        measured(range(3, 5), of)
        await bus.until(lambda: len(bus.batches) == 4)

    assert (of.dropped, of.stored) == (3, 2)


async def test_a_broker_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long: what waits is bounded by the queue."""
    monkeypatch.setattr(telemetry, "REFUSALS", 3)
    bus = _Bus()
    bus.alive = False
    bus.refusals = iter([BusUnavailableError("tlm", after_s=30)] * 10)
    of = producer(bus)
    measured(range(3), of)
    async with running(of):
        await bus.until(lambda: bool(bus.said))

    assert (of.stored, of.dropped) == (3, 0)


async def test_the_last_samples_are_sent_when_the_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A restart for a new version is no reason to forget anything."""
    monkeypatch.setattr(telemetry, "FLUSH_AFTER_S", 60)
    bus = _Bus()
    of = producer(bus, packet_limit=50)
    async with running(of):
        measured(range(3), of)
        await anyio.wait_all_tasks_blocked()
        before = len(bus.packets)

    assert (before, tasks(bus.packets), of.stored) == (0, numbered(range(3)), 3)


async def test_a_process_does_not_hang_on_its_last_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are counted as lost, those under way too."""
    monkeypatch.setattr(telemetry, "DRAIN_S", 0.01)
    bus = _Bus()
    bus.alive = False
    bus.deaf = True
    of = producer(bus)
    async with running(of):
        measured(range(3), of)
        await anyio.wait_all_tasks_blocked()
        measured(range(3, 5), of)

    assert (of.dropped, of.stored) == (5, 0)


async def test_the_same_samples_have_the_same_id() -> None:
    """A step that is said again says the same packet, as far as it is packed alike."""
    ids = []
    for at in (NOON, NOON.replace(hour=13)):
        bus = _Bus()
        of = TelemetryProducer(
            bus=bus,  # type: ignore[arg-type]
            module=Module.EXECUTION,
            clock=FrozenClock(at),
        )
        measured(range(3), of)
        async with running(of):
            await bus.until(lambda bus=bus: bool(bus.packets))  # type: ignore[misc]
        ids.append(bus.packets[0].event_id)

    assert ids[0] == ids[1]


async def test_a_packet_of_several_tenants_names_none() -> None:
    """Whoever is named would be shown what is not theirs."""
    bus = _Bus()
    of = producer(bus, packet_limit=2)
    for tenant in ("tnt_1", "tnt_1", "tnt_1", "tnt_2"):
        of.measure(charge(1, tenant=tenant))
    async with running(of):
        await bus.until(lambda: len(bus.packets) == 2)

    alike, mixed = bus.packets
    assert (alike.tenant_id, alike.correlation_id) == ("tnt_1", "job_1")
    assert (mixed.tenant_id, mixed.correlation_id) == ("", "job_1")


async def test_a_packet_that_is_too_large_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker would end the connection over it; a sample that cannot be cut is dropped."""
    monkeypatch.setattr(telemetry, "PACKET_BYTES", 1500)
    bus = _Bus()
    of = producer(bus, packet_limit=8)
    measured(range(7), of)
    of.measure(charge(7, effect_type="x" * 1500))
    async with running(of):
        await bus.until(lambda: of.dropped == 1 and bool(bus.packets))

    assert len(bus.packets) > 1
    assert tasks(bus.packets) == numbered(range(7))


def _words(heard: Message) -> tuple[JobProgressed, TelemetryPacket]:
    line = JobProgressed(**follow(heard, JobProgressed, at=NOON), stage="render")
    packet = TelemetryPacket(
        **follow(heard, TelemetryPacket, at=NOON),
        module=Module.EXECUTION,
        samples=(charge(1), charge(2)),
    )
    return line, packet


async def test_what_an_actor_measures_is_taken_out_of_what_it_says() -> None:
    """Its message is acknowledged without waiting for telemetry."""
    bus = _Bus()
    of = producer(bus)

    async def receive(heard: Message) -> Sequence[Message]:
        return _words(heard)

    others = await of.hearing(receive)(wake("evt_1"))
    async with running(of):
        await bus.until(lambda: bool(bus.packets))

    assert [type(each) for each in others] == [JobProgressed]
    assert tasks(bus.packets) == numbered([1, 2])


class _Measuring:
    """A saga that says one line and two samples for each message."""

    state_type = Count

    def key(self, heard: Wake) -> str:
        """One record a job."""
        return JOB

    async def step(self, state: Count | None, heard: Wake) -> Step[Count]:
        """Count."""
        return Step(Count(total=(state or Count(total=0)).total + 1), _words(heard))


async def test_a_saga_that_crashed_before_it_said_its_words_measures_again() -> None:
    """Its record holds the samples, so no kill between the two loses them."""
    stored = MemoryLog()
    heard: list[str] = []

    async def fail(_: Sequence[Outgoing]) -> None:
        raise BusUnavailableError("evt", after_s=1)

    async def say(words: Sequence[Outgoing]) -> None:
        heard.extend(each.subject for each in words)

    def worker(of: TelemetryProducer, out: Any) -> Recorded[Count, Wake]:
        return Recorded(saga=_Measuring(), log=stored, say=of.saying(out))

    killed = producer(_Bus())
    with pytest.raises(BusUnavailableError):
        await worker(killed, fail).receive(wake("evt_1"))
    bus = _Bus()
    of = producer(bus)
    await worker(of, say).receive(wake("evt_1"))
    async with running(of):
        await bus.until(lambda: bool(bus.packets))

    assert len(killed._queue) == 0
    assert [each.split(".")[0] for each in heard] == ["prog"]
    assert tasks(bus.packets) == numbered([1, 2])


async def test_a_packet_that_cannot_be_read_is_said_as_it_is() -> None:
    """A record of another version must not stop its saga."""
    strange = Outgoing(
        subject=outgoing(_words(wake("evt_1"))[1]).subject, data=msgspec.Raw(b'{"samples":3}')
    )
    heard: list[Outgoing] = []

    async def say(words: Sequence[Outgoing]) -> None:
        heard.extend(words)

    await producer(_Bus()).saying(say)([strange])

    assert heard == [strange]
