"""The bounded queue of frames that wait for one client.

Percentages merge into the newest, so a slow client gets fewer of them; state lines never drop. Who
follows a stream waits for room; how long is up to it.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

import anyio
from msgspec import Struct


class Frame(Struct, frozen=True, kw_only=True):
    """What goes to a client."""

    channel: str
    seq: int
    ts: datetime
    type: str
    """``snapshot``, ``state``, ``progress``, ``end``, ``error`` or ``hb``."""
    data: object = None


class OutboxFullError(Exception):
    """The client is too slow."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} frames wait already")


class Outbox:
    """Frames in order; at most ``limit`` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._frames: deque[tuple[str, Frame]] = deque()
        self._something = anyio.Event()
        self._room = anyio.Event()

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: Frame) -> None:
        """Add a frame that must arrive.

        Raises:
            OutboxFullError: nothing that waits may be dropped for it.
        """
        if len(self._frames) >= self._limit and not self._drop_oldest_merging():
            raise OutboxFullError(self._limit)
        self._add("", frame)

    async def put_when_room(self, frame: Frame) -> None:
        """Add a frame that must arrive, as soon as there is room for it."""
        while len(self._frames) >= self._limit and not self._drop_oldest_merging():
            self._room = anyio.Event()
            await self._room.wait()
        self._add("", frame)

    def put_merging(self, frame: Frame, *, key: str) -> None:
        """Add a frame that replaces a waiting one of the same key, and may be lost."""
        for entry in self._frames:
            if entry[0] == key:
                self._frames.remove(entry)
                break
        if len(self._frames) >= self._limit and not self._drop_oldest_merging():
            return
        self._add(key, frame)

    async def take(self) -> Frame:
        """Return the oldest frame; wait until there is one."""
        while not self._frames:
            self._something = anyio.Event()
            await self._something.wait()
        _, frame = self._frames.popleft()
        self._room.set()
        return frame

    def _add(self, key: str, frame: Frame) -> None:
        self._frames.append((key, frame))
        self._something.set()

    def _drop_oldest_merging(self) -> bool:
        for entry in self._frames:
            if entry[0]:
                self._frames.remove(entry)
                return True
        return False
