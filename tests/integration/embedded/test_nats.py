"""A broker of our own."""

from __future__ import annotations

import socket
import stat
import sys
from pathlib import Path

import nats
import pytest

from effectmesh.embedded.errors import NoBinaryError, WrongVersionError
from effectmesh.embedded.nats import EmbeddedNats
from tests.integration.embedded.parents import running

_OLD_SERVER = """#!/bin/sh
''''exec "{python}" -I "$0" "$@" # '''
import json, pathlib, re, socket, sys
config = pathlib.Path(sys.argv[2]).read_text()
listener = socket.create_server(("127.0.0.1", 0))
ports = re.search(r'ports_file_dir: "(.*)"', config)[1]
url = "nats://127.0.0.1:%d" % listener.getsockname()[1]
pathlib.Path(ports, "old.ports").write_text(json.dumps({{"nats": [url]}}))
client, _ = listener.accept()
client.sendall(b'INFO {{"version":"2.10.29"}}\\r\\nPONG\\r\\n')
client.recv(1000)
client.recv(1000)
"""


async def _publish(url: str) -> None:
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name="KEPT", subjects=["kept"])
    await stream.publish("kept", b"word")
    await client.close()


async def _kept(url: str) -> int:
    client = await nats.connect(url)
    info = await client.jetstream().stream_info("KEPT")
    await client.close()
    return info.state.messages


@pytest.mark.parametrize("end", [EmbeddedNats.stop, EmbeddedNats.kill], ids=["stop", "crash"])
async def test_what_was_acknowledged_is_there_after_a_restart(home: Path, end) -> None:  # type: ignore[no-untyped-def]
    """At the same address and with the same password, so that clients find it again."""
    server = EmbeddedNats(home=home)
    with running(server) as url:
        await _publish(url)

        end(server)
        again = server.start()

        assert again == url
        assert await _kept(url) == 1


async def test_a_new_process_finds_the_old_streams(home: Path) -> None:
    """The password lives in the home, not in the process."""
    with running(EmbeddedNats(home=home)) as url:
        await _publish(url)

    with running(EmbeddedNats(home=home)) as url:
        assert await _kept(url) == 1


def test_nobody_gets_in_without_the_password(home: Path) -> None:
    """Any user of the machine reaches the loopback."""
    with running(EmbeddedNats(home=home)) as url:
        host, _, port = url.rpartition("@")[2].partition(":")
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(b'CONNECT {"user":"effectmesh","pass":"guess"}\r\nPING\r\n')
            said = b"".join(iter(lambda: stranger.recv(4096), b""))

    assert said.endswith(b"-ERR 'Authorization Violation'\r\n")


def test_no_secret_lies_open(home: Path) -> None:
    """The configuration holds the password."""
    with running(EmbeddedNats(home=home)):
        pass

    password = (home / "nats" / "password").read_text()
    holders = [f for f in (home / "nats").rglob("*") if f.is_file() and password in f.read_text()]
    assert {file.name for file in holders} == {"password", "server.conf"}
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in holders)


async def test_a_folder_may_have_spaces_and_quotes(home: Path) -> None:
    """People name folders as they like."""
    odd = home / 'my "own" $HOME clips'
    with running(EmbeddedNats(home=odd)) as url:
        await _publish(url)

    assert (odd / "nats" / "jetstream").is_dir()


def test_an_old_server_is_refused(home: Path) -> None:
    """Timers need scheduled messages; without them jobs would hang without a word."""
    old = home / "nats-server"
    old.write_text(_OLD_SERVER.format(python=sys.executable))
    old.chmod(0o755)

    with pytest.raises(WrongVersionError, match=r"version 2\.10\.29, 2\.14 or later"):
        EmbeddedNats(home=home, binary=old).start()


def test_a_named_program_that_is_not_there_is_refused(home: Path) -> None:
    """Another one must not be taken quietly in its place."""
    with pytest.raises(NoBinaryError, match="/nonexistent/nats-server"):
        EmbeddedNats(home=home, binary=Path("/nonexistent/nats-server")).start()
