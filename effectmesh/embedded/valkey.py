"""A Valkey (or Redis, or a stand-in in Python) of our own, for what a crash may forget."""

from __future__ import annotations

import importlib.util
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

from effectmesh.embedded.binaries import Located, find_valkey
from effectmesh.embedded.errors import NoBinaryError
from effectmesh.embedded.folders import own_folder, secret, socket_folder, write_private
from effectmesh.embedded.process import Child

_SOCKET: Final = "valkey.sock"
_ANSWER_WITHIN_S: Final = 1.0
_STAND_IN: Final = Path(__file__).with_name("fakevalkey.py")


class EmbeddedValkey:
    """A server process with its own folder below ``home``, reached by a socket only.

    Where there is no server program, ``fakeredis`` speaks the protocol from a child in Python. What
    is stored survives a stop (not with the stand-in); a crash may lose the last minute.
    """

    def __init__(self, *, home: Path, binary: Path | None = None, held: Sequence[int] = ()) -> None:
        self._folder = home / "valkey"
        self._binary = binary
        self._held = held
        self._child: Child | None = None
        self._socket = self._folder / _SOCKET
        self.url = ""
        """With the password; known once started."""
        self.chosen: Located | None = None
        """The program that runs."""

    @property
    def pid(self) -> int:
        """Of the running server."""
        return self._child.pid if self._child else 0

    @property
    def running(self) -> bool:
        """Whether the server is there."""
        return self._child is not None and self._child.running

    def start(self) -> str:
        """Start the server and return its URL once it answers.

        Raises:
            NoBinaryError: there is neither a server nor ``fakeredis``.
            StartFailedError: it ended or did not answer in time.
        """
        folder = own_folder(self._folder)
        password = secret(folder / "password")
        self._socket = socket_folder(folder, _SOCKET, None, Path(tempfile.gettempdir())) / _SOCKET
        self.chosen = choose(self._binary)
        child = Child(
            name="valkey-server",
            command=self._command(self.chosen.path, password),
            log=folder / "server.log",
            held=self._held,
        )
        self._child = child
        child.start()
        child.wait_until(lambda: _greet(self._socket, password))
        self.url = f"unix://:{password}@{quote(str(self._socket))}?db=0"
        return self.url

    def stop(self) -> None:
        """Stop the server, which saves what it has, and wait for it."""
        if self._child:
            self._child.stop()
        self._socket.unlink(missing_ok=True)
        if self._socket.parent != self._folder and self._socket.parent.exists():
            self._socket.parent.rmdir()

    def kill(self) -> None:
        """End the server as a crash would."""
        if self._child:
            self._child.kill()

    def _command(self, program: Path, password: str) -> list[str]:
        if program == _STAND_IN:
            # -P, or this folder's valkey.py stands in for the client library of that name
            words = ("-P", program, self._socket, self._folder / "password")
            return [sys.executable, *map(str, words)]
        config = self._folder / "server.conf"
        lines = (
            "port 0",
            f"unixsocket {_quoted(self._socket)}",
            "unixsocketperm 700",
            f"dir {_quoted(self._folder)}",
            f"requirepass {password}",
            "daemonize no",
            'logfile ""',
            "save 60 1",
        )
        write_private(config, "\n".join(lines) + "\n")
        return [str(program), str(config)]


def choose(named: Path | None = None) -> Located:
    """Return the program to run: a server, or else the stand-in.

    Raises:
        NoBinaryError: neither is there, or the named one is not.
    """
    try:
        return find_valkey(named)
    except NoBinaryError:
        if named is not None or importlib.util.find_spec("fakeredis") is None:
            raise
    return Located(path=_STAND_IN, why="no server program here, fakeredis speaks its protocol")


def _quoted(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _greet(path: Path, password: str) -> bool | None:
    """Log in and ping; return ``True``, or ``None`` when it does not answer yet."""
    login = f"*2\r\n$4\r\nAUTH\r\n${len(password)}\r\n{password}\r\n*1\r\n$4\r\nPING\r\n"
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_WITHIN_S)
            connection.connect(str(path))
            connection.sendall(login.encode())
            with connection.makefile("rb") as lines:
                said = lines.readline(), lines.readline()
    except OSError:
        return None
    return True if said == (b"+OK\r\n", b"+PONG\r\n") else None
