"""The index of jobs and the slots, in a real Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import anyio
import asyncpg
import pytest
from msgspec import structs

from actors.orchestrator.index import RENDER_JOBS, JobAnswers
from actors.orchestrator.postgres import PostgresJobIndex, PostgresSlots
from actors.runtime.contract import GiveUp
from economics.exploration import slot_of
from effectmesh.database import migrate, pooled
from schemas.asks import (
    ANY_TENANT,
    FindEffect,
    FindJob,
    JobFound,
    JobPage,
    ListJobs,
    ListRenders,
    RendersListed,
)
from schemas.base import JobId, TaskId, TenantId, VideoId
from schemas.jobs import ENDINGS, Candidate, Job, JobState
from schemas.tasks import RetryPolicy, render_uri
from tests.builders import JOB, NOON, TENANT, VIDEO, execution_task, job_order
from tests.unit.orchestrator.script import Played, awaiting_approval, start_job

OTHER = TenantId("tnt_2")


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Yield connections to a database with every table."""
    async with pooled(database, size=8) as ready:
        await migrate(ready)
        yield ready


@pytest.fixture
def index(pool: asyncpg.Pool) -> PostgresJobIndex:
    """Return an empty index."""
    return PostgresJobIndex(pool=pool)


def ordered(job_id: str, *, minute: int = 0, tenant: TenantId = TENANT) -> Job:
    """Return a job that was just ordered."""
    at = NOON + timedelta(minutes=minute)
    order = job_order(job_id=JobId(job_id), tenant_id=tenant)
    return Job(order=order, state=JobState.INGESTED, created_at=at, updated_at=at)


def rendered(job_id: str, *, tenant: TenantId = TENANT) -> Job:
    """Return a job that ended after its only render failed."""
    task = execution_task(f"task_{job_id}", retry_policy=RetryPolicy(max_retries=0))
    return structs.replace(
        ordered(job_id, tenant=tenant),
        state=JobState.EXECUTION_FAILED,
        candidates={task.task_id: Candidate(task=task)},
    )


async def test_a_job_is_found_as_its_saga_left_it(index: PostgresJobIndex) -> None:
    """Candidates, ranking and all; the job page shows them."""
    job = awaiting_approval().job
    assert job is not None
    await index.store(job, 7)

    assert await index.find(TENANT, JOB) == JobFound(job=job, revision=7)
    assert await index.find(ANY_TENANT, JOB) == JobFound(job=job, revision=7)


async def test_an_older_record_never_overwrites_a_newer_one(index: PostgresJobIndex) -> None:
    """Records may be indexed twice, and by two processes at once."""
    early = Played().hear(start_job()).job
    late = awaiting_approval().job
    assert early is not None
    assert late is not None

    await index.store(late, 9)
    await index.store(early, 2)

    assert (await index.find(TENANT, JOB)).revision == 9
    [summary] = await index.page(TENANT, limit=10)
    assert summary.state is JobState.AWAITING_APPROVAL


async def test_another_tenants_job_is_absent(index: PostgresJobIndex) -> None:
    """Exactly like one that never was; neither listed nor usable as a cursor."""
    await index.store(ordered("job_1"), 1)
    await index.store(ordered("job_2", minute=1, tenant=OTHER), 1)

    assert await index.find(OTHER, JOB) == await index.find(OTHER, JobId("job_none"))
    assert [one.job_id for one in await index.page(TENANT, limit=10)] == ["job_1"]
    assert len(await index.page(ANY_TENANT, limit=10)) == 2
    assert await index.page(TENANT, limit=10, before="job_2") == ()


