"""Module 3: the provider catalog."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from actors.provider_registry.changing import DONE, decide
from actors.provider_registry.core import DISABLED
from actors.provider_registry.ports import Fleet, Queues, Records, Vitals
from actors.provider_registry.words import entry, status_changed
from actors.runtime.contract import Clock, GiveUp, Said
from actors.runtime.follow import follow
from economics.failures import RULES, classified
from schemas.asks import ProviderChange
from schemas.base import Message, ProviderId
from schemas.commands import PutProvider, SetProviderStatus
from schemas.events import ProviderStatusChanged, TaskFailed, TaskSucceeded


class ProviderRegistry:
    """Module 3: knows every provider.

    Hears:    PutProvider, SetProviderStatus; TaskSucceeded, TaskFailed
    Says:     ProviderStatusChanged, the entries of REGISTRY
    Owns:     the schema provider_registry: immutable revisions, a status for each provider
    Repeats:  harmless; an order is decided once, under its event id, and a render counts once
    """

    def __init__(
        self, *, records: Records, vitals: Vitals, queues: Queues, fleet: Fleet, clock: Clock
    ) -> None:
        self._records = records
        self._vitals = vitals
        self._queues = queues
        self._fleet = fleet
        self._clock = clock

    async def receive(self, heard: Message) -> Sequence[Said]:
        """Decide about an order, or note what became of a render.

        Raises:
            GiveUp: an order without a provider's id.
        """
        match heard:
            case PutProvider(payload=edition):
                return await self._change(heard, edition.record.provider_id)
            case SetProviderStatus(payload=order):
                return await self._change(heard, order.provider_id)
            case TaskSucceeded() | TaskFailed():
                await self._note(heard)
        return []

    async def _change(
        self, heard: PutProvider | SetProviderStatus, provider_id: ProviderId
    ) -> Sequence[Said]:
        """Store the decision; only then make the queues, and only then tell the agents."""
        if not provider_id:
            raise GiveUp("the order names no provider")
        change = await self._records.change(
            heard.event_id,
            provider_id,
            lambda known, validated: decide(
                known,
                heard,
                validated=validated,
                able=self._fleet.able(provider_id),
                at=self._clock.now(),
            ),
        )
        if change.outcome != DONE:
            return []
        return await self._told(heard, change)

    async def _told(self, heard: Message, change: ProviderChange) -> Sequence[Said]:
        record = await self._records.find(change.provider_id)
        assert record is not None, "what was changed is there"
        if record.status != DISABLED:
            await self._queues.ensure(change.provider_id)
        said: list[Said] = [entry(record)]
        if change.status != change.previous:
            header = follow(heard, ProviderStatusChanged, at=change.at)
            # a redelivery says what was said then, whatever the status is by now
            then = replace(record, status=change.status)
            said.append(
                status_changed(header, then, previous=change.previous, reason=change.reason)
            )
        return said

    async def _note(self, heard: TaskSucceeded | TaskFailed) -> None:
        """Remember a render if it tells something about the provider."""
        if isinstance(heard, TaskSucceeded):
            telemetry = heard.payload.execution_telemetry
            await self._vitals.note(
                heard.event_id,
                heard.payload.provider_id,
                succeeded=True,
                duration_ms=None if telemetry.cached else telemetry.actual_duration_ms,
                at=heard.timestamp,
            )
            return
        failure = heard.payload
        if RULES[classified(failure.failure_class, failure.error_code)].counts:
            await self._vitals.note(
                heard.event_id,
                failure.provider_id,
                succeeded=False,
                duration_ms=None,
                at=heard.timestamp,
            )
