"""Subscriptions, streams and consumers together: what a nats-server is to its clients.

As a nats-server 2.15, as far as the runtime uses one; every promise both keep is a contract in
``tests/contract/runtime``. Otherwise than there:

- one node, nothing on disk: a ``restart`` keeps what is stored and loses what a server would lose;
- a subscription stands as soon as it is made, so ``barrier`` has nothing to wait for;
- sizes are counted, not measured; no limit on connections, requests or slow readers;
- no permissions but ``Faults.forbidden``, no flow control, no advisories, no ``$SRV``;
- of the API only what ``api`` lists, of schedules only ``@at``, no rollups, no per-message TTL,
  no batches: fast ingest has no twin.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import msgspec

from actors.runtime.errors import NotPermittedError
from actors.runtime.memory.api import Api, refusal
from actors.runtime.memory.clock import VirtualClock
from actors.runtime.memory.consumers import Arrived, PullConsumer, told
from actors.runtime.memory.faults import Faults
from actors.runtime.memory.holdings import Holdings
from actors.runtime.memory.matching import covers, is_pattern
from actors.runtime.memory.streams import STORE_FAILED, MemoryStream, RefusedError

VERSION: Final = "2.15.0-memory"
API: Final = "$JS.API."
PULL: Final = "$JS.API.CONSUMER.MSG.NEXT."
DIRECT: Final = "$JS.API.DIRECT.GET."
ACK: Final = "$JS.ACK."
FLOW: Final = "$JS.FC."


class Listener(Protocol):
    """One subscription of one connection."""

    subject: str
    queue: str

    @property
    def alive(self) -> bool:
        """True while its connection is up."""
        ...

    def take(self, arrived: Arrived) -> None:
        """Get a message."""
        ...


class MemoryBroker:
    """A broker in this process. ``connected`` opens connections to it."""

    def __init__(self, *, clock: VirtualClock, dice: random.Random) -> None:
        self.clock = clock
        self.faults = Faults(dice=dice)
        self._dice = dice
        self._exact: dict[str, list[Listener]] = {}
        self._patterns: list[Listener] = []
        self._connections: list[Callable[[], None]] = []
        self._inboxes = 0
        self._holdings = Holdings(
            network=self, clock=clock, faults=self.faults, dice=dice, say=self._say
        )
        self._api = Api(holdings=self._holdings)

    # -- what goes wrong with the broker itself -------------------------------------------------

    def restart(self) -> None:
        """Cut every connection and lose pull requests and consumers without a name.

        The connections stay down until each is told to ``reconnect``.
        """
        for cut in tuple(self._connections):
            cut()
        self._holdings.restarted()

    def forget(self, stream: str) -> None:
        """Lose what a stream holds: it counts from one again, as a new one does.

        Raises:
            RefusedError: there is no such stream.
        """
        self._holdings.forget(stream)

    # -- what connections do --------------------------------------------------------------------

    def attach(self, cut: Callable[[], None]) -> None:
        """Know a connection by the call that cuts it."""
        self._connections.append(cut)

    def detach(self, cut: Callable[[], None]) -> None:
        """Forget a connection."""
        self._connections.remove(cut)

    def new_inbox(self) -> str:
        """Return a subject that nobody else uses."""
        self._inboxes += 1
        return f"_INBOX.{self._inboxes}"

    def listen(self, listener: Listener, *, wake: bool = True) -> None:
        """Let a subscription hear what is published from now on, and what waited for it."""
        if is_pattern(listener.subject):
            self._patterns.append(listener)
        else:
            self._exact.setdefault(listener.subject, []).append(listener)
        if wake:
            self.wake()

    def unlisten(self, listener: Listener) -> None:
        """End a subscription."""
        if listener in self._patterns:
            self._patterns.remove(listener)
            return
        left = [each for each in self._exact.get(listener.subject, ()) if each is not listener]
        if left:
            self._exact[listener.subject] = left
        else:
            self._exact.pop(listener.subject, None)

    def wake(self) -> None:
        """Let every consumer see who listens now."""
        for stream in tuple(self._holdings.streams):
            self._holdings.wake(stream)

    def publish(self, subject: str, data: bytes, headers: dict[str, str], reply: str = "") -> None:
        """Take a message from a connection.

        Raises:
            NotPermittedError: it is forbidden.
        """
        self.clock.stir()
        if any(covers(each, subject) for each in self.faults.forbidden):
            raise NotPermittedError(subject)
        if subject.startswith(ACK):
            self._acknowledge(subject, data, reply)
        elif subject.startswith(API):
            self._call(subject, data, reply)
        elif not subject.startswith(FLOW):
            self._spread(subject, data, headers, reply)

    # -- what consumers do: their ``Network`` ---------------------------------------------------

    def listens(self, inbox: str) -> bool:
        """Tell whether anybody hears an inbox."""
        return bool(self._hearing(inbox))

    def hand_over(self, inbox: str, arrived: Arrived) -> None:
        """Bring a message to everybody who hears an inbox, once to each queue."""
        queues: dict[str, list[Listener]] = {}
        for listener in self._hearing(inbox):
            if listener.queue:
                queues.setdefault(listener.queue, []).append(listener)
            else:
                listener.take(arrived)
        for members in queues.values():
            self._dice.choice(members).take(arrived)

    def deliver(self, inbox: str, arrived: Arrived) -> None:
        """Bring a stored message to an inbox, or lose it, or bring it late."""
        if self.faults.take("lost_deliveries"):
            return
        if self.faults.take("delayed_deliveries"):
            late_s = self._dice.uniform(0, self.faults.delay_s)
            self.clock.call_in(late_s, partial(self.hand_over, inbox, arrived))
            return
        self.hand_over(inbox, arrived)

    # -- inside ---------------------------------------------------------------------------------

    def _hearing(self, subject: str) -> list[Listener]:
        found = [each for each in self._exact.get(subject, ()) if each.alive]
        found += [each for each in self._patterns if each.alive and covers(each.subject, subject)]
        return found

    def _say(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        self._spread(subject, data, headers, "")

    def _spread(self, subject: str, data: bytes, headers: dict[str, str], reply: str) -> None:
        """Bring a message to who listens and to the stream that stores it."""
        heard = self.listens(subject)
        self.hand_over(subject, Arrived(subject, reply, data, headers or None))
        stream = self._holdings.stream_for(subject)
        if stream is not None:
            self._store(stream, subject, data, headers, reply)
        elif not heard and reply:
            self.hand_over(reply, told(reply, "503", "No Responders"))

    def _store(
        self,
        stream: MemoryStream,
        subject: str,
        data: bytes,
        headers: dict[str, str],
        reply: str,
    ) -> None:
        if self.faults.take("refused_publishes"):
            answer = refusal(RefusedError(STORE_FAILED, "refused by a fault"))
        else:
            answer = _stored(stream, subject, data, headers)
        if reply and not self.faults.take("lost_publish_acks"):
            self.hand_over(reply, Arrived(reply, data=answer))
        self._holdings.wake(stream.name)

    def _acknowledge(self, subject: str, data: bytes, reply: str) -> None:
        if self.faults.take("lost_answers"):
            return
        stream, consumer, _, sequence, *_ = subject.removeprefix(ACK).split(".")
        found = self._holdings.find(stream, consumer)
        if isinstance(found, PullConsumer):
            found.answer(int(sequence), data)
        if reply:
            self.hand_over(reply, Arrived(reply))

    def _call(self, subject: str, data: bytes, reply: str) -> None:
        if subject.startswith(PULL):
            self._pull(subject, data, reply)
            return
        if subject.startswith(DIRECT):
            stream, _, wanted = subject.removeprefix(DIRECT).partition(".")
            found = self._api.direct(reply, stream, wanted)
            self.hand_over(reply, found or told(reply, "503", "No Responders"))
            return
        answer = self._api.answer(subject.removeprefix(API), data)
        self.hand_over(reply, Arrived(reply, data=answer))

    def _pull(self, subject: str, data: bytes, reply: str) -> None:
        stream, consumer = subject.removeprefix(PULL).split(".")
        found = self._holdings.find(stream, consumer)
        if isinstance(found, PullConsumer):
            found.pull(reply, data)
        else:
            self.hand_over(reply, told(reply, "503", "No Responders"))


def _stored(stream: MemoryStream, subject: str, data: bytes, headers: dict[str, str]) -> bytes:
    """Store a message and return what the publisher is told."""
    try:
        sequence, duplicate = stream.store(subject, data, headers)
    except RefusedError as refused:
        return refusal(refused)
    told_of = {"stream": stream.name, "seq": sequence, "duplicate": duplicate}
    return msgspec.json.encode(told_of)
