"""Why an embedded server cannot be had. Each says what is wrong and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

_OTHER_HOME: Final = "set EFFECTMESH_HOME to another folder"


class EmbeddedError(Exception):
    """An embedded server cannot be had, and a person can do something about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what = what
        self.remedy = remedy


class NoBinaryError(EmbeddedError):
    """The program of a server is nowhere to be found."""

    def __init__(self, server: str, looked: Sequence[str], remedy: str) -> None:
        super().__init__(f"no {server} found, looked in {', '.join(looked)}", remedy)
        self.server = server


class WrongVersionError(EmbeddedError):
    """The program of a server is too old."""

    def __init__(self, server: str, path: Path, found: str, needed: str) -> None:
        super().__init__(
            f"{server} at {path} is version {found}, {needed} or later is needed",
            "reinstall effectmesh, or name a newer one in the settings",
        )
        self.server = server


class StartFailedError(EmbeddedError):
    """A server ended, or said nothing in time, while it was started."""

    def __init__(self, server: str, what: str, log: Path, tail: str) -> None:
        said = f", it said:\n{tail}\n" if tail else ""
        super().__init__(f"{server} {what}{said}", f"see {log}")
        self.server = server
        self.tail = tail


class UnreachableFolderError(EmbeddedError):
    """The user that must run the database cannot enter a folder."""

    def __init__(self, folder: Path, user: str) -> None:
        super().__init__(
            f"user {user!r} cannot enter {folder}, and the database may not run as root",
            "set EFFECTMESH_HOME to a folder it can reach, such as /var/tmp/effectmesh-0",
        )
        self.folder = folder


class UnsafeFolderError(EmbeddedError):
    """A folder that must be ours is a link, belongs to somebody else, or is open to all."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(f"{folder} {why}", "set EFFECTMESH_HOME to a folder of your own")
        self.folder = folder


class NoSuchUserError(EmbeddedError):
    """The user named to run the database does not exist, or is root."""

    def __init__(self, user: str, why: str) -> None:
        super().__init__(
            f"user {user!r} {why}, and the database may not run as root",
            "name an existing unprivileged user in the settings",
        )
        self.user = user


class HomeInUseError(EmbeddedError):
    """Another effectmesh runs its servers in this folder."""

    def __init__(self, home: Path, pid: int | None) -> None:
        holder = f"process {pid}" if pid else "another process"
        super().__init__(f"{home} is in use by {holder}", f"stop it, or {_OTHER_HOME}")
        self.home = home
        self.pid = pid
