"""Pull and push consumers: requests, acknowledgements, redeliveries."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from actors.runtime.memory.clock import NANO, Timer, VirtualClock
from actors.runtime.memory.cursor import Cursor
from actors.runtime.memory.faults import Faults
from actors.runtime.memory.streams import Kept, MemoryStream

ACK_WAIT_NS: Final = 30 * NANO
"""The server's own, for a consumer that does not say."""
MAX_ACK_PENDING: Final = 1000
IN_PROGRESS: Final = b"+WPI"
PUT_OFF: Final = b"-NAK"


class Arrived(Struct, frozen=True):
    """A message on its way to a subscription."""

    subject: str
    reply: str = ""
    data: bytes = b""
    headers: dict[str, str] | None = None


class Network(Protocol):
    """How a consumer reaches whoever listens."""

    def listens(self, inbox: str) -> bool:
        """Tell whether anybody hears an inbox."""
        ...

    def hand_over(self, inbox: str, arrived: Arrived) -> None:
        """Bring a status to an inbox."""
        ...

    def deliver(self, inbox: str, arrived: Arrived) -> None:
        """Bring a stored message to an inbox, if nothing goes wrong on the way."""
        ...


class Demand(Struct, frozen=True):
    """The body of a pull."""

    batch: int = 1
    expires: int = 0
    no_wait: bool = False
    idle_heartbeat: int = 0


class _Pull:
    def __init__(self, inbox: str, demand: Demand) -> None:
        self.inbox = inbox
        self.left = demand.batch
        self.no_wait = demand.no_wait
        self.timers: list[Timer] = []


class _Pending(Struct):
    delivered: int = 0
    timer: Timer | None = None
    """Until it is taken for lost, or until it is no longer put off."""


_demands: Final = msgspec.json.Decoder(Demand)


