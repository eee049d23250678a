"""Telemetry: samples are queued, packed, and stored a batch at a time, beside everybody's work.

``TelemetryProducer`` takes samples from an actor and never holds it up. It packs them and sends the
packets by the broker's fast ingest: one batch under way, one acknowledgement a batch. A batch that
is not known to be stored is said again as ordinary messages under the same ids, which the stream
drops when it has them; so is every batch where the stream takes none. ``read_telemetry`` is the
other end: everything that is stored, then what comes, without acknowledgements.

What may be lost: a process that is killed takes along what it measured in the last fraction of a
second, and the stream is written late, so a broker that is killed may forget its last packets. What
a saga measured is in its record and measured again whenever that record is said again. Whoever
reads counts a sample once, by its kind and task. No money depends on any of it: a charge is in the
ledger before it is measured.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import anyio
import msgspec
from anyio.abc import TaskStatus
from msgspec import Struct

from actors.runtime.answering import Receive
from actors.runtime.contract import Clock
from actors.runtime.envelope import UNREADABLE
from actors.runtime.errors import BusError, BusUnavailableError
from actors.runtime.feed import Feed
from actors.runtime.follow import derived_id
from actors.runtime.record import Say
from actors.runtime.transport import Received, Transport
from actors.runtime.wire import Delivery, Outgoing, Sayable, outgoing
from schemas.base import EventId, JobId, Module, TenantId
from schemas.telemetry import PACKET_LIMIT, Sample, TelemetryPacket
from subjects import build
from subjects.topology import TLM

log = logging.getLogger("effectmesh.telemetry")

QUEUED: Final = 16_384
"""Samples that wait to be sent; one more is dropped and counted."""
FLUSH_AFTER_S: Final = 0.2
"""How long a packet that is not full waits for more."""
BATCH_PACKETS: Final = 16
"""Packets of one batch; there is one acknowledgement for all of them."""
PACKET_BYTES: Final = 512 * 1024
"""A packet that is larger is cut in two; the broker takes 1 MiB."""
ACK_TIMEOUT_S: Final = 5.0
RETRY_S: Final = 0.5
REFUSALS: Final = 60
"""So often a batch is refused before it is dropped: half a minute."""
DRAIN_S: Final = 2.0
"""How long the last samples may take when the process ends."""
OVERLAP: Final = 1024
"""Packets read again after a reconnect. A stream that is written late may forget its last packets
with the broker and give their numbers to others, which a reader that goes on behind the last number
it saw would never see."""

START: Final = 0
ADD: Final = 1
COMMIT: Final = 2
BATCHES_DISABLED: Final = 10205


class _Refusal(Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _Answer(Struct, frozen=True):
    """What fast ingest answers. ``ack`` tells how far it is, ``gap`` and ``err`` that it failed.

    Without a ``type`` the batch is over: ``count`` messages of it are stored, those included that
    were there before.
    """

    type: str = ""
    count: int = 0
    error: _Refusal | None = None


class _Packed(NamedTuple):
    order: Outgoing
    samples: int


class _Open:
    """A batch that the stream has not settled yet."""

    def __init__(self, replies: str, packets: int) -> None:
        self.replies = replies
        self.packets = packets
        self.settled = anyio.Event()
        self.whole = False


_answers: Final = msgspec.json.Decoder(_Answer)
_packets: Final = msgspec.json.Decoder(TelemetryPacket)


class TelemetryProducer:
    """One module's samples on their way to the stream."""

    def __init__(
        self, *, bus: Transport, module: Module, clock: Clock, packet_limit: int = PACKET_LIMIT
    ) -> None:
        self._bus = bus
        self._module = module
        self._clock = clock
        self._limit = packet_limit
        self._subject = build.telemetry(module)
        self._queue: deque[Sample] = deque()
        self._some = anyio.Event()
        self._enough = anyio.Event()
        self._under_way: Sequence[_Packed] = ()
        self._fast = True
        self._inbox = ""
        self._batches = 0
        self._open: _Open | None = None
        self.dropped = 0
        """Samples that nobody will see: the queue was full, or the stream refused them."""
        self.stored = 0
        """Samples that are in the stream."""

    def measure(self, sample: Sample) -> None:
        """Queue one sample, from the event loop; drop it when the queue is full."""
        waiting = len(self._queue)
        if waiting >= QUEUED:
            self.dropped += 1
            return
        self._queue.append(sample)
        if not waiting:
            self._some.set()
        if waiting + 1 == self._limit:
            self._enough.set()

    def hearing(self, receive: Receive) -> Receive:
        """Return the same handler, whose packets are measured instead of said."""
        return partial(self._receive, receive)

    def saying(self, say: Say) -> Say:
        """Return the same outlet of a saga's words, whose packets are measured instead of said.

        They are measured when the others are stored, so a step that is said again measures again.
        """
        return partial(self._say, say)

    async def run(self) -> None:
        """Pack and send until cancelled, and then what is left, for ``DRAIN_S`` at most."""
        self._inbox = self._bus.new_inbox()
        with self._bus.reconnecting(self._renew):
            async with self._bus.subscribed(f"{self._inbox}.>", self._answered):
                try:
                    while True:
                        await self._something()
                        await self._send()
                except anyio.get_cancelled_exc_class():
                    with anyio.move_on_after(DRAIN_S, shield=True):
                        await self._drain()
                    self._give_up()
                    raise

    # -- from the actor ---------------------------------------------------------------------

    async def _receive(self, receive: Receive, heard: Any) -> Sequence[Sayable]:
        others, samples = self._apart(await receive(heard))
        self._measure(samples)
        return others

    async def _say(self, say: Say, words: Sequence[Outgoing]) -> None:
        others, samples = self._apart(words)
        await say(others)
        self._measure(samples)

    def _measure(self, samples: Iterable[Sample]) -> None:
        for sample in samples:
            self.measure(sample)

    def _apart(self, said: Iterable[Any]) -> tuple[list[Any], list[Sample]]:
        others: list[Any] = []
        samples: list[Sample] = []
        for each in said:
            packet = self._packet(each)
            if packet is None:
                others.append(each)
            else:
                samples += packet.samples
        return others, samples

    def _packet(self, said: Sayable) -> TelemetryPacket | None:
        if isinstance(said, TelemetryPacket):
            return said
        if not isinstance(said, Outgoing) or said.subject != self._subject:
            return None
        try:
            return _packets.decode(said.data)
        except UNREADABLE:
            return None  # from another version of us; it is said as it is

    # -- to the stream ----------------------------------------------------------------------

    async def _something(self) -> None:
        """Return when a packet is full, or the first sample has waited long enough."""
        if not self._queue:
            self._some = anyio.Event()
            await self._some.wait()
        if len(self._queue) < self._limit:
            self._enough = anyio.Event()
            with anyio.move_on_after(FLUSH_AFTER_S):
                await self._enough.wait()

    async def _send(self) -> None:
        self._under_way = self._under_way or self._pack()
        if self._under_way:
            await self._store(self._under_way)
        self._under_way = ()

    async def _drain(self) -> None:
        while self._under_way or self._queue:
            await self._send()

    def _give_up(self) -> None:
        lost = len(self._queue) + sum(each.samples for each in self._under_way)
        self.dropped += lost
        self._queue.clear()
        self._under_way = ()
        if lost:
            log.warning("%s ends with %d samples unsent", self._module, lost)

    def _pack(self) -> Sequence[_Packed]:
        batch: list[_Packed] = []
        while self._queue and len(batch) < BATCH_PACKETS:
            count = min(self._limit, len(self._queue))
            batch += self._sealed(tuple(self._queue.popleft() for _ in range(count)))
        return batch

    def _sealed(self, samples: tuple[Sample, ...]) -> Sequence[_Packed]:
        """Return samples as one packet, or as several that are small enough."""
        tenants = {each.tenant_id for each in samples}
        jobs = {each.job_id for each in samples}
        packet = TelemetryPacket(
            event_id=_packet_id(self._module, samples),
            timestamp=self._clock.now(),
            # a packet of several jobs is nobody's
            correlation_id=jobs.pop() if len(jobs) == 1 else JobId(""),
            tenant_id=tenants.pop() if len(tenants) == 1 else TenantId(""),
            module=self._module,
            samples=samples,
        )
        order = outgoing(packet)
        if len(bytes(order.data)) <= PACKET_BYTES:
            return [_Packed(order, len(samples))]
        if len(samples) == 1:
            self.dropped += 1
            log.error("%s: a sample of %s is too large", self._module, samples[0].task_id)
            return []
        half = len(samples) // 2
        return [*self._sealed(samples[:half]), *self._sealed(samples[half:])]

    async def _store(self, batch: Sequence[_Packed]) -> None:
        """Return when the stream has a batch, or has refused it for too long."""
        samples = sum(each.samples for each in batch)
        refused = 0
        while refused < REFUSALS:
            try:
                if not await self._ingest(batch):
                    await self._bus.say(each.order for each in batch)
            except BusUnavailableError as away:
                log.info("%s keeps its telemetry: %s", self._module, away)
            except BusError as refusal:
                refused += 1
                log.warning("%s keeps its telemetry: %s", self._module, refusal)
            else:
                self.stored += samples
                return
            await anyio.sleep(RETRY_S)
        self.dropped += samples
        log.error("%s drops %d samples that the stream refuses", self._module, samples)

    async def _ingest(self, batch: Sequence[_Packed]) -> bool:
        """Send a batch the fast way; return whether all of it is known to be stored."""
        if not (self._fast and self._bus.alive):
            return False
        self._batches += 1
        # The name must be no other producer's of this stream.
        name = f"{self._inbox.rpartition('.')[2]}-{self._batches}"
        current = _Open(f"{self._inbox}.{name}.{len(batch)}.fail.", len(batch))
        self._open = current
        for number, (order, _) in enumerate(batch, start=1):
            step = COMMIT if number == len(batch) else ADD if number > 1 else START
            reply = f"{current.replies}{number}.{step}.$FI"
            await self._bus.send(
                order.subject, bytes(order.data), reply=reply, headers=order.headers
            )
        with anyio.move_on_after(ACK_TIMEOUT_S):
            await current.settled.wait()
        self._open = None
        return current.whole

    async def _answered(self, message: Received) -> None:
        current = self._open
        if current is None or not message.subject.startswith(current.replies):
            return  # about an earlier batch
        # Without a body nothing stores the subject, which the ordinary way finds out too.
        answer = _answers.decode(message.data) if message.data else _Answer(type="err")
        if answer.type == "ack":
            return
        if answer.error is not None and answer.error.err_code == BATCHES_DISABLED:
            self._fast = False
            log.info("%s: the stream takes no batches", self._module)
        current.whole = not answer.type and answer.error is None and answer.count == current.packets
        current.settled.set()

    async def _renew(self) -> None:
        """Answers to what was sent are lost with the connection; the stream may be another."""
        self._fast = True
        if self._open is not None:
            self._open.settled.set()


