"""Everything on one machine: embedded servers, then each process, restarted when it fails."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import anyio
import httpx
import msgspec
from msgspec import Struct

from effectmesh import state
from effectmesh.embedded.process import ENVIRONMENT, Child
from effectmesh.embedded.stack import Servers
from effectmesh.prepare import prepare
from effectmesh.servers import resolved, servers_of
from effectmesh.settings import Settings, as_environment

log = logging.getLogger("effectmesh.up")

READY_WITHIN_S: Final = 60.0
POLL_S: Final = 0.1
RESTART_WAIT_S: Final = 0.2
RESTART_CAP_S: Final = 10.0
QUIET_S: Final = 30.0
"""After so long without a crash a process is healthy again."""
RESTARTS: Final = 10
GRACE_S: Final = 30
"""How long a process may drain."""


class PortInUseError(Exception):
    """Somebody else listens where the gateway should."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is in use; stop what listens there, "
            "or set EFFECTMESH_HTTP_PORT (0 takes any free port)"
        )


class AlreadyUpError(Exception):
    """A stack runs in this home."""

    def __init__(self, pid: int, url: str) -> None:
        super().__init__(f"effectmesh is already up at {url} (pid {pid}); stop it: effectmesh down")


class NotReadyError(Exception):
    """A part did not come up."""


class Part(Struct, frozen=True, kw_only=True):
    """One process of the stack."""

    name: str
    arguments: tuple[str, ...]
    health_port: int = 0
    """Where it says whether it is ready; the stack is not, before it is. 0 is nowhere."""