class PullConsumer:
    """A durable consumer with explicit acknowledgement."""

    def __init__(
        self,
        *,
        stream: MemoryStream,
        config: dict[str, Any],
        network: Network,
        clock: VirtualClock,
        faults: Faults,
    ) -> None:
        self.config = config
        self._stream = stream
        self._network = network
        self._clock = clock
        self._faults = faults
        self._cursor = Cursor(stream=stream, config=config)
        self._pulls: deque[_Pull] = deque()
        self._pending: dict[int, _Pending] = {}
        self._again: deque[int] = deque()
        self._sent = 0
        self._newest = self._cursor.passed

    def pull(self, inbox: str, body: bytes) -> None:
        """Take a request, and serve it as far as there is something."""
        demand = _demands.decode(body) if body else Demand()
        pull = _Pull(inbox, demand)
        if demand.expires:
            expiry = self._clock.call_in(demand.expires / NANO, partial(self._expired, pull))
            pull.timers.append(expiry)
        if demand.idle_heartbeat:
            self._beat(pull, demand.idle_heartbeat / NANO)
        self._pulls.append(pull)
        self.wake()

    def wake(self) -> None:
        """Serve the requests in turn while there is something to deliver."""
        while self._drop_the_deaf() and (kept := self._pick()) is not None:
            pull = self._pulls.popleft()
            pull.left -= 1
            if pull.left:
                self._pulls.append(pull)
            else:
                _end(pull)
            self._send(pull.inbox, kept)
            if self._faults.take("doubled_deliveries"):
                self._send(pull.inbox, kept)
        # As on the server: who does not want to wait does when too much is unanswered.
        if any(each.no_wait for each in self._pulls) and not self._cursor.left():
            for pull in [each for each in self._pulls if each.no_wait]:
                self._close(pull, "404", "No Messages")

    def answer(self, sequence: int, verdict: bytes) -> None:
        """Take an acknowledgement of one kind or another."""
        pending = self._pending.get(sequence)
        if pending is None:
            return
        word, _, detail = verdict.partition(b" ")
        if word == IN_PROGRESS:
            self._wait(sequence, pending, self._ack_wait_s)
        elif word == PUT_OFF:
            delay_ns = msgspec.json.decode(detail).get("delay", 0) if detail else 0
            if delay_ns:
                self._wait(sequence, pending, delay_ns / NANO)
            else:
                self._lost(sequence)
        else:
            self._done(sequence)
            self.wake()

    def configure(self, config: dict[str, Any]) -> None:
        """Take another configuration, and keep the place."""
        self.config = config
        self._cursor.look_for(config)
        self.wake()

    def forget_pulls(self) -> None:
        """Lose the requests, as a server that was started again."""
        for pull in self._pulls:
            _end(pull)
        self._pulls.clear()

    def close(self) -> None:
        """Tell everybody who waits that this consumer is gone."""
        for pull in tuple(self._pulls):
            self._close(pull, "409", "Consumer Deleted")
        for pending in self._pending.values():
            _stop(pending)

    def rewind(self) -> None:
        """Start over with an empty stream."""
        for sequence in tuple(self._pending):
            self._done(sequence)
        self._cursor.rewind()
        self._sent = self._newest = 0

    def info(self) -> dict[str, Any]:
        """Return what the server would tell."""
        floor = min(self._pending) - 1 if self._pending else self._newest
        return {
            "delivered": {"consumer_seq": self._sent, "stream_seq": self._newest},
            "ack_floor": {"stream_seq": floor},
            "num_ack_pending": len(self._pending),
            "num_redelivered": sum(each.delivered > 1 for each in self._pending.values()),
            "num_waiting": len(self._pulls),
            "num_pending": self._cursor.left(),
        }

    @property
    def _ack_wait_s(self) -> float:
        return float(self.config.get("ack_wait") or ACK_WAIT_NS) / NANO

    def _drop_the_deaf(self) -> bool:
        """Forget requests whose inbox nobody hears; tell whether one is left."""
        while self._pulls and not self._network.listens(self._pulls[0].inbox):
            _end(self._pulls.popleft())
        return bool(self._pulls)

    def _pick(self) -> Kept | None:
        """Return what has to come again, else the next one, unless too much is unanswered."""
        while self._again:
            sequence = self._again.popleft()
            if sequence in self._pending and (kept := self._stream.kept.get(sequence)) is not None:
                return kept
            self._done(sequence)
        if len(self._pending) >= int(self.config.get("max_ack_pending") or MAX_ACK_PENDING):
            return None
        return self._cursor.step()

    def _send(self, inbox: str, kept: Kept) -> None:
        pending = self._pending.setdefault(kept.sequence, _Pending())
        pending.delivered += 1
        self._wait(kept.sequence, pending, self._ack_wait_s)
        self._sent += 1
        self._newest = max(self._newest, kept.sequence)
        origin = _origin(self._stream, self.config)
        reply = _ack_subject(origin, pending.delivered, kept, self._sent, self._cursor.left())
        self._network.deliver(inbox, Arrived(kept.subject, reply, kept.data, kept.headers or None))

    def _wait(self, sequence: int, pending: _Pending, seconds: float) -> None:
        _stop(pending)
        if sequence in self._again:
            self._again.remove(sequence)
        pending.timer = self._clock.call_in(seconds, partial(self._lost, sequence))

    def _lost(self, sequence: int) -> None:
        """Deliver once more, now that nobody answered or somebody put it off."""
        if sequence in self._pending and sequence not in self._again:
            _stop(self._pending[sequence])
            self._again.append(sequence)
            self.wake()

    def _done(self, sequence: int) -> None:
        pending = self._pending.pop(sequence, None)
        if pending is not None:
            _stop(pending)
            if self._stream.is_work_queue:
                self._stream.remove(sequence)

    def _expired(self, pull: _Pull) -> None:
        headers = {"Nats-Pending-Messages": str(pull.left), "Nats-Pending-Bytes": "0"}
        self._close(pull, "408", "Request Timeout", headers)

    def _close(
        self, pull: _Pull, status: str, why: str, headers: dict[str, str] | None = None
    ) -> None:
        _end(pull)
        if pull in self._pulls:
            self._pulls.remove(pull)
            self._network.hand_over(pull.inbox, told(pull.inbox, status, why, **(headers or {})))

    def _beat(self, pull: _Pull, every_s: float) -> None:
        """Say that nothing is there, which is worth saying: somebody is."""
        beat = partial(self._beaten, pull, every_s)
        pull.timers.append(self._clock.call_in(every_s, beat, quiet=True))

    def _beaten(self, pull: _Pull, every_s: float) -> None:
        if pull in self._pulls:
            self._network.hand_over(pull.inbox, told(pull.inbox, "100", "Idle Heartbeat"))
            pull.timers = [each for each in pull.timers if each.call is not None]
            self._beat(pull, every_s)


