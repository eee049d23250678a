"""What every memory of uploads must do: the one in Postgres, and the fake that stands in for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec
import pytest

from actors.video_intake.core import Kept, Review, Upload, UploadState
from actors.video_intake.memory import MemoryUploads
from actors.video_intake.policy import RetentionPolicy
from actors.video_intake.ports import Uploads
from actors.video_intake.postgres import PostgresUploads
from effectmesh.database import migrate
from media.screening import Outcome, Screening
from schemas.asks import ANY_TENANT
from schemas.base import TenantId, VideoId
from tests.builders import TENANT, USER, VIDEO, metadata

AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
ACCEPTED = Upload(
    uploaded_at=AT,
    video_id=VIDEO,
    tenant_id=TENANT,
    user_id=USER,
    source_uri="s3://intake/raw/tnt_1/vid_1",
    state=UploadState.ACCEPTED,
    metadata=metadata(content_hash="ab" * 32, fps=29.97),
)
NORMALIZED = msgspec.structs.replace(
    ACCEPTED,
    state=UploadState.NORMALIZED,
    normalized=metadata(resolution="720x404"),
    fingerprint="5" * 128,
    duplicate_of=VideoId("vid_8"),
    similar_to=VideoId("vid_9"),
    screening=Screening(outcome=Outcome.PASSED, why="an admin", nudity=(0.25, 0.5)),
    review=Review(decided_by=USER, decided_at=AT, note="it's fine"),
    kept=Kept.DERIVED,
)
REJECTED = msgspec.structs.replace(
    ACCEPTED,
    state=UploadState.REJECTED,
    metadata=None,
    code="TRUNCATED",
    reason="Part of it's missing.",
    hint="Upload it again.",
    detail="exit\x00code",
)
OTHER = TenantId("tnt_2")


@pytest.fixture(params=["memory", "postgres"])
async def uploads(request: pytest.FixtureRequest) -> AsyncIterator[Uploads]:
    """Return an empty memory."""
    if request.param == "memory":
        yield MemoryUploads()
        return
    async with asyncpg.create_pool(request.getfixturevalue("database"), min_size=1) as pool:
        await migrate(pool)
        await migrate(pool)  # every start applies it
        yield PostgresUploads(pool=pool)


async def test_what_is_recorded_is_found(uploads: Uploads) -> None:
    """Every field comes back as it was."""
    await uploads.record(NORMALIZED)

    assert await uploads.find(VIDEO, TENANT) == NORMALIZED


async def test_nothing_recorded_is_none(uploads: Uploads) -> None:
    """An unknown upload is an answer, not an error."""
    assert await uploads.find(VIDEO, TENANT) is None


async def test_another_tenants_upload_is_not_found(uploads: Uploads) -> None:
    """It must look exactly like an absent one."""
    await uploads.record(ACCEPTED)

    assert await uploads.find(VIDEO, OTHER) is None
    assert await uploads.find(VIDEO, ANY_TENANT) == ACCEPTED


async def test_two_tenants_may_use_the_same_id(uploads: Uploads) -> None:
    """Nobody can overwrite another tenant's record by guessing its id."""
    theirs = msgspec.structs.replace(
        ACCEPTED, tenant_id=OTHER, source_uri="s3://intake/raw/tnt_2/x"
    )
    await uploads.record(ACCEPTED)
    await uploads.record(theirs)

    assert await uploads.find(VIDEO, TENANT) == ACCEPTED
    assert await uploads.find(VIDEO, OTHER) == theirs


async def test_the_newest_state_counts(uploads: Uploads) -> None:
    """A refused upload can be replaced by a good one under the same id."""
    await uploads.record(REJECTED)
    await uploads.record(ACCEPTED)
    await uploads.record(NORMALIZED)

    assert await uploads.find(VIDEO, TENANT) == NORMALIZED


async def test_accepting_again_does_not_undo_normalising(uploads: Uploads) -> None:
    """A question that was under way while the job ran must not cause a second transcode."""
    await uploads.record(NORMALIZED)
    await uploads.record(ACCEPTED)

    assert await uploads.find(VIDEO, TENANT) == NORMALIZED


