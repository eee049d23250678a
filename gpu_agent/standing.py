"""How the queues stand that a host can serve, and which of them a free slot pulls.

The rules are ``affinity``'s; this asks the server and keeps count. One call tells which queues hold
anything at all, so an idle fleet costs little; only those that do are asked for their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import anyio
from msgspec import Struct

from actors.runtime.errors import ApiError, BusError
from actors.runtime.pulling import Pull
from actors.runtime.transport import Transport
from gpu_agent.affinity import Affinity, Ages, Queue
from gpu_agent.loaded import is_warm
from gpu_agent.ports import Alone, Peers
from schemas.lanes import BATCH
from schemas.routing import ProviderRecord
from subjects import build
from subjects.topology import CMD, Consumer

LOOK_S: Final = 1.0
"""How often it is looked while every slot is busy, so that it is known since when work waits."""
FRESH_S: Final = 0.1
"""Slots that ask at the same time share one look."""


class Served(Struct, frozen=True, kw_only=True):
    """One queue that the host could serve."""

    consumer: Consumer
    lane: str
    record: ProviderRecord


class _Numbers(Struct, frozen=True, kw_only=True):
    waiting: int = 0
    out: int = 0
    came_at: float = 0.0


class Standing:
    """A ``Plan``: looks, and has ``affinity`` decide."""

    def __init__(
        self,
        *,
        bus: Transport,
        served: Callable[[], Sequence[Served]],
        loaded: Callable[[], frozenset[str]],
        peers: Peers | None = None,
        affinity: Affinity | None = None,
    ) -> None:
        self._bus = bus
        self._served = served
        self._loaded = loaded
        self._peers = peers or Alone()
        self._affinity = affinity or Affinity()
        self._ages: dict[str, Ages] = {}
        self._heads: dict[str, int] = {}
        self._numbers: dict[str, _Numbers] = {}
        self._warm: dict[str, frozenset[str]] = {}
        """Who else is warm for which queue."""
        self._joined_at: dict[str, float] = {}
        self._looked_at = float("-inf")
        self._looking = anyio.Lock()
        self.hits = 0
        """Messages taken that needed no load."""
        self.misses = 0

    async def offers(self, *, free_since: float) -> Sequence[Pull]:
        """Return what a slot tries now.

        Raises:
            BusError: the broker does not tell how the queues stand.
        """
        served = self._served()
        if not served:
            return ()
        await self._look(FRESH_S)
        queues = [self._queue(each) for each in served]
        return self._affinity.order(queues, now=anyio.current_time(), free_since=free_since)

    def took(self, pull: Pull) -> None:
        """Count the message, and do not take the numbers of before for true any more."""
        self._looked_at = float("-inf")
        for each in self._served():
            if each.consumer.name == pull.consumer.name:
                warm = is_warm(each.record, self._loaded())
                self.hits += int(warm)
                self.misses += int(not warm)

    async def run(self) -> None:
        """Look from time to time until cancelled."""
        while True:
            await anyio.sleep(LOOK_S)
            try:
                await self._look(LOOK_S / 2)
            except BusError:
                continue  # the slots wait for the broker too

    async def _look(self, fresh_s: float) -> None:
        self._watch()
        async with self._looking:
            if anyio.current_time() - self._looked_at < fresh_s:
                return
            told = await self._bus.api(
                f"STREAM.INFO.{CMD}", {"subjects_filter": build.all_gpu_work()}
            )
            held: dict[str, Any] = told["state"].get("subjects") or {}
            names = {each.consumer.name: each.consumer for each in self._served()}
            for known in (self._ages, self._heads, self._numbers):
                for gone in known.keys() - names.keys():
                    del known[gone]
            for name, consumer in names.items():
                numbers = None
                if any(held.get(subject) for subject in consumer.filters):
                    numbers = await self._count(consumer)
                if numbers is None:
                    self._numbers.pop(name, None)
                    self._ages.pop(name, None)
                else:
                    self._numbers[name] = numbers
            self._looked_at = anyio.current_time()

    def _watch(self) -> None:
        """Note which other hosts are warm, and when one became it."""
        served, others = self._served(), self._peers.others()
        for each in served:
            name, record = each.consumer.name, each.record
            warm = frozenset(
                peer.agent_id
                for peer in others
                if record.provider_id in peer.provider_ids and is_warm(record, peer.loaded)
            )
            # who was warm before we looked for the first time has been it for nobody knows how long
            if warm - self._warm.get(name, warm):
                self._joined_at[name] = anyio.current_time()
            self._warm[name] = warm
        for name in self._warm.keys() - {each.consumer.name for each in served}:
            del self._warm[name]
            self._joined_at.pop(name, None)

    async def _count(self, consumer: Consumer) -> _Numbers | None:
        try:
            info = await self._bus.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}")
        except ApiError:
            return None  # the provider is new, and its queue is not there yet
        now = anyio.current_time()
        waiting, delivered = int(info["num_pending"]), info["delivered"]
        # What is delivered again counts as delivered and was not waiting: while the newest that
        # was delivered is the same, nothing has left the queue.
        head, ages = int(delivered["stream_seq"]), self._ages.setdefault(consumer.name, Ages())
        moved = head != self._heads.get(consumer.name)
        self._heads[consumer.name] = head
        came_at = ages.update(
            at=now, waiting=waiting, delivered=int(delivered["consumer_seq"]), moved=moved
        )
        return _Numbers(waiting=waiting, out=int(info["num_ack_pending"]), came_at=came_at)

    def _queue(self, each: Served) -> Queue:
        numbers = self._numbers.get(each.consumer.name, _Numbers())
        record = each.record
        return Queue(
            consumer=each.consumer,
            warm=is_warm(record, self._loaded()),
            batch=each.lane == BATCH,
            waiting=numbers.waiting,
            came_at=numbers.came_at,
            out=numbers.out,
            warm_elsewhere=bool(self._warm.get(each.consumer.name)),
            joined_at=self._joined_at.get(each.consumer.name, float("-inf")),
            load_s=record.cost_model.cold_start_penalty_seconds,
        )