class PushConsumer:
    """An ephemeral consumer without acknowledgement; ``gone`` is called when nobody listens."""

    def __init__(
        self,
        *,
        stream: MemoryStream,
        config: dict[str, Any],
        network: Network,
        clock: VirtualClock,
        gone: Callable[[], None],
    ) -> None:
        self.config = config
        self._stream = stream
        self._network = network
        self._clock = clock
        self._gone = gone
        self._inbox = str(config["deliver_subject"])
        self._cursor = Cursor(stream=stream, config=config)
        self._sent = 0
        self._newest = self._cursor.passed
        self._timers: dict[str, Timer] = {}
        self._every("idle_heartbeat", self._beat)
        self._every("inactive_threshold", self._look)

    def wake(self) -> None:
        """Send everything there is."""
        while self._network.listens(self._inbox) and (kept := self._cursor.step()) is not None:
            self._sent += 1
            self._newest = kept.sequence
            origin = _origin(self._stream, self.config)
            reply = _ack_subject(origin, 1, kept, self._sent, self._cursor.left())
            arrived = Arrived(kept.subject, reply, kept.data, kept.headers or None)
            self._network.deliver(self._inbox, arrived)

    def configure(self, config: dict[str, Any]) -> None:
        """Take another configuration, and keep the place."""
        self.config = config
        self._cursor.look_for(config)
        self.wake()

    def close(self) -> None:
        """Send nothing more."""
        for timer in self._timers.values():
            timer.cancel()

    def rewind(self) -> None:
        """Start over with an empty stream."""
        self._cursor.rewind()

    def info(self) -> dict[str, Any]:
        """Return what the server would tell."""
        return {
            "delivered": {"consumer_seq": self._sent, "stream_seq": self._newest},
            "ack_floor": {"stream_seq": self._newest},
            "num_ack_pending": 0,
            "num_redelivered": 0,
            "num_waiting": 0,
            "num_pending": self._cursor.left(),
        }

    def _every(self, setting: str, call: Callable[[], None]) -> None:
        if every_ns := self.config.get(setting):
            seconds = float(every_ns) / NANO
            self._timers[setting] = self._clock.call_in(seconds, call, quiet=True)

    def _beat(self) -> None:
        numbers = {
            "Nats-Last-Consumer": str(self._sent),
            "Nats-Last-Stream": str(self._stream.last),
        }
        beat = told(self._inbox, "100", "Idle Heartbeat", **numbers)
        self._network.hand_over(self._inbox, beat)
        self._every("idle_heartbeat", self._beat)

    def _look(self) -> None:
        if self._network.listens(self._inbox):
            self._every("inactive_threshold", self._look)
        else:
            self._gone()


def told(inbox: str, status: str, why: str, **headers: str) -> Arrived:
    """Return a status as the server says it: headers and no body."""
    return Arrived(inbox, headers={"Status": status, "Description": why, **headers})


def _origin(stream: MemoryStream, config: dict[str, Any]) -> str:
    return f"$JS.ACK.{stream.name}.{config['name']}"


def _ack_subject(origin: str, delivered: int, kept: Kept, sent: int, left: int) -> str:
    return f"{origin}.{delivered}.{kept.sequence}.{sent}.{kept.at_ns}.{left}"


def _stop(pending: _Pending) -> None:
    if pending.timer is not None:
        pending.timer.cancel()


def _end(pull: _Pull) -> None:
    for timer in pull.timers:
        timer.cancel()
