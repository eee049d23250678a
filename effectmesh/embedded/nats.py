"""A nats-server of our own: JetStream on, loopback only, a password nobody else has."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from effectmesh.embedded.binaries import Located, find_nats
from effectmesh.embedded.errors import WrongVersionError
from effectmesh.embedded.folders import own_folder, secret, write_private
from effectmesh.embedded.process import Child

OLDEST: Final = (2, 14)
"""Scheduled messages, batches and fast ingest all work from here."""
MAX_PAYLOAD_BYTES: Final = 1_048_576
_MAX_FILE: Final = "64GB"
"""What all streams together may claim. The default is three quarters of the free disk, and on a
small one the server would refuse to make the streams at all."""
_MAX_MEMORY: Final = "1GB"
_HOST: Final = "127.0.0.1"
_USER: Final = "effectmesh"
_ANSWER_WITHIN_S: Final = 1.0
_MAX_LINE_BYTES: Final = 65_536


class EmbeddedNats:
    """A server process with its own folder below ``home``.

    With ``port=0`` the first start takes a free port and later starts of this object keep it, so
    that clients find a restarted server again. ``sync_always`` has every acknowledged message on
    the disk; without it a power failure, not a crash, loses up to two minutes.
    """

    def __init__(
        self,
        *,
        home: Path,
        port: int = 0,
        binary: Path | None = None,
        sync_always: bool = True,
        held: Sequence[int] = (),
    ) -> None:
        self._folder = home / "nats"
        self._port = port
        self._binary = binary
        self._sync_always = sync_always
        self._held = held
        self._child: Child | None = None
        self.url = ""
        """With user and password; known once started."""
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
            NoBinaryError: there is no nats-server.
            WrongVersionError: it is too old.
            StartFailedError: it ended or did not answer in time.
        """
        self.chosen = find_nats(self._binary)
        folder = own_folder(self._folder)
        password = secret(folder / "password")
        ports = own_folder(folder / "ports")
        for stale in ports.iterdir():
            stale.unlink()
        config = folder / "server.conf"
        write_private(config, self._config(password, ports))
        child = Child(
            name="nats-server",
            command=[str(self.chosen.path), "-c", str(config)],
            log=folder / "server.log",
            held=self._held,
        )
        self._child = child
        child.start()
        self._port = self._port or child.wait_until(lambda: _port_in(ports))
        version = child.wait_until(lambda: _greet(self._port, password))
        if _parts(version) < OLDEST:
            self.stop()
            needed = ".".join(map(str, OLDEST))
            raise WrongVersionError("nats-server", self.chosen.path, version, needed)
        self.url = f"nats://{_USER}:{password}@{_HOST}:{self._port}"
        return self.url

    def stop(self) -> None:
        """Stop the server and wait for it."""
        if self._child:
            self._child.stop()

    def kill(self) -> None:
        """End the server as a crash would."""
        if self._child:
            self._child.kill()

    def _config(self, password: str, ports: Path) -> str:
        """Return the server's configuration; strings are JSON, which its format reads too."""
        sync = "always" if self._sync_always else "2m"
        limits = f"max_file: {_MAX_FILE}, max_mem: {_MAX_MEMORY}"
        store = json.dumps(str(self._folder))
        lines = (
            f"listen: {json.dumps(f'{_HOST}:{self._port or -1}')}",
            "server_name: effectmesh",
            f"ports_file_dir: {json.dumps(str(ports))}",
            f"max_payload: {MAX_PAYLOAD_BYTES}",
            f"authorization {{ user: {_USER}, password: {json.dumps(password)} }}",
            f"jetstream {{ store_dir: {store}, sync_interval: {sync}, {limits} }}",
        )
        return "\n".join(lines) + "\n"


def _port_in(ports: Path) -> int | None:
    """Return the port the server wrote down, once it did so wholly."""
    for file in ports.glob("*.ports"):
        try:
            [url] = json.loads(file.read_text(encoding="utf-8"))["nats"]
        except ValueError:
            return None
        return int(url.rpartition(":")[2])
    return None


def _greet(port: int, password: str) -> str | None:
    """Log in and ping; return the server's version, or ``None`` when it does not answer yet."""
    login = {"user": _USER, "pass": password, "verbose": False, "pedantic": False, "protocol": 1}
    try:
        with socket.create_connection((_HOST, port), _ANSWER_WITHIN_S) as connection:
            lines = connection.makefile("rb")
            info = lines.readline(_MAX_LINE_BYTES)
            connection.sendall(f"CONNECT {json.dumps(login)}\r\nPING\r\n".encode())
            if lines.readline(_MAX_LINE_BYTES) != b"PONG\r\n":
                return None
            return str(json.loads(info.removeprefix(b"INFO "))["version"])
    except (OSError, ValueError):
        return None


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("-")[0].split(".") if part.isdigit())
