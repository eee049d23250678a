"""Holds the broker to the limits of the providers, whatever happened while nobody looked.

The CONTROL bucket says what is wanted; this makes it so: at the start, with every change of the
bucket, when a limit ends by itself, and now and then because a consumer may have been made again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Final

import anyio
import msgspec

from actors.execution import limits
from actors.execution.ports import ConsumerLimits, Entries
from actors.runtime.contract import Clock
from actors.runtime.errors import BusError
from schemas.base import EPOCH
from schemas.hosts import ConcurrencyLimit
from subjects import build
from subjects.topology import gpu_consumer

log = logging.getLogger("effectmesh.limits")

LOOK_S: Final = 30.0
RETRY_S: Final = 1.0


class LimitKeeper:
    """One in each process that runs Execution; several do the same."""

    def __init__(
        self,
        *,
        consumers: ConsumerLimits,
        entries: Entries,
        providers: Callable[[], Collection[str]],
        clock: Clock,
    ) -> None:
        self._consumers = consumers
        self._entries = entries
        self._providers = providers
        self._clock = clock
        self._changed = anyio.Event()

    async def run(self) -> None:
        """Keep the limits until cancelled."""
        async with anyio.create_task_group() as watching:
            watching.start_soon(self._watch)
            while True:
                self._changed = anyio.Event()
                wait = self._until_next()
                try:
                    await self.look()
                except BusError as away:
                    log.info("the limits of the providers have to wait: %s", away)
                    wait = RETRY_S
                with anyio.move_on_after(wait):
                    await self._changed.wait()

    async def _watch(self) -> None:
        """Note each change, also one that comes during a look."""
        while True:
            await self._entries.changed()
            self._changed.set()

    async def look(self) -> int:
        """Compare and correct once; return how many consumers were changed.

        Raises:
            BusError: the broker cannot say, or did not take a change.
        """
        changed = 0
        at = self._clock.now()
        for provider_id in sorted(self._providers()):
            wanted = limits.shares(self._order(provider_id), at=at)
            for lane, limit in wanted.items():
                consumer = gpu_consumer(lane, provider_id)
                found = await self._consumers.get(consumer)
                if found is None or found == limit:
                    continue
                await self._consumers.set(consumer, limit)
                log.info("%s: %d at once, instead of %d", consumer.name, limit, found)
                changed += 1
        return changed

    def _order(self, provider_id: str) -> ConcurrencyLimit | None:
        value = self._entries.get(build.concurrency_key(provider_id))
        if value is None:
            return None
        try:
            return msgspec.json.decode(value, type=ConcurrencyLimit)
        except msgspec.DecodeError as strange:
            log.error("the limit of %s cannot be read, so there is none: %s", provider_id, strange)
            return None

    def _until_next(self) -> float:
        """Return the seconds until the next look: a limit may end before it is due."""
        now = self._clock.now()
        ends = [
            (order.until - now).total_seconds()
            for order in map(self._order, self._providers())
            if order is not None and order.until != EPOCH and order.until > now
        ]
        return max(0.0, min([LOOK_S, *ends]))
