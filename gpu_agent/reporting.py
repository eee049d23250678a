"""Saying what became of an attempt, however long the broker is away.

Seconds of a GPU were used, and whoever pays them has to know. The runtime would drop the report
and wait for a redelivery; but when the agent was cut off, the attempt may have gone to another and
be answered, and then no redelivery comes. So the report is said again until it is stored. Said too
late it is fenced by its attempt number, and its cost is counted all the same, once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import anyio

from actors.runtime.errors import BusError
from actors.runtime.wire import Sayable
from schemas.commands import RunAttempt

KEEP_S: Final = 900.0
"""How long a report is worth saying; the stream tells repeated ones apart for a while only."""
AGAIN_S: Final = 1.0

Receive = Callable[[RunAttempt], Awaitable[Sequence[Sayable]]]
Say = Callable[[Sequence[Sayable]], Awaitable[None]]


class Reporting:
    """``receive`` of an agent, which returns when the report is stored."""

    def __init__(
        self, *, receive: Receive, say: Say, keep_s: float = KEEP_S, again_s: float = AGAIN_S
    ) -> None:
        self._receive = receive
        self._say = say
        self._keep_s = keep_s
        self._again_s = again_s

    async def receive(self, heard: RunAttempt) -> Sequence[Sayable]:
        """Return nothing that is left to say, unless it could not be said for very long."""
        said = await self._receive(heard)
        with anyio.move_on_after(self._keep_s):
            while True:
                try:
                    await self._say(said)
                except BusError:
                    await anyio.sleep(self._again_s)
                else:
                    return ()
        return said
