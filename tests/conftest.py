"""Real servers and real footage, for every test that asks. Nothing here ever skips.

The servers start when the first test asks for them and serve the whole session: a database of its
own costs a test a few hundredths of a second. Streams are global to a broker, so a test that makes
some takes ``nats_server``, a broker of its own, instead of ``nats_url``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from effectmesh.embedded.nats import EmbeddedNats
from effectmesh.embedded.postgres import ROLE, EmbeddedPostgres
from effectmesh.embedded.valkey import EmbeddedValkey

_REPOSITORY = Path(__file__).parent.parent
_CLIP = "cityCC0.mpg"
UNSYNCED = {"fsync": "off", "full_page_writes": "off"}
"""For Postgres under test: nobody pulls the plug of the machine."""


@pytest.fixture(scope="session")
def state_root() -> Iterator[Path]:
    """Return a short folder that the database's user can pass through too."""
    root = Path(tempfile.mkdtemp(prefix="fx-", dir="/var/tmp"))
    root.chmod(0o711)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def home(state_root: Path) -> Iterator[Path]:
    """Return an empty folder below ``state_root``, for servers of the test's own."""
    folder = Path(tempfile.mkdtemp(prefix="h-", dir=state_root))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_server(state_root: Path) -> Iterator[EmbeddedPostgres]:
    """Return the session's Postgres."""
    server = EmbeddedPostgres(home=state_root, settings=UNSYNCED)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def database(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """Return the URL of a fresh, empty database, gone after the test."""
    name = f"t_{uuid.uuid4().hex}"
    postgres_server.administer(f"create database {name} owner {ROLE};")
    yield postgres_server.url_of(name)
    postgres_server.administer(f"drop database {name} with (force);")


@pytest.fixture(scope="session")
def nats_url(state_root: Path) -> Iterator[str]:
    """Return the URL of the session's broker, which all tests share."""
    server = EmbeddedNats(home=state_root, sync_always=False)
    yield server.start()
    server.stop()


@pytest.fixture
def nats_server(home: Path) -> Iterator[str]:
    """Return the URL of a broker of the test's own, without any stream."""
    server = EmbeddedNats(home=home, sync_always=False)
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def redis_url(state_root: Path) -> Iterator[str]:
    """Return the URL of the session's Valkey, which all tests share."""
    server = EmbeddedValkey(home=state_root)
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def city_clip() -> Path:
    """Return the demo's clip: real footage, 720x405, 25 fps, 190 frames, MPEG-2."""
    named = os.environ.get("EFFECTMESH_TEST_CLIP")
    places = (
        *([Path(named)] if named else ()),
        *sorted((_REPOSITORY / ".cache" / "clips").rglob(_CLIP)),
        Path(tempfile.gettempdir()) / "clips" / _CLIP,
    )
    for place in places:
        if place.is_file():
            return place
    pytest.fail(
        f"the clip {_CLIP} is not here: run `make clip`, or name it in EFFECTMESH_TEST_CLIP"
    )
