"""``ConsumerLimits`` and ``Backlog`` over the broker's own API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from actors.execution.ports import Queue
from actors.runtime.errors import ApiError
from actors.runtime.transport import Transport
from subjects.topology import Consumer, gpu_consumers

MISSING: Final = frozenset({10014, 10059})
"""What the API answers when there is no such consumer, and when there is no such stream."""
LIMIT: Final = "max_ack_pending"


class BrokerConsumers:
    """The consumers of renders, as the broker has them."""

    def __init__(self, *, bus: Transport) -> None:
        self._bus = bus

    async def get(self, consumer: Consumer) -> int | None:
        """Return how many messages of a consumer may be unanswered at once."""
        info = await self._info(consumer)
        return None if info is None else int(info["config"][LIMIT])

    async def set(self, consumer: Consumer, limit: int) -> None:
        """Change that number; everything else stays as the broker has it.

        The call names what the consumer filters, so that the broker can let us change consumers of
        renders and no others.
        """
        info = await self._info(consumer)
        if info is None or info["config"][LIMIT] == limit:
            return
        [subject] = consumer.filters
        await self._bus.api(
            f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}.{subject}",
            {
                "stream_name": consumer.stream,
                "config": info["config"] | {LIMIT: limit},
                "action": "update",
            },
        )

    async def read(self, provider_ids: Sequence[str]) -> Sequence[Queue]:
        """Return how much work of each provider there is, over all lanes."""
        queues: list[Queue] = []
        for provider_id in provider_ids:
            infos = [await self._info(each) for each in gpu_consumers(provider_id)]
            known = [each for each in infos if each is not None]
            if known:
                queues.append(
                    Queue(
                        provider_id=provider_id,
                        waiting=sum(int(each["num_pending"]) for each in known),
                        running=sum(int(each["num_ack_pending"]) for each in known),
                    )
                )
        return queues

    async def _info(self, consumer: Consumer) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = await self._bus.api(
                f"CONSUMER.INFO.{consumer.stream}.{consumer.name}"
            )
        except ApiError as refused:
            if refused.code not in MISSING:
                raise
            return None
        return found
