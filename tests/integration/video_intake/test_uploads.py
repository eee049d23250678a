"""What every memory of uploads must do: the one in Postgres, and the fake that stands in for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest

from actors.video_intake.core import Upload, UploadState
from actors.video_intake.memory import MemoryUploads
from actors.video_intake.ports import Uploads
from actors.video_intake.postgres import PostgresUploads
from effectmesh.database import migrate
from schemas.asks import ANY_TENANT
from schemas.base import TenantId
from tests.builders import TENANT, USER, VIDEO, metadata

ACCEPTED = Upload(
    video_id=VIDEO,
    tenant_id=TENANT,
    user_id=USER,
    source_uri="s3://intake/raw/tnt_1/vid_1",
    state=UploadState.ACCEPTED,
    metadata=metadata(content_hash="ab" * 32, fps=29.97),
)
NORMALIZED = msgspec.structs.replace(
    ACCEPTED, state=UploadState.NORMALIZED, normalized=metadata(resolution="720x404")
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
