"""What the agent needs besides its host and a media store."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from gpu_agent.presence import Presence
from schemas.base import JobId, ProviderId
from schemas.routing import ProviderRecord


class Providers(Protocol):
    """The agent's local copy of the REGISTRY bucket."""

    def find(self, provider_id: ProviderId) -> ProviderRecord | None:
        """Return the current record, ``None`` when it is not known here."""
        ...


class Cancellations(Protocol):
    """The agent's view of the ``cancel.<job>`` keys of the CONTROL bucket."""

    async def wait(self, job_id: JobId) -> None:
        """Return when the job is cancelled, at once when it is already."""
        ...


class Peers(Protocol):
    """The agent's local copy of the PRESENCE bucket."""

    def others(self) -> Collection[Presence]:
        """Return the other agents that are alive."""
        ...


class Folders(Protocol):
    """The host's own files, where the agent can reach them."""

    async def clear(self, prompt_id: str) -> None:
        """Remove what one run left."""
        ...

    async def clear_old(self) -> None:
        """Remove what runs of long ago left."""
        ...


class Alone:
    """There are no other agents."""

    def others(self) -> Collection[Presence]:
        """Return nobody."""
        return ()


class OutOfReach:
    """The host's files are on another machine: it overwrites and piles up as it likes."""

    async def clear(self, prompt_id: str) -> None:
        """Leave them."""

    async def clear_old(self) -> None:
        """Leave them."""
