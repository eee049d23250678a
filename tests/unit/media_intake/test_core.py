"""Intake only touches what lies where the tenant's uploads are."""

from __future__ import annotations

import pytest

from actors.video_intake import places
from media.address import Address, parse
from schemas.base import TenantId, VideoId

TENANT = TenantId("tnt_1")


@pytest.mark.parametrize(
    ("uri", "owned"),
    [
        ("s3://intake/raw/tnt_1/vid_1", True),
        ("s3://intake/raw/tnt_10/vid_1", False),
        ("s3://intake/raw/tnt_1", False),
        ("s3://intake/normalized/tnt_1/vid_1.mp4", False),
        ("s3://gallery/raw/tnt_1/vid_1", False),
        ("s3://intake/raw/tnt_1/../tnt_2/vid_1", False),
        ("raw/tnt_1/vid_1", False),
    ],
)
def test_only_the_tenants_own_raw_uploads_are_touched(uri: str, owned: bool) -> None:
    """A refused upload is deleted, so intake must not be pointed at anything else."""
    assert places.owns(TENANT, uri) is owned


def test_what_is_made_lies_under_the_tenant() -> None:
    """Two tenants never share an address, and every address is a valid one."""
    made = places.Derived.of(TENANT, VideoId("vid_1"))

    assert parse(made.video) == Address("intake", ("normalized", "tnt_1", "vid_1.mp4"))
    assert len({parse(uri).parts for uri in made.all()}) == 4
    assert all(parse(uri).parts[1] == "tnt_1" for uri in made.all())


def test_the_list_of_what_is_deleted_has_everything_that_is_made() -> None:
    """And the upload itself, and the poster of an older release; nothing of a foreign tenant."""
    made = places.Derived.of(TENANT, VideoId("vid_1"))
    listed = places.everything_of(TENANT, VideoId("vid_1"), "s3://intake/raw/tnt_1/vid_1")
    foreign = places.everything_of(TENANT, VideoId("vid_1"), "s3://intake/raw/tnt_2/vid_1")

    assert set(listed) == {
        *made.all(),
        "s3://intake/raw/tnt_1/vid_1",
        "s3://intake/posters/tnt_1/vid_1.jpg",
    }
    assert not any("tnt_2" in uri for uri in foreign)