Handle = Callable[[TelemetryPacket], None]


async def read_telemetry(
    bus: Transport, handle: Handle, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Call ``handle`` for every packet that is stored, then for each that comes, until cancelled.

    ``started`` is told when all that was stored has been handled. Packets come in the order of the
    stream, but after a reconnect the last ones come again, between the new ones.
    """
    await _Reading(bus, handle).run(task_status)


class _Reading:
    def __init__(self, bus: Transport, handle: Handle) -> None:
        self._bus = bus
        self._handle = handle
        self._read = 0
        self._back_to = 0
        self._renewed = anyio.Event()

    async def run(self, task_status: TaskStatus[None]) -> None:
        feed = self._feed(after=0)
        with self._bus.reconnecting(self._renew):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(feed.run, self._take)
                await feed.caught_up.wait()
                task_status.started()
                while True:
                    await self._renewed.wait()
                    self._renewed = anyio.Event()
                    # The feed goes on by itself, behind the last number it saw.
                    await self._feed(after=self._back_to).read(self._take)

    def _feed(self, *, after: int) -> Feed:
        return Feed(bus=self._bus, stream=TLM, subject=build.all_telemetry(), after=after)

    async def _renew(self) -> None:
        self._back_to = max(0, self._read - OVERLAP)
        self._renewed.set()

    async def _take(self, message: Received, delivery: Delivery) -> None:
        self._read = delivery.sequence
        try:
            packet = _packets.decode(message.data)
        except UNREADABLE as poison:
            log.error("a telemetry packet is ignored: %s", poison)
            return
        self._handle(packet)


def _packet_id(module: Module, samples: Sequence[Sample]) -> EventId:
    """Return the same id for the same samples, however often they are packed."""
    return EventId(
        derived_id("evt", module, *(f"{type(each).__name__} {each.task_id}" for each in samples))
    )
