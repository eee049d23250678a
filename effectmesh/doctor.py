"""Looks at the machine and says what is missing, each finding with its remedy. Changes nothing."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import anyio
from msgspec import Struct

from effectmesh.embedded.binaries import Located, find_nats, find_postgres, version_of
from effectmesh.embedded.errors import EmbeddedError, UnreachableFolderError
from effectmesh.embedded.folders import blocked_at
from effectmesh.embedded.nats import OLDEST
from effectmesh.embedded.process import unprivileged
from effectmesh.embedded.stack import ServerSettings, without_password
from effectmesh.embedded.valkey import choose as find_redis

Status = Literal["ok", "warn", "fail"]

OLDEST_PYTHON: Final = (3, 11)
OLDEST_NODE: Final = 20
LEAST_FREE_BYTES: Final = 1_000_000_000
ENOUGH_FREE_BYTES: Final = 5_000_000_000
LEAST_FILES: Final = 512
ENOUGH_FILES: Final = 4_096
_ANSWER_WITHIN_S: Final = 3.0
_CLOCK_SLACK_S: Final = 86_400
_REINSTALL: Final = "install again: make install"


class Check(Struct, frozen=True, kw_only=True):
    """One line of the report. ``fix`` is empty when there is nothing to do."""

    name: str
    status: Status
    detail: str
    fix: str = ""


def run_checks(settings: ServerSettings, *, ports: Sequence[int] = ()) -> list[Check]:
    """Look at everything the platform needs; ``ports`` are those it will listen on."""
    return [
        check_python(sys.version_info[:3]),
        *_servers(settings),
        *_home(settings),
        check_disk(shutil.disk_usage(_existing(settings.home)).free, settings.home),
        check_files(*resource.getrlimit(resource.RLIMIT_NOFILE)),
        *(check_port(port) for port in ports),
        check_clock(time.time(), Path(__file__).stat().st_mtime),
        *(check_module(name, what) for name, what in (("av", "video"), ("cv2", "images"))),
        check_page(_built_page(), _node_version()),
    ]


def check_python(version: tuple[int, ...]) -> Check:
    """Say whether Python is new enough."""
    detail = ".".join(map(str, version))
    if version >= OLDEST_PYTHON:
        return Check(name="python", status="ok", detail=f"{detail}, {sys.executable}")
    needed = ".".join(map(str, OLDEST_PYTHON))
    return Check(name="python", status="fail", detail=detail, fix=f"install Python {needed}")


def check_disk(free_bytes: int, home: Path) -> Check:
    """Say whether there is room for streams, tables and media."""
    detail = f"{free_bytes / 1e9:.1f} GB free for {home}"
    if free_bytes >= ENOUGH_FREE_BYTES:
        return Check(name="disk", status="ok", detail=detail)
    status: Status = "warn" if free_bytes >= LEAST_FREE_BYTES else "fail"
    fix = f"free {ENOUGH_FREE_BYTES / 1e9:.0f} GB, or set EFFECTMESH_HOME to a larger disk"
    return Check(name="disk", status=status, detail=detail, fix=fix)


def check_files(soft: int, hard: int) -> Check:
    """Say whether enough files and connections may be open; -1 is no limit."""
    if soft == resource.RLIM_INFINITY or soft >= ENOUGH_FILES:
        limit = "no limit" if soft == resource.RLIM_INFINITY else str(soft)
        return Check(name="open files", status="ok", detail=limit)
    status: Status = "warn" if soft >= LEAST_FILES else "fail"
    may_raise = hard == resource.RLIM_INFINITY or hard >= ENOUGH_FILES
    fix = f"ulimit -n {ENOUGH_FILES}" if may_raise else f"raise the hard limit of {hard} as root"
    return Check(name="open files", status=status, detail=f"at most {soft}", fix=fix)


def check_port(port: int) -> Check:
    """Say whether a port on the loopback is free."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as problem:
            why = problem.strerror or str(problem)
            fix = "stop what uses it, or set another port"
            return Check(name=f"port {port}", status="fail", detail=why.lower(), fix=fix)
    return Check(name=f"port {port}", status="ok", detail="free")


def check_clock(now: float, installed_at: float) -> Check:
    """Say whether the clock can be right: it cannot be before what was installed."""
    detail = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if now >= installed_at - _CLOCK_SLACK_S:
        return Check(name="clock", status="ok", detail=detail)
    since = f"{datetime.fromtimestamp(installed_at, UTC):%Y-%m-%d}"
    fix = "set the clock: tokens, timers and streams depend on it"
    return Check(name="clock", status="fail", detail=f"{detail}, but installed on {since}", fix=fix)


def check_module(name: str, what: str) -> Check:
    """Say whether a library of native code loads on this machine."""
    try:
        module = importlib.import_module(name)
    except ImportError as problem:
        return Check(name=what, status="fail", detail=f"{name}: {problem}", fix=_REINSTALL)
    return Check(name=what, status="ok", detail=f"{name} {module.__version__}")


