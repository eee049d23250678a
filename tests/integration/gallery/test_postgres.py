"""One suite for the catalog, in memory and in Postgres."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial

import anyio
import asyncpg
import pytest

from actors.gallery.ports import Catalog
from actors.gallery.postgres import PostgresCatalog
from effectmesh.database import migrate, pooled
from schemas.asks import GalleryItem
from schemas.base import EventId, JobId, ProviderId, TenantId
from tests.builders import JOB, NOON, TENANT
from tests.unit.gallery.memory import MemoryCatalog


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    """Yield connections to a database with every table."""
    async with pooled(database, size=4) as ready:
        await migrate(ready)
        yield ready


@pytest.fixture(params=["memory", "postgres"])
def catalog(request: pytest.FixtureRequest) -> Catalog:
    """Return an empty catalog."""
    if request.param == "memory":
        return MemoryCatalog()
    return PostgresCatalog(pool=request.getfixturevalue("pool"))


def draft(
    effect: str = "fx_1", revision: str = "rev_1", *, at: datetime = NOON, kind: str = "upscale"
) -> GalleryItem:
    """Return a revision that is not published yet."""
    return GalleryItem(
        effect_id=effect,
        revision_id=revision,
        revision=0,
        effect_type=kind,
        title="Upscale",
        video_uri=f"s3://gallery/{effect}/{revision}.mp4",
        content_hash="00",
        published_at=at,
        gallery_url=f"https://example.test/v1/gallery/{effect}",
        provider_id=ProviderId("fx-a"),
        composite_score=0.875,
    )


async def try_to_publish(
    catalog: Catalog, item: GalleryItem, cause: str = "evt_1"
) -> GalleryItem | None:
    """Publish for the job that the effect is named after, unless it was withdrawn."""
    job_id = JobId(item.effect_id.replace("fx", "job"))
    return await catalog.publish(item, job_id=job_id, tenant_id=TENANT, cause_id=EventId(cause))


async def publish(catalog: Catalog, item: GalleryItem, cause: str = "evt_1") -> GalleryItem:
    """Publish for the job that the effect is named after."""
    kept = await try_to_publish(catalog, item, cause)
    assert kept is not None
    return kept


async def test_a_published_revision_is_found_as_it_was_published(catalog: Catalog) -> None:
    """By its effect, and by the approval that led to it."""
    item = await publish(catalog, draft())

    assert (item.revision, item.composite_score, item.published_at) == (1, 0.875, NOON)
    assert await catalog.find("fx_1") == item
    assert await catalog.published_by(EventId("evt_1")) == item
    assert await catalog.page(limit=10) == (item,)


async def test_what_was_never_published_is_absent(catalog: Catalog) -> None:
    """No error, just nothing."""
    assert await catalog.find("fx_1") is None
    assert await catalog.published_by(EventId("evt_1")) is None
    assert await catalog.page(limit=10) == ()


async def test_the_same_revision_again_is_the_first_one(catalog: Catalog) -> None:
    """A redelivery must not count, nor move the date."""
    first = await publish(catalog, draft())
    again = await publish(catalog, draft(at=NOON + timedelta(hours=1)))

    assert again == first


async def test_a_new_revision_is_pinned_and_the_effect_keeps_its_place(catalog: Catalog) -> None:
    """Editing an old effect does not lift it over the new ones."""
    await publish(catalog, draft())
    await publish(catalog, draft("fx_2", at=NOON + timedelta(minutes=1)), "evt_2")
    second = await publish(catalog, draft(revision="rev_2", at=NOON + timedelta(hours=1)), "evt_3")

    assert second.revision == 2
    assert [item.revision_id for item in await catalog.page(limit=10)] == ["rev_1", "rev_2"]


async def test_pages_follow_a_cursor_and_an_effect_type(catalog: Catalog) -> None:
    """Newest first; an unknown cursor is the end."""
    for number, kind in enumerate(["upscale", "restyle", "upscale"]):
        item = draft(f"fx_{number}", at=NOON + timedelta(minutes=number), kind=kind)
        await publish(catalog, item, f"evt_{number}")

    newest = await catalog.page(limit=2)
    older = await catalog.page(limit=2, before=newest[-1].effect_id)
    upscaled = await catalog.page(limit=10, effect_type="upscale")

    assert [item.effect_id for item in newest] == ["fx_2", "fx_1"]
    assert [item.effect_id for item in older] == ["fx_0"]
    assert [item.effect_id for item in upscaled] == ["fx_2", "fx_0"]
    assert await catalog.page(limit=10, before="fx_none") == ()


async def test_a_withdrawn_effect_is_neither_listed_nor_found(catalog: Catalog) -> None:
    """Withdrawn twice is withdrawn once; the others keep their places."""
    for number in range(3):
        item = draft(f"fx_{number}", at=NOON + timedelta(minutes=number))
        await publish(catalog, item, f"evt_{number}")

    for _ in range(2):
        await catalog.withdraw(JobId("job_1"), TENANT, at=NOON)

    assert await catalog.is_withdrawn(JobId("job_1"), TENANT)
    assert await catalog.find("fx_1") is None
    assert [item.effect_id for item in await catalog.page(limit=10)] == ["fx_2", "fx_0"]
    # somebody may be turning the page just then
    assert [item.effect_id for item in await catalog.page(limit=10, before="fx_1")] == ["fx_0"]


async def test_a_withdrawn_job_publishes_nothing_any_more(catalog: Catalog) -> None:
    """Whether it was published before or not; its first revision stays on record."""
    first = await publish(catalog, draft())
    for job in ("job_1", "job_2"):
        await catalog.withdraw(JobId(job), TENANT, at=NOON)

    assert await try_to_publish(catalog, draft()) is None
    assert await try_to_publish(catalog, draft(revision="rev_2"), "evt_2") is None
    assert await try_to_publish(catalog, draft("fx_2"), "evt_3") is None
    assert await catalog.page(limit=10) == ()
    assert await catalog.published_by(EventId("evt_1")) == first
    assert await catalog.published_by(EventId("evt_2")) is None


async def test_another_tenants_withdrawal_changes_nothing(catalog: Catalog) -> None:
    """A job belongs to its tenant."""
    item = await publish(catalog, draft())
    await catalog.withdraw(JOB, TenantId("tnt_2"), at=NOON)

    assert not await catalog.is_withdrawn(JOB, TENANT)
    assert await catalog.find("fx_1") == item


async def test_an_approval_and_a_cancel_at_once_leave_nothing_shown(pool: asyncpg.Pool) -> None:
    """Whichever comes first in the database, a withdrawal is the last word."""
    catalog = PostgresCatalog(pool=pool)

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(try_to_publish, catalog, draft(f"fx_{number}"), f"evt_{number}")
            job_id = JobId(f"job_{number}")
            group.start_soon(partial(catalog.withdraw, job_id, TENANT, at=NOON))

    assert await catalog.page(limit=10) == ()


@pytest.mark.parametrize(
    "change",
    [
        "update gallery.revision set content_hash = 'ff'",
        "delete from gallery.revision",
        "truncate gallery.revision",
    ],
)
async def test_a_revision_can_not_be_changed(pool: asyncpg.Pool, change: str) -> None:
    """Not even by somebody who writes SQL."""
    await publish(PostgresCatalog(pool=pool), draft())

    with pytest.raises(asyncpg.RaiseError, match="never changes"):
        await pool.execute(change)


async def test_revisions_published_at_once_get_different_numbers(pool: asyncpg.Pool) -> None:
    """Two approvals of one effect must not both be revision 1."""
    catalog = PostgresCatalog(pool=pool)
    numbers: list[int] = []

    async def one(number: int) -> None:
        item = await publish(catalog, draft(revision=f"rev_{number}"), f"evt_{number}")
        numbers.append(item.revision)

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(one, number)

    assert sorted(numbers) == [1, 2, 3, 4]


async def test_a_job_has_one_effect(pool: asyncpg.Pool) -> None:
    """A second effect of a job would be a bug in the ids, and must not pass unseen."""
    catalog = PostgresCatalog(pool=pool)
    await publish(catalog, draft())

    with pytest.raises(asyncpg.UniqueViolationError):
        await catalog.publish(
            draft("fx_9"), job_id=JOB, tenant_id=TENANT, cause_id=EventId("evt_9")
        )
