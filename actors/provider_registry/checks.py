"""The check of every provider that is made each ``WINDOW_S`` seconds, in one process of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from actors.provider_registry import core
from actors.provider_registry.changing import SETTLED, proof
from actors.provider_registry.core import DISABLED, DRAFT
from actors.provider_registry.health import (
    DAY,
    HEALTHY,
    OFFLINE,
    UNKNOWN,
    Pulse,
    Record24h,
    health,
    judge,
    starts,
    window_of,
)
from actors.provider_registry.ports import Checkup, Fleet, Records, Vitals
from actors.provider_registry.words import PLATFORM, entry
from actors.runtime.contract import Said
from actors.runtime.follow import begin, derived_id
from schemas.base import JobId, ProviderId
from schemas.events import ProviderStatus, ProviderStatusChanged
from schemas.routing import ProviderRecord


class HealthChecks:
    """Finds how each provider is, and says when that changes.

    The shell calls ``check`` once in every window, stores and says what comes back, and then calls
    ``said``. Of several processes one makes each check. One that dies before it has said what it
    found leaves it to be said after the next check, under the same id.
    """

    def __init__(self, *, records: Records, vitals: Vitals, fleet: Fleet) -> None:
        self._records = records
        self._vitals = vitals
        self._fleet = fleet
        self._saying: Mapping[ProviderId, int] = {}

    async def check(self, now: datetime, *, shown: Mapping[str, ProviderRecord]) -> Sequence[Said]:
        """Check every provider, unless another process did; return what is to be said.

        ``shown`` is the REGISTRY bucket: what differs there from the store is put right, so an
        entry that was lost or overtaken lasts no longer than a window.
        """
        window = window_of(now)
        if not await self._vitals.claim(window):
            return []
        records = await self._records.current()
        await self._remember_proofs(records, now)
        recent = await self._vitals.recent(now - DAY)
        pulses = await self._vitals.pulses()
        await self._vitals.store(
            {
                each.provider_id: self._checked(
                    each,
                    pulses.get(each.provider_id, Pulse()),
                    recent.get(each.provider_id, Record24h()),
                    window=window,
                    at=starts(window, now),
                )
                for each in records
                if each.status != DISABLED
            }
        )
        unsaid = await self._vitals.unsaid()
        self._saying = {name: each.window for name, each in unsaid.items()}
        entries = [
            entry(each)
            for each in await self._records.current()
            if _differs(each, shown.get(each.provider_id))
        ]
        return [*entries, *(_crossed(name, each) for name, each in sorted(unsaid.items()))]

    async def said(self) -> None:
        """Note that what the last check returned is stored on the bus."""
        if self._saying:
            await self._vitals.said(self._saying)
            self._saying = {}

    def _checked(
        self,
        record: ProviderRecord,
        before: Pulse,
        recent: Record24h,
        *,
        window: int,
        at: datetime,
    ) -> Checkup:
        agents = len(self._fleet.able(record.provider_id))
        pulse = judge(before, recent, agents=agents)
        # that a provider came up is no news, and nobody waits for a draft
        first_well = before.status == UNKNOWN and pulse.status == HEALTHY
        news = pulse.status != before.status and not first_well and record.status != DRAFT
        return Checkup(
            pulse=pulse,
            health=health(pulse, recent, agents=agents, at=at),
            crossed=before.status if news else "",
            window=window,
        )

    async def _remember_proofs(self, records: Sequence[ProviderRecord], now: datetime) -> None:
        """Keep what agents prove: a provider that is switched off is tried by none of them."""
        for record in records:
            able = self._fleet.able(record.provider_id)
            if not able:
                continue
            known = await self._records.known(record.provider_id)
            if known is None or core.graph_digest(known.record) in known.validated:
                continue
            if proof(known, able) and now >= known.stored_at + SETTLED:
                digest = core.graph_digest(known.record)
                await self._records.validate(digest, host=able[0].agent_id, at=now)


def _differs(record: ProviderRecord, shown: ProviderRecord | None) -> bool:
    """Tell whether an entry must be put again; a score that moved a little wakes nobody up."""
    if shown is None:
        return True
    return _plain(record) != _plain(shown) or _health_of(record) != _health_of(shown)


def _plain(record: ProviderRecord) -> ProviderRecord:
    return replace(record, health=None)


def _health_of(record: ProviderRecord) -> str:
    return record.health.status if record.health else UNKNOWN


def _crossed(provider_id: ProviderId, checkup: Checkup) -> ProviderStatusChanged:
    """Return the fact, under the same id in every process and at every repeat."""
    event_id = derived_id("evt", "health", provider_id, checkup.pulse.status, str(checkup.window))
    header = begin(
        job_id=JobId(provider_id),
        tenant_id=PLATFORM,
        at=checkup.health.last_check,
        event_id=event_id,
    )
    return ProviderStatusChanged(
        **header,
        payload=ProviderStatus(
            provider_id=provider_id,
            status=checkup.pulse.status,
            previous=checkup.crossed,
            health_score=checkup.health.health_score,
            reason=_why(checkup),
            aspect="health",
        ),
    )


def _why(checkup: Checkup) -> str:
    health_now = checkup.health
    if checkup.pulse.status == OFFLINE:
        return "no agent can run it"
    if health_now.success_rate_24h is None:
        return "an agent can run it"
    return f"{health_now.success_rate_24h:.0%} of its renders of a day succeeded"
