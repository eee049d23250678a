"""A cluster with the whole topology on it, three copies of everything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs

from actors.provider_registry.shipped import shipped
from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from effectmesh.prepare import topology_for
from schemas.base import Module
from subjects.topology import EVT
from tests.integration.cluster.nodes import Cluster, formed, settled_on

REAL = topology_for(shipped(), replicas=3)
HEARD = structs.replace(
    next(e for e in REAL.consumers if (e.stream, e.name) == (EVT, Module.CONTENT_ANALYSIS)),
    ack_wait_s=2,
    max_ack_pending=64,
)
"""The consumer under test. What a server that dies had in hand is delivered again soon."""
DECLARED = structs.replace(
    REAL,
    consumers=tuple(
        HEARD if (e.stream, e.name) == (HEARD.stream, HEARD.name) else e for e in REAL.consumers
    ),
)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Return three running servers that have found each other."""
    servers = Cluster(tmp_path)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


@pytest.fixture
async def bus(cluster: Cluster) -> AsyncIterator[Bus]:
    """Return a connection to the cluster, with the topology applied."""
    await formed(cluster)
    async with connected(cluster.url, name="test") as opened:
        await settled_on(partial(provision.apply, opened, DECLARED))
        yield opened
