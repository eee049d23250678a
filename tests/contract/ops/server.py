"""A nats-server that runs on ``nats/server.conf``, and what one of its users may do there."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from effectmesh.embedded.binaries import find_nats
from effectmesh.embedded.process import ENVIRONMENT, Child

ROOT: Final = Path(__file__).parents[3]
CONFIG: Final = ROOT / "nats" / "server.conf"

VARIABLE: Final = re.compile(r"\$(NATS_[A-Z_]+)")
_USER: Final = re.compile(r"^\s*(?:\{ )?user: (\w+)", flags=re.MULTILINE)
_REFUSED: Final = re.compile(rb"Permissions Violation for (?:Publish|Subscription) to \"([^\"]+)\"")
_ANSWER_WITHIN_S: Final = 5.0
_TEST_WITHIN_S: Final = 20.0


def without_comments() -> str:
    """Return the configuration as the server reads it."""
    lines = CONFIG.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def users() -> set[str]:
    """Return every user of the configuration."""
    return set(_USER.findall(without_comments()))


def variables(store: Path) -> dict[str, str]:
    """Return the environment it needs: each user's password is ``p`` and the variable's name."""
    found = set(VARIABLE.findall(without_comments())) - {"NATS_STORE_DIR"}
    return {name: f"p{name}" for name in found} | {"NATS_STORE_DIR": str(store)}


def check(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Let the server itself read the configuration."""
    return subprocess.run(
        [str(find_nats().path), "-t", "-c", str(CONFIG)],
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=_TEST_WITHIN_S,
        check=False,
    )


@contextmanager
def running(folder: Path) -> Iterator[int]:
    """Run a server on the configuration and yield its port."""
    ports = folder / "ports"
    ports.mkdir()
    anywhere = ["-a", "127.0.0.1", "-p", "-1", "-m", "-1", "--ports_file_dir", str(ports)]
    server = Child(
        name="nats-server",
        command=[str(find_nats().path), "-c", str(CONFIG), *anywhere],
        log=folder / "server.log",
        environment={**ENVIRONMENT, **variables(folder / "store")},
    )
    server.start()
    try:
        yield server.wait_until(lambda: _port_in(ports))
    finally:
        server.stop()


def refused_publish(port: int, user: str, subjects: Iterable[str]) -> set[str]:
    """Return which of the subjects this user may not publish on."""
    return _refused(port, user, (f"PUB {subject} 0\r\n\r\n" for subject in subjects))


def refused_subscribe(port: int, user: str, subjects: Iterable[str]) -> set[str]:
    """Return which of the subjects this user may not subscribe to."""
    wanted = enumerate(subjects, start=1)
    return _refused(port, user, (f"SUB {subject} {number}\r\n" for number, subject in wanted))


def _refused(port: int, user: str, lines: Iterable[str]) -> set[str]:
    login = {"user": user, "pass": f"pNATS_PASSWORD_{user.upper()}", "verbose": False}
    with socket.create_connection(("127.0.0.1", port), _ANSWER_WITHIN_S) as connection:
        answers = connection.makefile("rb")
        answers.readline()
        said = f"CONNECT {json.dumps(login)}\r\n" + "".join(lines) + "PING\r\n"
        connection.sendall(said.encode())
        refused = set()
        while (answer := answers.readline()) != b"PONG\r\n":
            assert answer, f"the server hung up on {user}"
            assert b"Authorization" not in answer, answer
            if found := _REFUSED.search(answer):
                refused.add(found[1].decode())
    return refused


def _port_in(ports: Path) -> int | None:
    for file in ports.glob("*.ports"):
        try:
            [url] = json.loads(file.read_text(encoding="utf-8"))["nats"]
        except ValueError:  # half written
            return None
        return int(url.rpartition(":")[2])
    return None
