"""The history in memory, for the tests and for a look around without a database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from actors.prompt_generation import history
from actors.prompt_generation.history import Asked, Ended, Outcome, Pruned
from actors.prompt_generation.ranking import Standing
from schemas.base import EventId, JobId, TaskId, TenantId


class MemoryHistory:
    """A ``PromptHistory`` that ends with the process."""

    def __init__(self) -> None:
        self._asked: dict[tuple[TenantId, EventId], Asked] = {}
        self._outcomes: dict[tuple[TenantId, TaskId], Outcome] = {}
        self._endings: dict[tuple[TenantId, JobId], Ended] = {}

    async def find(self, tenant_id: TenantId, event_id: EventId) -> Asked | None:
        """Return what was asked because of an event."""
        return self._asked.get((tenant_id, event_id))

    async def record(self, asked: Asked) -> Asked:
        """Keep what is asked; return what is kept, the older one if there is one."""
        return self._asked.setdefault((asked.tenant_id, asked.event_id), asked)

    async def of_job(self, tenant_id: TenantId, job_id: JobId) -> Sequence[Asked]:
        """Return what was asked for a job, the oldest first."""
        of_job = [
            each
            for each in self._asked.values()
            if (each.tenant_id, each.job_id) == (tenant_id, job_id)
        ]
        return sorted(of_job, key=lambda each: (each.at, each.event_id))

    async def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Add what is known of renders."""
        for new in outcomes:
            known = self._outcomes.get((new.tenant_id, new.task_id))
            if known is None:
                self._outcomes[new.tenant_id, new.task_id] = new
            elif known.job_id == new.job_id:
                self._outcomes[new.tenant_id, new.task_id] = history.merged(known, new)

    async def end(self, ended: Ended) -> None:
        """Keep how a job ended; the first ending stays."""
        self._endings.setdefault((ended.tenant_id, ended.job_id), ended)

    async def outcomes(self, tenant_id: TenantId, job_id: JobId) -> Sequence[Outcome]:
        """Return what is known of a job's renders, by task id."""
        of_job = [
            each
            for each in self._outcomes.values()
            if (each.tenant_id, each.job_id) == (tenant_id, job_id)
        ]
        return sorted(of_job, key=lambda each: each.task_id)

    async def standings(self, since: datetime) -> Sequence[Standing]:
        """Return what became of the jobs since a time, by template and version."""
        recent = [each for each in self._outcomes.values() if each.at >= since]
        return list(history.standings(recent, self._endings.values()))

    async def prune(self, *, asked: datetime, outcomes: datetime, limit: int) -> Pruned:
        """Forget what is older, at most ``limit`` of each."""
        words = [key for key, each in self._asked.items() if each.at < asked]
        renders = [key for key, each in self._outcomes.items() if each.at < outcomes]
        endings = [key for key, each in self._endings.items() if each.at < outcomes]
        for written in words[:limit]:
            del self._asked[written]
        for render in renders[:limit]:
            del self._outcomes[render]
        for ending in endings[:limit]:
            del self._endings[ending]
        return Pruned(
            asked=len(words[:limit]),
            outcomes=len(renders[:limit]),
            endings=len(endings[:limit]),
        )
