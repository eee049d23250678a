"""Three servers on ``nats/cluster/``, each of which may be killed and started again."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeVar

import anyio

from actors.runtime.bus import Bus, connected
from actors.runtime.errors import BusError
from effectmesh.embedded.binaries import find_nats
from effectmesh.embedded.process import ENVIRONMENT, Child
from tests.contract.ops import server

T = TypeVar("T")

FILES: Final = server.ROOT / "nats" / "cluster"
NAMES: Final = ("n1", "n2", "n3")
ROUTE_PASSWORD: Final = "pNATS_PASSWORD_ROUTE"
WITHIN_S: Final = 30.0
_HOST: Final = "127.0.0.1"


class Cluster:
    """The three servers, not running yet."""

    def __init__(self, folder: Path) -> None:
        ports = _free_ports(3 * len(NAMES))
        self._clients = dict(zip(NAMES, ports[:3], strict=True))
        self._routes = dict(zip(NAMES, ports[3:6], strict=True))
        monitors = dict(zip(NAMES, ports[6:], strict=True))
        self._nodes = {
            name: Child(
                name=name,
                command=[str(find_nats().path), "-c", str(FILES / f"{name}.conf")],
                log=folder / f"{name}.log",
                environment={
                    **ENVIRONMENT,
                    **self.variables(name, folder / name, monitors[name]),
                },
            )
            for name in NAMES
        }

    def variables(self, name: str, store: Path, monitor: int) -> Mapping[str, str]:
        """Return what the files ask the environment for."""
        return {
            **server.variables(store),
            "NATS_LISTEN": f"{_HOST}:{self._clients[name]}",
            "NATS_MONITOR": f"{_HOST}:{monitor}",
            "NATS_CLUSTER_LISTEN": f"{_HOST}:{self._routes[name]}",
            "NATS_PASSWORD_ROUTE": ROUTE_PASSWORD,
        } | {
            f"NATS_ROUTE_{each.upper()}": f"nats-route://route:{ROUTE_PASSWORD}@{_HOST}:{port}"
            for each, port in self._routes.items()
        }

    @property
    def url(self) -> str:
        """Every server, as the user that may do everything."""
        login = "effectmesh:pNATS_PASSWORD_EFFECTMESH"
        return ",".join(f"nats://{login}@{_HOST}:{port}" for port in self._clients.values())

    def start(self, *names: str) -> None:
        """Start servers, all of them when none is named."""
        for name in names or NAMES:
            self._nodes[name].start()

    def kill(self, name: str) -> None:
        """End a server as a crash would."""
        self._nodes[name].kill()

    def stop(self) -> None:
        """Stop every server, whatever another one says."""
        with ExitStack() as stopping:
            for node in self._nodes.values():
                stopping.callback(node.stop)


async def settled_on(call: Callable[[], Awaitable[T]]) -> T:
    """Return what a call answers once it does: a cluster that elects leaders does not yet."""
    with anyio.fail_after(WITHIN_S):
        while True:
            try:
                return await call()
            except BusError:
                await anyio.lowlevel.checkpoint()


async def formed(cluster: Cluster) -> None:
    """Return when the servers have found each other and chosen a leader."""

    async def look() -> None:
        async with connected(cluster.url, name="forming") as bus:
            await bus.api("INFO")

    await settled_on(look)


async def leader(bus: Bus, stream: str) -> str:
    """Return which server leads a stream, once one does."""
    with anyio.fail_after(WITHIN_S):
        while True:
            try:
                found = await bus.api(f"STREAM.INFO.{stream}")
            except BusError:
                continue
            if name := found["cluster"].get("leader"):
                return str(name)


async def whole(bus: Bus, stream: str) -> None:
    """Return when every copy of a stream is there and up to date."""
    with anyio.fail_after(WITHIN_S):
        while True:
            try:
                cluster = (await bus.api(f"STREAM.INFO.{stream}"))["cluster"]
            except BusError:
                continue
            copies = cluster.get("replicas", ())
            if len(copies) == len(NAMES) - 1 and all(each["current"] for each in copies):
                return


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]
