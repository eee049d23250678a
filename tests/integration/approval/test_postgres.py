"""One suite for the queue and the messages, in memory and in Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import anyio
import asyncpg
import pytest

from actors.approval.ports import APPROVED, REJECTED, Notifications, Queue, Verdict
from actors.approval.postgres import PostgresNotifications, PostgresQueue
from effectmesh.database import migrate, pooled
from schemas.asks import ANY_TENANT, Notification
from schemas.base import EventId, JobId, TenantId, UserId
from tests.builders import JOB, NOON, TENANT, USER, selection
from tests.unit.approval.memory import MemoryNotifications, MemoryQueue

OTHER = TenantId("tnt_2")
ADMIN = UserId("usr_admin")


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Yield connections to a database with every table."""
    async with pooled(database, size=4) as ready:
        await migrate(ready)
        yield ready


@pytest.fixture(params=["memory", "postgres"])
def queue(request: pytest.FixtureRequest) -> Queue:
    """Return an empty queue."""
    if request.param == "memory":
        return MemoryQueue()
    return PostgresQueue(pool=request.getfixturevalue("pool"))


@pytest.fixture(params=["memory", "postgres"])
def notifications(request: pytest.FixtureRequest) -> Notifications:
    """Return an empty store of messages."""
    if request.param == "memory":
        return MemoryNotifications()
    return PostgresNotifications(pool=request.getfixturevalue("pool"))


async def decide(queue: Queue, state: str, cause: str, tenant: TenantId = TENANT) -> Verdict | None:
    """Decide about the job."""
    return await queue.decide(
        JOB,
        tenant,
        state=state,
        decided_by=ADMIN,
        reason="a\x00b" if state == REJECTED else "fine",
        at=NOON,
        cause_id=EventId(cause),
    )


async def test_a_pending_job_comes_back_as_it_was_put_in(queue: Queue) -> None:
    """The admin sees the ranking, the costs and the comparison as they were chosen."""
    await queue.add(JOB, TENANT, selection(comparison_summary="a won"), at=NOON)

    place = await queue.find(TENANT, JOB)
    assert place is not None
    assert (place.state, place.requested_at) == ("pending", NOON)
    assert place.selection == selection(comparison_summary="a won")


async def test_the_first_decision_stands(queue: Queue) -> None:
    """Whatever comes after it."""
    await queue.add(JOB, TENANT, selection(), at=NOON)

    first = await decide(queue, APPROVED, "evt_1")
    again = await decide(queue, REJECTED, "evt_2")

    assert first == again
    assert first is not None
    assert (first.state, first.cause_id, first.decided_at) == (APPROVED, "evt_1", NOON)
    assert first.selection == selection()


async def test_another_tenants_job_is_unknown(queue: Queue) -> None:
    """It can be neither seen nor decided."""
    await queue.add(JOB, TENANT, selection(), at=NOON)

    assert await decide(queue, APPROVED, "evt_1", tenant=OTHER) is None
    assert await queue.find(OTHER, JOB) is None
    assert await queue.page(OTHER, state="pending", limit=10) == ()
    assert await queue.find(ANY_TENANT, JOB) is not None


async def test_the_longest_waiting_comes_first(queue: Queue) -> None:
    """And only as many as asked for."""
    for number in (3, 1, 2):
        at = NOON + timedelta(minutes=number)
        await queue.add(JobId(f"job_{number}"), TENANT, selection(), at=at)

    page = await queue.page(ANY_TENANT, state="pending", limit=2)

    assert [one.job_id for one in page] == ["job_1", "job_2"]


async def test_a_withdrawn_job_can_not_be_decided(queue: Queue) -> None:
    """Nor does its late request bring it back."""
    await queue.withdraw(JOB, TENANT, at=NOON)
    assert await queue.page(ANY_TENANT, state="", limit=10) == ()
    await queue.add(JOB, TENANT, selection(), at=NOON)

    verdict = await decide(queue, APPROVED, "evt_1")

    assert verdict is not None
    assert verdict.state == "withdrawn"
    assert [one.state for one in await queue.page(TENANT, state="", limit=10)] == ["withdrawn"]


async def test_withdrawing_leaves_a_decision_alone(queue: Queue) -> None:
    """The record of who decided what stays."""
    await queue.add(JOB, TENANT, selection(), at=NOON)
    await decide(queue, REJECTED, "evt_1")
    await queue.withdraw(JOB, TENANT, at=NOON)

    place = await queue.find(TENANT, JOB)
    assert place is not None
    assert place.state == REJECTED
    assert await queue.has_ended(JOB, TENANT)


async def test_the_ending_of_a_job_is_remembered(queue: Queue) -> None:
    """Whether it never asked, still waited, or was approved; for its own tenant alone."""
    asked, approved, silent = JobId("job_2"), JOB, JobId("job_3")
    for job_id in (asked, approved):
        await queue.add(job_id, TENANT, selection(), at=NOON)
    await decide(queue, APPROVED, "evt_1")
    assert not await queue.has_ended(approved, TENANT)
    await queue.withdraw(approved, OTHER, at=NOON)
    assert not await queue.has_ended(approved, TENANT)

    for job_id in (asked, approved, silent):
        await queue.withdraw(job_id, TENANT, at=NOON)

        assert await queue.has_ended(job_id, TENANT)
        assert not await queue.has_ended(job_id, OTHER)
    verdict = await decide(queue, REJECTED, "evt_2")
    assert verdict is not None
    assert (verdict.state, verdict.cause_id) == (APPROVED, "evt_1")


async def test_of_two_decisions_at_once_one_wins(pool: asyncpg.Pool) -> None:
    """Both hear of the same one."""
    queue = PostgresQueue(pool=pool)
    await queue.add(JOB, TENANT, selection(), at=NOON)
    heard: list[Verdict | None] = []

    async def answer(state: str, cause: str) -> None:
        heard.append(await decide(queue, state, cause))

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(answer, (APPROVED, REJECTED)[number % 2], f"evt_{number}")

    assert len(heard) == 4
    assert all(one == heard[0] for one in heard)


async def test_a_message_is_stored_once_and_the_newest_comes_first(
    notifications: Notifications,
) -> None:
    """A redelivery must not show it twice."""
    for number in (1, 2, 2):
        told = Notification(
            user_id=USER,
            job_id=JOB,
            kind=f"kind_{number}",
            channel="in_app",
            subject="subject",
            body="body",
            at=NOON + timedelta(minutes=number),
        )
        await notifications.store(EventId(f"evt_{number}"), TENANT, told)

    page = await notifications.page(TENANT, USER, limit=10)
    assert [one.kind for one in page] == ["kind_2", "kind_1"]
    assert await notifications.page(OTHER, USER, limit=10) == ()
    assert await notifications.page(TENANT, UserId("usr_2"), limit=10) == ()
