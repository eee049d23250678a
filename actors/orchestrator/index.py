"""Answers about jobs, from the index."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from actors.orchestrator.ports import JobIndex
from actors.runtime.contract import GiveUp
from schemas.asks import PAGE_LIMIT, FindJob, JobPage, ListJobs, ListRenders, RendersListed
from schemas.base import JobId
from schemas.jobs import ENDINGS, Job
from schemas.tasks import render_uri

FIRST: Final = 1
RENDER_JOBS: Final = 25
"""Jobs looked through for one answer about a video: it stays far below the limit of a message."""


class JobAnswers:
    """Answers ``ListJobs``, ``FindJob`` and ``ListRenders``."""

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
        if isinstance(question, ListRenders):
            return await self._renders(question)
        raise GiveUp(f"no answer to {type(question).__name__} is known here")

    async def _page(self, question: ListJobs) -> JobPage:
        limit = min(max(question.limit, FIRST), PAGE_LIMIT)
        # one more than asked for tells whether there is a next page
        found = await self._index.page(question.tenant_id, limit=limit + 1, before=question.before)
        jobs = found[:limit]
        return JobPage(jobs=jobs, next=jobs[-1].job_id if len(found) > limit else "")

    async def _renders(self, question: ListRenders) -> RendersListed:
        found = await self._index.of_video(
            question.tenant_id, question.video_id, limit=RENDER_JOBS + 1, after=question.after
        )
        jobs = found[:RENDER_JOBS]
        return RendersListed(
            uris=tuple(uri for job in jobs for uri in renders_of(job)),
            unfinished=tuple(job.order.job_id for job in jobs if job.state not in ENDINGS),
            next=jobs[-1].order.job_id if len(found) > RENDER_JOBS else JobId(""),
        )


def renders_of(job: Job) -> tuple[str, ...]:
    """Return every address where a render of a job may lie.

    Only one attempt of a task is in its result. An agent that stored another one and died before it
    said so has left it behind, and so has one whose job ended meanwhile.
    """
    uris: dict[str, None] = {}
    for each in job.candidates.values():
        attempts = each.task.retry_policy.max_retries + 1
        uris |= dict.fromkeys(render_uri(each.task.task_id, n + 1) for n in range(attempts))
        if each.result is not None and each.result.output_video_uri:
            uris[each.result.output_video_uri] = None
    return tuple(uris)