async def test_accepting_from_another_address_starts_over(uploads: Uploads) -> None:
    """The mezzanine of the older file says nothing of the newer one."""
    newer = msgspec.structs.replace(ACCEPTED, source_uri="s3://intake/raw/tnt_1/newer")
    await uploads.record(NORMALIZED)
    await uploads.record(newer)

    assert await uploads.find(VIDEO, TENANT) == newer


async def test_a_refusal_is_kept_with_its_words(uploads: Uploads) -> None:
    """The operator can look up what the user was told, and what the child said."""
    await uploads.record(REJECTED)
    found = await uploads.find(VIDEO, TENANT)

    assert found is not None
    assert (found.code, found.reason) == ("TRUNCATED", "Part of it's missing.")
    assert found.detail.replace("\x00", "") == "exitcode"


def other(number: int, **changes: object) -> Upload:
    """Return a further upload of the tenant, later by so many hours."""
    return msgspec.structs.replace(
        ACCEPTED,
        video_id=VideoId(f"vid_{number}"),
        uploaded_at=AT + timedelta(hours=number),
        **changes,  # type: ignore[arg-type]  # fields of the struct
    )


@pytest.mark.parametrize("state", [UploadState.HELD, UploadState.BLOCKED])
async def test_accepting_again_does_not_undo_screening(
    state: UploadState, uploads: Uploads
) -> None:
    """A question that was under way must not let a clip out of the review."""
    held = msgspec.structs.replace(NORMALIZED, state=state)
    await uploads.record(held)
    await uploads.record(ACCEPTED)

    assert await uploads.find(VIDEO, TENANT) == held


async def test_the_time_of_the_upload_stays(uploads: Uploads) -> None:
    """Retention counts from when it came, not from when it was last worked on."""
    later = msgspec.structs.replace(NORMALIZED, uploaded_at=AT + timedelta(days=9))
    await uploads.record(ACCEPTED)
    await uploads.record(later)

    assert await uploads.find(VIDEO, TENANT) == NORMALIZED


async def test_what_is_forgotten_is_not_found(uploads: Uploads) -> None:
    """And forgetting again is no error."""
    await uploads.record(NORMALIZED)
    await uploads.forget(VIDEO, TENANT)
    await uploads.forget(VIDEO, TENANT)

    assert await uploads.find(VIDEO, TENANT) is None


async def test_the_twin_is_the_oldest_that_was_worked_on(uploads: Uploads) -> None:
    """Never itself, a rejected one, another tenant's, or one whose hash is not known."""
    await uploads.record(other(1))
    await uploads.record(other(2, state=UploadState.NORMALIZED))
    await uploads.record(other(3, state=UploadState.NORMALIZED))
    await uploads.record(msgspec.structs.replace(other(4), tenant_id=OTHER))
    await uploads.record(other(0, state=UploadState.REJECTED))
    await uploads.record(other(9, metadata=None))
    found = await uploads.twin(TENANT, "ab" * 32, but=VideoId("vid_3"))
    next_one = await uploads.twin(TENANT, "ab" * 32, but=VideoId("vid_2"))
    theirs = await uploads.twin(OTHER, "ab" * 32, but=VideoId("vid_4"))

    assert found is not None
    assert next_one is not None
    assert (found.video_id, next_one.video_id, theirs) == ("vid_2", "vid_3", None)
    assert await uploads.twin(TENANT, "", but=VideoId("vid_1")) is None
    assert await uploads.twin(TENANT, "cd" * 32, but=VideoId("vid_1")) is None


async def test_the_newest_recognisable_clips_are_compared(uploads: Uploads) -> None:
    """A tenant with very many clips must not slow every upload down."""
    for number in range(4):
        await uploads.record(other(number, fingerprint="5" * 128 if number else ""))
    await uploads.record(msgspec.structs.replace(NORMALIZED, tenant_id=OTHER))
    found = await uploads.recognisable(TENANT, limit=2)

    assert [each.video_id for each in found] == ["vid_3", "vid_2"]
    assert len(await uploads.recognisable(TENANT, limit=9)) == 3


