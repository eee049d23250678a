"""The queues of a provider on the broker: made while everything runs."""

from __future__ import annotations

from actors.runtime import provision
from actors.runtime.transport import Transport
from schemas.base import ProviderId
from subjects.topology import Topology, gpu_consumers


class BrokerQueues:
    """``Queues`` as durable consumers of CMD, one for each lane.

    The call names what the consumer filters, so that the broker can let the registry make
    consumers of renders and no others.
    """

    def __init__(self, *, bus: Transport) -> None:
        self._bus = bus

    async def ensure(self, provider_id: ProviderId) -> None:
        """Make a provider's queues unless they are there; what is there is left as it is."""
        consumers = gpu_consumers(provider_id)
        wanted = Topology(streams=(), consumers=consumers, buckets=())
        missing = {each.name for each in await provision.plan(self._bus, wanted) if not each.field}
        for consumer in consumers:
            if f"{consumer.stream}/{consumer.name}" not in missing:
                continue
            [subject] = consumer.filters
            await self._bus.api(
                f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}.{subject}",
                {
                    "stream_name": consumer.stream,
                    "config": provision.consumer_config(consumer),
                    "action": "create",
                },
            )
