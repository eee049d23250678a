"""A Postgres of our own: where it lives, as whom it runs, what it survives."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import asyncpg
import pytest

from effectmesh.embedded.binaries import find_postgres
from effectmesh.embedded.errors import NoSuchUserError, UnreachableFolderError, UnsafeFolderError
from effectmesh.embedded.postgres import EmbeddedPostgres
from effectmesh.embedded.process import Child, unprivileged
from tests.conftest import UNSYNCED
from tests.integration.embedded.parents import running

AS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not AS_ROOT, reason="says what root does")


async def _keep(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("create table kept (word text)")
    await connection.execute("insert into kept values ('word')")
    await connection.close()


async def _kept(url: str) -> int:
    connection = await asyncpg.connect(url)
    count = await connection.fetchval("select count(*) from kept")
    await connection.close()
    return int(count)


@pytest.mark.parametrize(
    "end", [EmbeddedPostgres.stop, EmbeddedPostgres.kill], ids=["stop", "crash"]
)
async def test_what_was_committed_is_there_after_a_restart(home: Path, end) -> None:  # type: ignore[no-untyped-def]
    """At the same address, whether it was stopped or killed."""
    server = EmbeddedPostgres(home=home, settings=UNSYNCED)
    with running(server) as url:
        await _keep(url)

        end(server)
        again = server.start()

        assert again == url
        assert await _kept(url) == 1


async def test_commits_wait_for_the_disk_and_rows_are_guarded(home: Path) -> None:
    """The ledger lives here; and row security does not bind a superuser."""
    with running(EmbeddedPostgres(home=home)) as url:
        connection = await asyncpg.connect(url)
        role = await connection.fetchrow(
            "select rolsuper, rolcreatedb, rolbypassrls from pg_roles where rolname = current_user"
        )
        fsync = await connection.fetchval("show fsync")
        addresses = await connection.fetchval("show listen_addresses")
        lower = await connection.fetchval("select lower('ÄÖÜ')")
        await connection.close()

    assert list(role) == [False, False, False]
    assert (fsync, addresses, lower) == ("on", "", "äöü")


async def test_a_stale_pid_file_does_not_stop_a_start(home: Path) -> None:
    """In a container numbers start over, and the old one may belong to anybody."""
    somebody = Child(
        name="somebody",
        command=["/bin/sleep", "60"],
        log=home / "log",
        account=unprivileged("nobody"),
    )
    somebody.start()
    server = EmbeddedPostgres(home=home, settings=UNSYNCED)
    try:
        with running(server) as url:
            await _keep(url)
            server.kill()
            pid_file = home / "postgres" / "data" / "postmaster.pid"
            _, *rest = pid_file.read_text().splitlines(keepends=True)
            pid_file.write_text(f"{somebody.pid}\n{''.join(rest)}")

            server.start()

            assert await _kept(url) == 1
            assert somebody.running
    finally:
        somebody.stop()


async def test_a_server_left_running_is_replaced(home: Path) -> None:
    """Two on the same data would ruin it, and an orphan must not block the start for ever."""
    orphan, server = (
        EmbeddedPostgres(home=home, settings=UNSYNCED),
        EmbeddedPostgres(home=home, settings=UNSYNCED),
    )
    with running(orphan) as url:
        await _keep(url)

        with running(server):
            assert server.pid != orphan.pid
            assert await _kept(url) == 1


async def test_a_first_start_that_was_cut_short_is_done_anew(home: Path) -> None:
    """A half-made data folder looks like a whole one to Postgres until it fails."""
    half = home / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    with running(EmbeddedPostgres(home=home, settings=UNSYNCED)) as url:
        await _keep(url)

    assert not half.exists()


@pytest.mark.parametrize("name", ["my own, \"quoted\" 'clips'", "deep" * 30])
async def test_a_folder_may_be_odd_or_deep(home: Path, name: str) -> None:
    """A socket's path is limited to some hundred bytes, a folder's is not."""
    server = EmbeddedPostgres(home=home / name, settings=UNSYNCED)
    with running(server) as url:
        await _keep(url)
        server.stop()

        server.start()

        assert await _kept(url) == 1


@as_root
def test_root_starts_it_as_somebody_else(home: Path) -> None:
    """Postgres refuses to run as root, and what it may not read it cannot leak."""
    server = EmbeddedPostgres(home=home, settings=UNSYNCED)
    account = unprivileged("nobody")
    assert account is not None
    with running(server):
        status = Path(f"/proc/{server.pid}/status").read_text()

    words = [line.split() for line in status.splitlines()]
    assert ["Uid:", *[str(account.uid)] * 4] in words
    assert ["Groups:"] in words
    data = (home / "postgres" / "data").stat()
    assert (data.st_uid, stat.S_IMODE(data.st_mode)) == (account.uid, 0o700)


@as_root
def test_a_home_the_database_cannot_reach_is_refused_and_not_opened(home: Path) -> None:
    """Opening /root to everybody, as the wheel's own helper does, is not ours to do."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(UnreachableFolderError) as refused:
        EmbeddedPostgres(home=closed / "home").start()

    assert refused.value.folder == closed
    assert "set EFFECTMESH_HOME to a folder it can reach" in str(refused.value)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
async def test_programs_it_cannot_reach_are_copied(home: Path) -> None:
    """A virtual environment below /root is common; its folder stays closed."""
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    package = find_postgres().path.parent.parent
    shutil.copytree(package, closed / package.name)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, closed / libraries.name)
    programs = closed / package.name / "pginstall" / "bin"
    server = EmbeddedPostgres(home=home / "home", programs=programs, settings=UNSYNCED)

    with running(server) as url:
        await _keep(url)

    assert server.chosen is not None
    assert str(server.chosen.path).startswith(str(home / "home"))
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
@pytest.mark.parametrize("user", ["root", "no-such-user"])
def test_it_never_runs_as_root_or_as_a_made_up_user(home: Path, user: str) -> None:
    """Postgres needs a user with an entry; making one is not ours to do."""
    with pytest.raises(NoSuchUserError, match=user):
        EmbeddedPostgres(home=home, run_as=user).start()


def test_a_link_in_place_of_the_folder_is_refused(home: Path) -> None:
    """Below /var/tmp anybody may have put it there."""
    elsewhere = home / "elsewhere"
    elsewhere.mkdir()
    (home / "postgres").symlink_to(elsewhere)

    with pytest.raises(UnsafeFolderError, match="is a link"):
        EmbeddedPostgres(home=home, settings=UNSYNCED).start()
