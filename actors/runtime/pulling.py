"""Which consumer a free slot pulls next. The runtime pulls; a ``Plan`` decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from subjects.topology import Consumer

NANO: Final = 1_000_000_000
FRONT: Final = 0
"""The priority that is served first; the server knows ten."""


class Pull(Struct, frozen=True, kw_only=True):
    """One message asked of one consumer."""

    consumer: Consumer
    wait_s: float = 0.0
    """How long the request waits for a message; 0 takes only what is there."""
    priority: int = FRONT
    """Among the requests that wait in the consumer's group, the lowest number is served first."""

    def body(self) -> bytes:
        """Return the request as the server takes it."""
        asked: dict[str, object] = {"batch": 1}
        if self.wait_s > 0:
            asked["expires"] = int(self.wait_s * NANO)
        else:
            asked["no_wait"] = True
        if self.consumer.priority_group:
            asked |= {"group": self.consumer.priority_group, "priority": self.priority}
        return msgspec.json.encode(asked)


class Plan(Protocol):
    """Chooses among the consumers that a host could serve."""

    async def offers(self, *, free_since: float) -> Sequence[Pull]:
        """Return what a slot tries now, one after the other until one gives a message.

        ``free_since`` is by the event loop's clock. Only the last one may wait.
        """
        ...

    def took(self, pull: Pull) -> None:
        """Take note that a slot got a message from this consumer."""
        ...


class InTurn:
    """All consumers in turn, each as good as the other."""

    def __init__(self, consumers: Callable[[], Sequence[Consumer]]) -> None:
        self._consumers = consumers
        self._turn = 0

    async def offers(self, *, free_since: float) -> Sequence[Pull]:
        """Return every consumer once, beginning behind the one that was served last."""
        del free_since
        found = self._consumers()
        if not found:
            return ()
        self._turn += 1
        start = self._turn % len(found)
        return [Pull(consumer=each) for each in (*found[start:], *found[:start])]

    def took(self, pull: Pull) -> None:
        """Go on behind this consumer."""
        names = [each.name for each in self._consumers()]
        if pull.consumer.name in names:
            self._turn = names.index(pull.consumer.name)
