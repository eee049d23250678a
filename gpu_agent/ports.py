"""What the agent needs besides its host and a media store."""

from __future__ import annotations

from typing import Protocol

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
