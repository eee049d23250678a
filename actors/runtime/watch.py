"""A local copy of a key-value bucket, fresh again at once after a broker restart.

Reading is a dictionary lookup. (nats-py's own watcher stays behind for 18 s after a restart.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import anyio
from nats.aio.msg import Msg

from actors.runtime.bus import Bus
from actors.runtime.feed import Feed
from actors.runtime.wire import Delivery
from subjects import build

log = logging.getLogger("effectmesh.watch")

T = TypeVar("T")


class Watched(Generic[T]):
    """One bucket, decoded once per change. A value that does not decode leaves the old one."""

    def __init__(self, *, bus: Bus, bucket: str, decode: Callable[[bytes], T]) -> None:
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
        self._values: dict[str, T] = {}
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

    async def ready(self) -> None:
        """Return when the first copy is complete."""
        await self._feed.caught_up.wait()

    async def changed(self) -> None:
        """Return after the next change."""
        await self._changed.wait()

    async def run(self) -> None:
        """Follow the bucket until cancelled."""
        await self._feed.run(self._take)

    async def _take(self, message: Msg, _: Delivery) -> None:
        key = build.entry_key(self._bucket, message.subject)
        headers = message.headers or {}
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
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