async def test_pages_come_newest_first_without_gap_or_overlap(index: PostgresJobIndex) -> None:
    """Also when jobs were created in the same instant."""
    for number in range(7):
        await index.store(ordered(f"job_{number}", minute=number // 3), 1)
    answers = JobAnswers(index=index)

    seen: list[str] = []
    before = ""
    for _ in range(4):
        page = await answers.answer(ListJobs(tenant_id=TENANT, limit=2, before=before))
        assert isinstance(page, JobPage)
        seen += [one.job_id for one in page.jobs]
        before = page.next

    assert seen == [f"job_{number}" for number in (6, 5, 4, 3, 2, 1, 0)]
    assert before == ""


@pytest.mark.parametrize(("asked", "given"), [(0, 1), (-3, 1), (10_000, 5)])
async def test_a_page_has_a_bound(index: PostgresJobIndex, asked: int, given: int) -> None:
    """Whatever a client asks for."""
    for number in range(5):
        await index.store(ordered(f"job_{number}", minute=number), 1)

    page = await JobAnswers(index=index).answer(ListJobs(tenant_id=TENANT, limit=asked))

    assert isinstance(page, JobPage)
    assert len(page.jobs) == given


async def test_words_that_postgres_refuses_do_not_hide_a_job(index: PostgresJobIndex) -> None:
    """A NUL in a wish must not stop the index for everybody."""
    wish = 'nul \x00, a written \\u0000, a quote " and \\\\'
    job = structs.replace(
        ordered("job_1"), order=job_order(wish=wish), reason="because \x00", code="x"
    )
    await index.store(job, 1)

    found = (await index.find(TENANT, JOB)).job
    assert found is not None
    assert found.order.wish == wish.replace("\x00", "\ufffd")


async def test_questions_are_answered_for_the_asking_tenant_only(index: PostgresJobIndex) -> None:
    """The tenant is part of the question."""
    await index.store(ordered("job_1"), 1)
    answers = JobAnswers(index=index)

    assert await answers.answer(FindJob(tenant_id=OTHER, job_id=JOB)) == JobFound()
    with pytest.raises(GiveUp, match="FindEffect"):
        await answers.answer(FindEffect(effect_id="fx_1"))


async def listed(
    index: PostgresJobIndex, tenant: TenantId = TENANT, after: str = ""
) -> RendersListed:
    """Ask where renders of the video may lie."""
    question = ListRenders(tenant_id=tenant, video_id=VIDEO, after=JobId(after))
    answer = await JobAnswers(index=index).answer(question)
    assert isinstance(answer, RendersListed)
    return answer


async def test_the_renders_of_a_video_are_named_with_those_that_no_result_names(
    index: PostgresJobIndex,
) -> None:
    """An agent that died after it stored has left a file that only its attempt leads to."""
    job = awaiting_approval().job
    assert job is not None
    await index.store(structs.replace(job, state=JobState.COMPLETE), 7)

    answer = await listed(index)

    named = {each.result.output_video_uri for each in job.candidates.values() if each.result}
    tries = {render_uri(task, number) for task in job.candidates for number in (1, 2, 3)}
    assert len(named) == 2
    assert set(answer.uris) == named | tries
    assert len(answer.uris) == len(set(answer.uris))
    assert (answer.unfinished, answer.next) == ((), "")


@pytest.mark.parametrize("state", list(JobState))
async def test_a_job_is_finished_when_it_has_ended(
    index: PostgresJobIndex, state: JobState
) -> None:
    """One that waits for an approval or is published still needs its render."""
    await index.store(structs.replace(ordered("job_1"), state=state), 1)

    expected = () if state in ENDINGS else ("job_1",)
    assert (await listed(index)).unfinished == expected


async def test_only_jobs_of_the_asking_tenants_video_are_looked_at(
    index: PostgresJobIndex,
) -> None:
    """Video ids are no secret, and deleting follows the answer."""
    await index.store(rendered("job_1"), 1)
    other = structs.replace(rendered("job_2").order, video_id=VideoId("vid_2"))
    await index.store(structs.replace(rendered("job_2"), order=other), 1)
    await index.store(rendered("job_3", tenant=OTHER), 1)

    assert (await listed(index)).uris == (render_uri(TaskId("task_job_1"), 1),)
    assert (await listed(index, OTHER)).uris == (render_uri(TaskId("task_job_3"), 1),)
    assert await listed(index, ANY_TENANT) == RendersListed()


async def test_many_jobs_of_one_video_are_listed_in_parts(index: PostgresJobIndex) -> None:
    """None twice, none left out, and no answer larger than a message."""
    names = sorted(f"job_{number}" for number in range(2 * RENDER_JOBS + 1))
    for name in names:
        await index.store(rendered(name), 1)

    seen: list[str] = []
    after, sizes = "", []
    for _ in range(3):
        answer = await listed(index, after=after)
        seen += answer.uris
        sizes.append(len(answer.uris))
        after = answer.next

    assert sorted(seen) == sorted(render_uri(TaskId(f"task_{name}"), 1) for name in names)
    assert (sizes, after) == ([RENDER_JOBS, RENDER_JOBS, 1], "")


async def test_a_job_keeps_its_number_for_ever(pool: asyncpg.Pool) -> None:
    """A retry or a replay must not explore anew."""
    slots = PostgresSlots(pool=pool)

    first = await slots.number("restyle", JOB)
    await slots.number("restyle", JobId("job_2"))

    assert (first, await slots.number("restyle", JOB)) == (0, 0)
    assert await slots.number("upscale", JOB) == 0


async def test_numbers_taken_at_once_leave_no_gap(pool: asyncpg.Pool) -> None:
    """One hundred jobs in a row hold exactly five explorations, or the 5 % is not exact."""
    slots = PostgresSlots(pool=pool)
    numbers: list[int] = []

    async def take(jobs: range) -> None:
        numbers.extend([await slots.number("restyle", JobId(f"job_{job}")) for job in jobs])

    async with anyio.create_task_group() as group:
        # every job asks from two sides
        for start in range(4):
            group.start_soon(take, range(start * 25, start * 25 + 25))
            group.start_soon(take, range(start * 25, start * 25 + 25))

    assert sorted(numbers) == sorted([*range(100), *range(100)])
    explored = [
        number
        for number in range(100)
        if slot_of(effect_type="restyle", number=number, key=b"k").explores
    ]
    assert len(explored) == 5
