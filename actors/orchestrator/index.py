"""Answers about jobs, from the index."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from actors.orchestrator.ports import JobIndex
from actors.runtime.contract import GiveUp
from schemas.asks import PAGE_LIMIT, FindJob, JobPage, ListJobs

FIRST: Final = 1


class JobAnswers:
    """Answers ``ListJobs`` and ``FindJob``."""

    def __init__(self, *, index: JobIndex) -> None:
        self._index = index

    async def answer(self, question: Struct) -> Struct:
        """Look it up.

        Raises:
            GiveUp: this is no question about jobs.
        """
        if isinstance(question, FindJob):
            return await self._index.find(question.tenant_id, question.job_id)
        if isinstance(question, ListJobs):
            return await self._page(question)
        raise GiveUp(f"no answer to {type(question).__name__} is known here")

    async def _page(self, question: ListJobs) -> JobPage:
        limit = min(max(question.limit, FIRST), PAGE_LIMIT)
        # one more than asked for tells whether there is a next page
        found = await self._index.page(question.tenant_id, limit=limit + 1, before=question.before)
        jobs = found[:limit]
        return JobPage(jobs=jobs, next=jobs[-1].job_id if len(found) > limit else "")
