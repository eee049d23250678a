"""A broker of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from effectmesh.embedded.nats import EmbeddedNats


@pytest.fixture
def mortal(home: Path) -> Iterator[EmbeddedNats]:
    """Return a running broker, to be killed and started again."""
    server = EmbeddedNats(home=home, sync_always=False)
    server.start()
    yield server
    server.stop()
