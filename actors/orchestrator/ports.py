"""What the saga needs from outside."""

from __future__ import annotations

from typing import Protocol

from schemas.asks import JobFound, JobSummary
from schemas.base import JobId, TenantId, VideoId
from schemas.jobs import Job
from schemas.routing import RoutingManifest


class Routes(Protocol):
    """The local copy of the routing manifest."""

    def manifest(self) -> RoutingManifest | None:
        """Return the newest manifest, ``None`` before the first one was published."""
        ...


class Slots(Protocol):
    """The sequence of jobs of each effect type; it decides which of them explore."""

    async def number(self, effect_type: str, job_id: JobId) -> int:
        """Return the job's number, counted from 0, the same one for ever.

        Raises:
            TryLater: the counter cannot be reached.
        """
        ...


class JobIndex(Protocol):
    """Every job as its last record says, to be listed and found."""

    async def store(self, job: Job, revision: int) -> None:
        """Keep a job unless a newer revision is known. ``revision`` grows with every record."""
        ...

    async def page(
        self, tenant_id: TenantId, *, limit: int, before: str = ""
    ) -> tuple[JobSummary, ...]:
        """Return the newest jobs of a tenant that are older than the job ``before``."""
        ...

    async def find(self, tenant_id: TenantId, job_id: JobId) -> JobFound:
        """Return one job; another tenant's job is absent."""
        ...

    async def of_video(
        self, tenant_id: TenantId, video_id: VideoId, *, limit: int, after: JobId
    ) -> tuple[Job, ...]:
        """Return the jobs of a tenant's video that come after the job ``after``, by id."""
        ...
