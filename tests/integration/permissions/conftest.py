"""A server on ``nats/server.conf`` with the topology on it, and its users."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import anyio
import pytest
from msgspec import Struct

from actors.provider_registry.shipped import shipped
from actors.runtime import provision
from actors.runtime.bus import Bus, connected
from effectmesh.prepare import topology_for
from schemas.base import Module
from subjects import build
from tests.contract.ops import server


class Broker(Struct, frozen=True):
    """A running server, and who may come in."""

    port: int
    log: Path
    users_file: Path

    def url(self, user: str) -> str:
        """Return the address of one user."""
        return f"nats://{user}:pNATS_PASSWORD_{user.upper()}@127.0.0.1:{self.port}"

    def violations(self) -> list[str]:
        """Return what the server refused so far."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if "Violation" in line]


class As(Protocol):
    """Opens a connection as one of the users."""

    def __call__(self, module: Module) -> AbstractAsyncContextManager[Bus]:
        """Connect as a module does."""
        ...


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Return a server with the whole topology."""
    folder = tmp_path_factory.mktemp("broker")
    users = {
        module: {"user": module, "password": f"pNATS_PASSWORD_{module.upper()}"}
        for module in Module
    }
    users_file = folder / "users.json"
    users_file.write_text(json.dumps(users), encoding="utf-8")
    users_file.chmod(0o600)
    with server.running(folder) as port:
        found = Broker(port, folder / "server.log", users_file)
        anyio.run(_apply, found.url("effectmesh"))
        yield found


@pytest.fixture
async def whole(broker: Broker) -> AsyncIterator[Bus]:
    """Return a connection that may do everything."""
    async with connected(broker.url("effectmesh"), name="whole") as bus:
        yield bus


@pytest.fixture
def as_user(broker: Broker) -> As:
    """Return how to connect as a module."""

    def connect(module: Module) -> AbstractAsyncContextManager[Bus]:
        return connected(broker.url(module), name=module, inbox_prefix=build.inbox_prefix(module))

    return connect


@pytest.fixture
def unrefused(broker: Broker) -> Iterator[None]:
    """Fail the test when the server refused anything meanwhile."""
    before = len(broker.violations())
    yield
    assert broker.violations()[before:] == []


async def _apply(url: str) -> None:
    async with connected(url, name="apply") as bus:
        await provision.apply(bus, topology_for(shipped()))
