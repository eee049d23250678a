"""A local copy of a key-value bucket, fresh again at once after a broker restart.

Reading is a dictionary lookup. (nats-py's own watcher stays behind for 18 s after a restart.)
A key that was deleted says so. One that expired, or whose bucket was made again, does not: so the
keys are compared with the server's every few seconds, and after every reconnect.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import anyio

from actors.runtime.errors import BusError
from actors.runtime.feed import Feed
from actors.runtime.transport import Received, Transport
from actors.runtime.wire import Delivery
from subjects import build

log = logging.getLogger("effectmesh.watch")

T = TypeVar("T")

COMPARE_S: Final = 5.0
"""How often the keys are compared; a key that expired stays so much longer at most."""
COMPARE_RETRY_S: Final = 0.25


class Watched(Generic[T]):
    """One bucket, decoded once per change. A value that does not decode leaves the old one."""

    def __init__(self, *, bus: Transport, bucket: str, decode: Callable[[bytes], T]) -> None:
        self._bucket = bucket
        self._decode = decode
        # Not resumed but read anew: a bucket that was made again counts from one again.
        self._feed = Feed(
            bus=bus,
            stream=build.bucket_stream(bucket),
            subject=build.entries(bucket),
            start="newest",
            resume=False,
        )
        self._bus = bus
        self._values: dict[str, T] = {}
        self._heard: dict[str, int] = {}
        """The number of the newest message of each key, as we count them."""
        self._count = 0
        self._sequence = 0
        """Where the newest message is in the bucket."""
        self._made = ""
        """When the bucket was made."""
        self._doubted = anyio.Event()
        self._changed = anyio.Event()
        self.refused = 0
        """How many values did not decode."""

    @property
    def values(self) -> Mapping[str, T]:
        """Every key's newest valid value. A live view: do not keep it over an ``await``."""
        return self._values

    def get(self, key: str) -> T | None:
        """Return a key's newest valid value."""
        return self._values.get(key)

    @property
    def complete(self) -> bool:
        """True once the first copy is complete."""
        return self._feed.caught_up.is_set()

    async def ready(self) -> None:
        """Return when the first copy is complete."""
        await self._feed.caught_up.wait()

    async def changed(self) -> None:
        """Return after the next change."""
        await self._changed.wait()

    async def run(self) -> None:
        """Follow the bucket until cancelled."""
        with self._bus.reconnecting(self._doubt):
            async with anyio.create_task_group() as following:
                following.start_soon(self._compare_often)
                await self._feed.run(self._take)

    async def _doubt(self) -> None:
        """While we were away anything may have happened to the bucket."""
        self._doubted.set()

    async def _compare_often(self) -> None:
        await self._feed.caught_up.wait()
        while True:
            wait = COMPARE_S
            try:
                await self._compare()
            except BusError as away:
                log.debug("the keys of %s cannot be compared: %s", self._bucket, away)
                wait = COMPARE_RETRY_S
            with anyio.move_on_after(wait):
                await self._doubted.wait()
            self._doubted = anyio.Event()

    async def _compare(self) -> None:
        """Drop what the bucket has no more: what we had before we asked and the answer lacks."""
        before, sequence = self._count, self._sequence
        found = await self._bus.api(
            f"STREAM.INFO.{build.bucket_stream(self._bucket)}",
            {"subjects_filter": build.entries(self._bucket)},
        )
        state: dict[str, Any] = found["state"]
        there = state.get("subjects") or {}
        if not there and state.get("messages"):
            return  # a server that does not say which keys there are
        made = str(found.get("created", ""))
        if self._made not in ("", made) or state["last_seq"] < sequence:
            self._feed.start_over()  # its consumer went with the old bucket
            self._sequence = 0
        self._made = made
        gone = [
            key
            for key, number in self._heard.items()
            if number <= before and build.entry(self._bucket, key) not in there
        ]
        for key in gone:
            del self._heard[key]
            self._values.pop(key, None)
        if gone:
            self._tell()

    async def _take(self, message: Received, delivery: Delivery) -> None:
        key = build.entry_key(self._bucket, message.subject)
        headers = message.headers or {}
        self._count += 1
        self._sequence = delivery.sequence
        self._heard[key] = self._count
        if "KV-Operation" in headers or "Nats-Marker-Reason" in headers:
            self._values.pop(key, None)
        else:
            try:
                self._values[key] = self._decode(message.data)
            except ValueError as invalid:
                # msgspec's errors are ValueErrors. Whoever wrote this is wrong; we go on with
                # the last good value.
                self.refused += 1
                log.error("%s/%s is invalid and ignored: %s", self._bucket, key, invalid)
                return
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