async def test_arrivals_are_counted_once_each_within_their_hour(uploads: Uploads) -> None:
    """By tenant."""

    async def came(name: str, minutes: int, tenant_id: TenantId = TENANT) -> int:
        at = AT + timedelta(minutes=minutes)
        since = at - timedelta(hours=1)
        return await uploads.arrived(tenant_id, VideoId(name), at=at, since=since)

    counts = [await came("a", 0), await came("b", 10), await came("a", 20), await came("c", 59)]

    assert counts == [1, 2, 2, 3]
    assert await came("a", 30, OTHER) == 1
    assert await came("d", 65) == 3


async def test_the_queue_is_oldest_first(uploads: Uploads) -> None:
    """Whoever waits longest is looked at first."""
    for number in (3, 1, 2):
        await uploads.record(other(number, state=UploadState.HELD))
    await uploads.record(msgspec.structs.replace(other(0, state=UploadState.HELD), tenant_id=OTHER))
    await uploads.record(other(5))
    mine = await uploads.awaiting(TENANT, UploadState.HELD, limit=2)
    everybodys = await uploads.awaiting(ANY_TENANT, UploadState.HELD, limit=9)

    assert [each.video_id for each in mine] == ["vid_1", "vid_2"]
    assert [each.video_id for each in everybodys] == ["vid_0", "vid_1", "vid_2", "vid_3"]


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (5, []),
        (8, ["vid_3"]),
        (31, ["vid_0", "vid_1", "vid_3"]),
        (91, ["vid_0", "vid_1", "vid_2", "vid_3"]),
    ],
)
async def test_what_is_due_depends_on_what_it_is(
    days: int, expected: list[str], uploads: Uploads
) -> None:
    """Refused after a week, the upload after a month, all the rest after three."""
    policy = RetentionPolicy(raw_days=30, derived_days=90, refused_days=7)
    await uploads.record(other(0))
    await uploads.record(other(1, state=UploadState.NORMALIZED))
    await uploads.record(other(2, state=UploadState.NORMALIZED, kept=Kept.DERIVED))
    await uploads.record(other(3, state=UploadState.BLOCKED))
    await uploads.record(other(4, state=UploadState.HELD))
    await uploads.record(other(5, state=UploadState.NORMALIZED, kept=Kept.NOTHING))
    at = AT + timedelta(days=days)
    due = await uploads.due(policy, at=at, limit=9)
    never = RetentionPolicy(raw_days=0, derived_days=0, refused_days=0)

    assert [each.video_id for each in due] == expected
    assert len(await uploads.due(policy, at=at, limit=1)) == min(1, len(expected))
    assert await uploads.due(never, at=at, limit=9) == []


async def test_a_table_of_an_older_release_is_carried_over(database: str) -> None:
    """What was recorded before there was a review stays, and new states are taken."""
    async with asyncpg.create_pool(database, min_size=1) as pool:
        await pool.execute(
            """
            create schema video_intake;
            create table video_intake.upload (
                tenant_id text not null, video_id text not null, user_id text not null,
                source_uri text not null,
                state text not null check (state in ('accepted', 'normalized', 'rejected')),
                metadata jsonb, normalized jsonb, content_hash text not null default '',
                code text not null default '', reason text not null default '',
                hint text not null default '', detail text not null default '',
                primary key (tenant_id, video_id));
            insert into video_intake.upload values
                ('tnt_1', 'vid_old', 'usr_1', 's3://intake/raw/tnt_1/vid_old', 'accepted');
            """
        )
        await migrate(pool)
        uploads = PostgresUploads(pool=pool)
        old = await uploads.find(VideoId("vid_old"), TENANT)
        assert old is not None
        await uploads.record(msgspec.structs.replace(old, state=UploadState.HELD))
        held = await uploads.find(VideoId("vid_old"), TENANT)

    assert old.kept is Kept.ALL
    assert held is not None
    assert held.state is UploadState.HELD