class Stack:
    """The processes of a running stack. Made by ``stack_up``."""

    def __init__(
        self, settings: Settings, servers: Servers, parts: Sequence[Part], gateway_url: str
    ) -> None:
        self._settings = settings
        self._servers = servers
        self._parts = {part.name: part for part in parts}
        self._children: dict[str, Child] = {}
        self._crashes: dict[str, list[float]] = {part.name: [] for part in parts}
        self.gateway_url = gateway_url

    @property
    def pids(self) -> dict[str, int]:
        """The process ids by name, of our servers too."""
        servers = {each.server: each.pid for each in self._servers.describe() if each.pid}
        return servers | {name: child.pid for name, child in self._children.items()}

    def start(self) -> None:
        """Start every process."""
        self._settings.logs.mkdir(parents=True, exist_ok=True)
        for part in self._parts.values():
            self._start(part)

    async def keep(self) -> None:
        """Start again what ends, until cancelled.

        Raises:
            NotReadyError: a process keeps failing.
        """
        while True:
            await anyio.sleep(POLL_S)
            for name in await anyio.to_thread.run_sync(self._servers.revive):
                log.warning("%s died; it is up again", name)
                state.announce(self._settings, self.describe())
            for name, child in tuple(self._children.items()):
                if not child.running:
                    await self._again(self._parts[name])

    async def ready(self) -> None:
        """Return when the gateway takes orders and the modules answer it.

        Raises:
            NotReadyError: they do not, in ``READY_WITHIN_S``.
        """
        deadline = time.monotonic() + READY_WITHIN_S
        ports = [part.health_port for part in self._parts.values() if part.health_port]
        waited_for = [self.gateway_url, *(f"http://127.0.0.1:{port}" for port in ports)]
        async with httpx.AsyncClient(trust_env=False) as http:
            while time.monotonic() < deadline:
                if await _is_ready(http, waited_for[-1]):
                    waited_for.pop()
                    if not waited_for:
                        return
                    continue
                await anyio.sleep(POLL_S)
        raise NotReadyError(
            f"the stack did not get ready in {READY_WITHIN_S:g} s; see {self._settings.logs}"
        )

    async def stop(self) -> None:
        """Drain and stop every process, all at once."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as stopping:
                for child in self._children.values():
                    stopping.start_soon(anyio.to_thread.run_sync, child.stop)

    def _start(self, part: Part) -> None:
        child = Child(
            name=part.name,
            command=(sys.executable, "-m", "effectmesh", *part.arguments),
            log=self._settings.logs / f"{part.name}.log",
            grace_s=GRACE_S,
            environment=_environment(
                msgspec.structs.replace(self._settings, health_port=part.health_port)
            ),
        )
        child.start()
        self._children[part.name] = child

    async def _again(self, part: Part) -> None:
        now = time.monotonic()
        crashes = [at for at in self._crashes[part.name] if now - at < QUIET_S] + [now]
        self._crashes[part.name] = crashes
        where = self._settings.logs / f"{part.name}.log"
        if len(crashes) > RESTARTS:
            raise NotReadyError(f"{part.name} ended {len(crashes)} times in a row; see {where}")
        log.warning("%s ended; starting it again (log: %s)", part.name, where)
        await anyio.sleep(min(RESTART_CAP_S, RESTART_WAIT_S * 2.0 ** (len(crashes) - 1)))
        await anyio.to_thread.run_sync(self._children[part.name].stop)
        self._start(part)
        state.announce(self._settings, self.describe())

    def describe(self) -> state.Running:
        """Return what other commands may know."""
        return state.Running(
            pid=os.getpid(),
            gateway_url=self.gateway_url,
            nats_url=self._settings.nats_url,
            postgres_url=self._settings.postgres_url,
            children=self.pids,
        )


@asynccontextmanager
async def stack_up(settings: Settings) -> AsyncIterator[Stack]:
    """Start everything, yield when it takes orders, and stop it all on the way out.

    Raises:
        AlreadyUpError, PortInUseError, NotReadyError, EmbeddedError, BusError: it cannot start,
            and nothing is left running.
    """
    if now := state.running(settings):
        raise AlreadyUpError(now.pid, now.gateway_url)
    port = _free_port(settings.http_host, settings.http_port)
    servers = servers_of(settings)
    async with servers as endpoints:
        # Its processes are watched by the stack itself; they cannot share one port for probes.
        whole = msgspec.structs.replace(
            resolved(settings, endpoints), http_port=port, health_port=0
        )
        state.tokens(whole)
        state.routing_key(whole)
        await prepare(whole)
        stack = Stack(whole, servers, _parts(whole), f"http://{settings.http_host}:{port}")
        try:
            stack.start()
            async with anyio.create_task_group() as keeping:
                keeping.start_soon(stack.keep)
                await stack.ready()
                state.announce(whole, stack.describe())
                yield stack
                keeping.cancel_scope.cancel()
        finally:
            state.withdraw(whole)
            await stack.stop()


async def _is_ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        answer = await http.get(f"{url}/readyz")
    except httpx.TransportError:
        return False
    return bool(answer.status_code == httpx.codes.OK)


def _parts(settings: Settings) -> Sequence[Part]:
    hosts = [url.strip() for url in settings.comfyui_urls.split(",") if url.strip()]
    renderers = []
    if not hosts:
        for number in range(1, settings.renderers + 1):
            port = _free_port("127.0.0.1", 0)
            hosts.append(f"http://127.0.0.1:{port}")
            where = ("--port", str(port), "--number", str(number))
            renderers.append(Part(name=f"renderer-{number}", arguments=("run", "renderer", *where)))
    agents = [
        Part(name=f"agent-{number}", arguments=("agent", "--comfyui", url))
        for number, url in enumerate(hosts, start=1)
    ]
    actors = Part(
        name="actors", arguments=("run", "actors"), health_port=_free_port("127.0.0.1", 0)
    )
    gateway = Part(name="gateway", arguments=("run", "gateway"))
    return (actors, gateway, *renderers, *agents)


def _environment(settings: Settings) -> dict[str, str]:
    """Return what a process of ours sees: its settings, and where Python finds its things."""
    kept = ("HOME", "PYTHONPATH", "TMPDIR", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: os.environ[name] for name in kept if name in os.environ}
    # One core each for the array libraries: there are many processes, and they wait for each other.
    return {
        **ENVIRONMENT,
        **inherited,
        **as_environment(settings),
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def port_or_any(host: str, wanted: int) -> int:
    """Return the wanted port, or 0 for any when somebody has it."""
    try:
        return _free_port(host, wanted)
    except PortInUseError:
        return 0


def _free_port(host: str, wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError as taken:
            raise PortInUseError(host, wanted) from taken
        return int(probe.getsockname()[1])
