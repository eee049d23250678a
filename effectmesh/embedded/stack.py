"""The servers a machine of its own needs: what has a URL is used, the rest is started."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, TypeVar

import anyio
from msgspec import Struct

from effectmesh.embedded.binaries import Located
from effectmesh.embedded.folders import HomeLock, own_folder
from effectmesh.embedded.nats import EmbeddedNats
from effectmesh.embedded.postgres import EmbeddedPostgres
from effectmesh.embedded.valkey import EmbeddedValkey

T = TypeVar("T")

_NEXT_URL: Final = re.compile(r",(?=[a-z]+://)")


class ServerSettings(Struct, frozen=True, kw_only=True):
    """Which servers there are, and where those live that we start ourselves.

    A URL wins over everything: nothing is started for it. ``run_as`` is whom root drops to for
    Postgres; ``nats_port=0`` takes a free one.
    """

    home: Path
    nats_url: str | None = None
    postgres_url: str | None = None
    redis_url: str | None = None
    nats_bin: Path | None = None
    postgres_bin: Path | None = None
    redis_bin: Path | None = None
    nats_port: int = 0
    run_as: str = "nobody"


class Endpoints(Struct, frozen=True, kw_only=True):
    """Where the servers answer, passwords included."""

    nats_url: str
    postgres_url: str
    redis_url: str


class Choice(Struct, frozen=True, kw_only=True):
    """One server as ``doctor`` and ``up`` print it: no password in it."""

    server: str
    where: str
    why: str
    pid: int = 0
    """0 when it is not ours."""


class _Server(Protocol):
    chosen: Located | None

    @property
    def pid(self) -> int: ...

    @property
    def running(self) -> bool: ...

    def start(self) -> str: ...

    def stop(self) -> None: ...


class Servers:
    """Starts what has no URL, all at once, and stops it again.

    A context manager, in both kinds. However this process ends, the servers end with it.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._lock = HomeLock(settings.home)
        self._servers: dict[str, _Server] = {}
        self._urls = {
            "nats": settings.nats_url,
            "postgres": settings.postgres_url,
            "redis": settings.redis_url,
        }

    def start(self) -> Endpoints:
        """Start the servers and return where they answer.

        Raises:
            HomeInUseError: another process runs its servers in this home.
            EmbeddedError: a server cannot be had; those already started are stopped.
        """
        missing = [name for name, url in self._urls.items() if not url]
        urls = dict(self._urls)
        if missing:
            self._take_home()
            self._servers = {name: self._build(name) for name in missing}
            try:
                urls |= zip(
                    missing, _at_once([s.start for s in self._servers.values()]), strict=True
                )
            except BaseException:
                self.stop()
                raise
        return Endpoints(**{f"{name}_url": url or "" for name, url in urls.items()})

    def revive(self) -> Sequence[str]:
        """Start again what died, at the same address; return the names.

        Raises:
            EmbeddedError: a server does not come back.
        """
        dead = [name for name, server in self._servers.items() if not server.running]
        for name in dead:
            self._servers[name].stop()
            self._servers[name].start()
        return dead

    def stop(self) -> None:
        """Stop what was started and wait for it. Does nothing the second time."""
        try:
            _at_once([server.stop for server in self._servers.values()])
        finally:
            self._servers = {}
            self._lock.release()

    def describe(self) -> Sequence[Choice]:
        """Return what was chosen and why, one line a server."""
        return [self._choice(name) for name in self._urls]

    def __enter__(self) -> Endpoints:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Endpoints:
        return await anyio.to_thread.run_sync(self.start)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self.stop)

    def _take_home(self) -> None:
        # root's home is passed through by the database user, so it may be entered but not read
        own_folder(self._settings.home, mode=0o711 if os.geteuid() == 0 else 0o700)
        self._lock.take()

    def _build(self, name: str) -> _Server:
        want = self._settings
        held = self._lock.files
        if name == "nats":
            return EmbeddedNats(
                home=want.home, port=want.nats_port, binary=want.nats_bin, held=held
            )
        if name == "postgres":
            return EmbeddedPostgres(
                home=want.home, programs=want.postgres_bin, run_as=want.run_as, held=held
            )
        return EmbeddedValkey(home=want.home, binary=want.redis_bin, held=held)

    def _choice(self, name: str) -> Choice:
        url = self._urls[name]
        if url:
            return Choice(server=name, where=without_password(url), why="configured by its URL")
        server = self._servers.get(name)
        if server is None or server.chosen is None:
            return Choice(server=name, where="", why="not started")
        where = str(server.chosen.path)
        return Choice(server=name, where=where, why=server.chosen.why, pid=server.pid)


def without_password(url: str) -> str:
    """Return a URL, or several with commas between, that may be printed."""
    return ",".join(_bare(one) for one in _NEXT_URL.split(url))


def _bare(url: str) -> str:
    scheme, mark, rest = url.partition("://")
    return scheme + mark + rest.partition("?")[0].rpartition("@")[2]


def _at_once(calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all calls, each in its thread; return when all are through, or raise what one raised."""
    if not calls:
        return []
    with ThreadPoolExecutor(len(calls)) as threads:
        made = [threads.submit(call) for call in calls]
    return [one.result() for one in made]
