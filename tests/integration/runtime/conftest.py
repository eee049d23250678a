"""A broker for these tests, emptied before each of them, and one that may be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from actors.runtime.bus import Bus, connected
from effectmesh.embedded.nats import EmbeddedNats
from tests.integration.runtime.world import empty


@pytest.fixture(scope="session")
def broker_url(state_root: Path) -> Iterator[str]:
    """Return the URL of the broker that the tests of the runtime share."""
    folder = state_root / "runtime"
    folder.mkdir()
    server = EmbeddedNats(home=folder, sync_always=False)
    yield server.start()
    server.stop()


@pytest.fixture
async def bus(broker_url: str) -> AsyncIterator[Bus]:
    """Return a connection to a broker without any stream."""
    async with connected(broker_url, name="test") as opened:
        await empty(opened)
        yield opened


@pytest.fixture
def mortal(home: Path) -> Iterator[EmbeddedNats]:
    """Return a running broker of the test's own, to be killed and started again."""
    server = EmbeddedNats(home=home, sync_always=False)
    server.start()
    yield server
    server.stop()
