"""The agents that are alive, from the copy of PRESENCE."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from actors.provider_registry.changing import Able
from schemas.base import EPOCH, ProviderId


class Sighting(Struct, frozen=True, kw_only=True):
    """What of an agent's presence matters here; the agent says more."""

    agent_id: str
    provider_ids: tuple[ProviderId, ...] = ()
    at: datetime = EPOCH


class PresentFleet:
    """``Fleet`` over whatever holds the newest presence of each agent."""

    def __init__(self, present: Callable[[], Mapping[str, Sighting]]) -> None:
        self._present = present

    def able(self, provider_id: ProviderId) -> Sequence[Able]:
        """Return those that say that they can run a provider, sorted by id."""
        return [
            Able(agent_id=each.agent_id, at=each.at)
            for _, each in sorted(self._present().items())
            if provider_id in each.provider_ids
        ]
