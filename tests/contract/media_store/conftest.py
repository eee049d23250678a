"""One store after the other: the local disk, moto, SeaweedFS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from media.s3_client import S3Settings
from tests.contract.media_store.servers import moto_server, seaweed_server, with_own_bucket
from tests.contract.media_store.stores import LocalShelf, S3Shelf, Shelf


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Settings]:
    """Return the session's stand-in."""
    with moto_server() as settings:
        yield settings


@pytest.fixture(scope="session")
def seaweed() -> Iterator[S3Settings]:
    """Return the session's real S3 server."""
    with seaweed_server() as settings:
        yield settings


@pytest.fixture(scope="session")
def moto_shelf(moto: S3Settings) -> S3Shelf:
    """Return a store before the stand-in."""
    return S3Shelf(moto, checks_signatures=False)


@pytest.fixture(scope="session")
def seaweed_shelf(seaweed: S3Settings) -> S3Shelf:
    """Return a store before the real server."""
    return S3Shelf(seaweed, checks_signatures=True)


@pytest.fixture(params=["moto", "seaweed"])
def s3(request: pytest.FixtureRequest) -> S3Settings:
    """Return an empty bucket of an S3 server."""
    return with_own_bucket(request.getfixturevalue(request.param))


@pytest.fixture(params=["local", "moto", "seaweed"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    """Return an empty store."""
    if request.param == "local":
        return LocalShelf(tmp_path)
    shelf = request.getfixturevalue(f"{request.param}_shelf")
    assert isinstance(shelf, S3Shelf)
    return shelf.emptied(request.getfixturevalue(request.param))