def check_page(built: Path | None, node: tuple[str, str] | None) -> Check:
    """Say whether the page is there, or can be built; ``node`` is its version and place."""
    if built:
        return Check(name="page", status="ok", detail=f"built, {built}")
    if node is None:
        detail = "not built yet; make web fetches node from a wheel"
        return Check(name="page", status="ok", detail=detail)
    version, place = node
    detail = f"not built yet, node {version}, {place}"
    if int(version.partition(".")[0] or 0) < OLDEST_NODE:
        fix = f"install Node {OLDEST_NODE} or later, then: make web"
        return Check(name="page", status="warn", detail=detail, fix=fix)
    return Check(name="page", status="ok", detail=detail)


def _servers(settings: ServerSettings) -> list[Check]:
    """Look for each server: at its URL when it has one, else for its program."""
    reached = {
        "nats": (settings.nats_url, _ask_nats),
        "postgres": (settings.postgres_url, _ask_postgres),
        "redis": (settings.redis_url, _ask_redis),
    }
    finders: dict[str, Callable[[], Located]] = {
        "nats": lambda: find_nats(settings.nats_bin),
        "postgres": lambda: find_postgres(settings.postgres_bin),
        "redis": lambda: find_redis(settings.redis_bin),
    }
    return [
        _reach(name, url, ask) if url else _program(name, finders[name])
        for name, (url, ask) in reached.items()
    ]


def _program(name: str, find: Callable[[], Located]) -> Check:
    try:
        found = find()
    except EmbeddedError as problem:
        return Check(name=name, status="fail", detail=problem.what, fix=problem.remedy)
    program = found.path / "postgres" if name == "postgres" else found.path
    version = version_of(program) if program.suffix != ".py" else ""
    detail = " ".join(part for part in (version, found.why) if part) + f", {program}"
    if name == "nats" and tuple(map(int, version.split("."))) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        return Check(name=name, status="fail", detail=detail, fix=f"{needed} or later is needed")
    return Check(name=name, status="ok", detail=detail)


def _reach(name: str, url: str, ask: Callable[[str], Awaitable[str]]) -> Check:
    shown = without_password(url)

    async def bounded() -> str:
        with anyio.fail_after(_ANSWER_WITHIN_S):
            return await ask(url)

    try:
        said = anyio.run(bounded)
    except Exception as problem:  # three clients, each with errors of its own
        why = f"{shown} does not answer: {str(problem) or f'not within {_ANSWER_WITHIN_S:g} s'}"
        fix = f"start it, correct EFFECTMESH_{name.upper()}_URL, or unset it to have one started"
        return Check(name=name, status="fail", detail=why, fix=fix)
    return Check(name=name, status="ok", detail=f"{said} at {shown}, configured by its URL")


async def _ask_nats(url: str) -> str:
    import nats

    async def quiet(_: Exception) -> None:
        """Keep the client from printing what we say ourselves."""

    client = await nats.connect(
        url, allow_reconnect=False, connect_timeout=_ANSWER_WITHIN_S, error_cb=quiet
    )
    try:
        await client.jetstream().account_info()
        return f"{client.connected_server_version} with JetStream"
    finally:
        await client.close()


async def _ask_postgres(url: str) -> str:
    import asyncpg

    connection = await asyncpg.connect(url)
    try:
        return str(await connection.fetchval("show server_version"))
    finally:
        await connection.close()


async def _ask_redis(url: str) -> str:
    from redis.asyncio import Redis

    client = Redis.from_url(url)
    try:
        info = await client.info("server")
        return str(info["redis_version"])
    finally:
        await client.aclose()


def _home(settings: ServerSettings) -> list[Check]:
    """Say whether the servers' data has a place that the right users can reach."""
    if settings.nats_url and settings.postgres_url and settings.redis_url:
        return []
    home, existing = settings.home, _existing(settings.home)
    if not os.access(existing, os.W_OK | os.X_OK):
        fix = "set EFFECTMESH_HOME to a folder of your own"
        return [Check(name="home", status="fail", detail=f"cannot write {existing}", fix=fix)]
    try:
        account = unprivileged(settings.run_as)
        blocked = blocked_at(existing, account)
        if blocked:
            raise UnreachableFolderError(blocked, settings.run_as)
    except EmbeddedError as problem:
        return [Check(name="home", status="fail", detail=problem.what, fix=problem.remedy)]
    whose = f", the database runs as {account.name}" if account else ""
    return [Check(name="home", status="ok", detail=f"{home}{whose}")]


def _existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _built_page() -> Path | None:
    gateway = importlib.util.find_spec("gateway")
    if gateway is None or gateway.origin is None:
        return None
    page = Path(gateway.origin).parent / "static" / "index.html"
    return page if page.exists() else None


def _node_version() -> tuple[str, str] | None:
    """Return the version of the node that would build the page, and where it is."""
    on_path = shutil.which("node")
    if on_path is None:
        return None
    said = subprocess.run(
        [on_path, "--version"],
        capture_output=True,
        text=True,
        timeout=_ANSWER_WITHIN_S,
        check=False,
    )
    found = re.search(r"\d+(\.\d+)*", said.stdout)
    return (found[0] if found else "0", on_path)
