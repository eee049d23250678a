"""What is wrong with a configuration is said in one sentence that names the remedy, at once."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from actors.runtime import bus as bus_module
from actors.runtime import provision
from actors.runtime.bus import connected
from actors.runtime.errors import BusError, CannotConnectError, DriftError, NotLetInError
from actors.runtime.provision import JetStreamOffError, OldServerError
from effectmesh.embedded.nats import EmbeddedNats
from effectmesh.processes.common import FAILED, run_process
from effectmesh.settings import Settings
from subjects.topology import topology
from tests.integration.runtime.world import SOON_S

ALL = topology()


class _Forgetful(EmbeddedNats):
    """A broker that stores nothing."""

    def _config(self, password: str, ports: Path) -> str:
        lines = super()._config(password, ports).splitlines()
        return "\n".join(each for each in lines if not each.startswith("jetstream"))


@pytest.fixture
def forgetful(home: Path) -> Iterator[str]:
    """Return the URL of a broker without JetStream."""
    server = _Forgetful(home=home, sync_always=False)
    yield server.start()
    server.stop()


@asynccontextmanager
async def announcing(version: str) -> AsyncIterator[str]:
    """Yield the URL of something that greets like a broker of that version, and can nothing."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, partial(_greet, version))
        yield f"nats://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        serving.cancel_scope.cancel()


async def _greet(version: str, client: SocketStream) -> None:
    info = {"server_id": "X", "version": version, "headers": True, "max_payload": 1_000_000}
    async with client:
        await client.send(b"INFO " + json.dumps(info).encode() + b"\r\n")
        lines = BufferedByteReceiveStream(client)
        while True:
            try:
                line = await lines.receive_until(b"\r\n", 65_536)
            except (anyio.IncompleteRead, anyio.BrokenResourceError):
                return
            if line == b"PING":
                await client.send(b"PONG\r\n")


def unused_port() -> int:
    """Return a port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def test_a_broker_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password in the address is not for the log."""
    monkeypatch.setattr(bus_module, "CONNECT_TIMEOUT_S", 0.6)
    port = unused_port()

    with pytest.raises(CannotConnectError) as told:
        async with connected(f"nats://me:secret@127.0.0.1:{port}", name="test"):
            pass

    assert one_sentence(told.value)
    assert f"nats://127.0.0.1:{port}" in str(told.value)
    assert "EFFECTMESH_NATS_URL" in str(told.value)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("login", ["", "nobody:wrong@", "effectmesh:wrong@"])
async def test_a_wrong_password_is_told_at_once(
    broker_url: str, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    """It does not become right by waiting, and is not the same as a broker that is away."""
    monkeypatch.setattr(bus_module, "CONNECT_TIMEOUT_S", 60.0)
    url = f"nats://{login}{broker_url.rpartition('@')[2]}"

    with anyio.fail_after(SOON_S), pytest.raises(NotLetInError) as told:
        async with connected(url, name="test"):
            pass

    assert one_sentence(told.value)
    assert "password" in str(told.value)
    assert "EFFECTMESH_NATS_URL" in str(told.value)
    assert "wrong" not in str(told.value)


async def test_a_broker_that_is_too_old() -> None:
    """It would take the streams and then lack the timers, weeks later."""
    async with announcing("2.10.29") as url, connected(url, name="test") as bus:
        with anyio.fail_after(SOON_S), pytest.raises(OldServerError) as told:
            await provision.check(bus, ALL)

    assert one_sentence(told.value)
    assert "2.10.29" in str(told.value)
    assert "2.14" in str(told.value)


async def test_a_broker_without_jetstream(forgetful: str) -> None:
    """It answers, stores nothing, and every message would be lost."""
    async with connected(forgetful, name="test") as bus:
        with anyio.fail_after(SOON_S), pytest.raises(JetStreamOffError) as told:
            await provision.check(bus, ALL)

    assert one_sentence(told.value)
    assert "add a jetstream block" in str(told.value)


async def test_streams_that_are_not_as_declared(bus: bus_module.Bus) -> None:
    """Here they were never made."""
    with pytest.raises(DriftError) as told:
        await provision.check(bus, ALL)

    assert one_sentence(told.value)
    assert "effectmesh topology apply" in str(told.value)


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "from a task"])
def test_a_process_ends_with_the_sentence_and_no_traceback(
    forgetful: str, caplog: pytest.LogCaptureFixture, wrapped: bool
) -> None:
    """Whoever starts it reads one line, and the supervisor sees the status."""

    async def check(settings: Settings) -> None:
        async with connected(settings.nats_url, name="test") as bus:
            await provision.check(bus, ALL)

    async def main(settings: Settings, stopping: anyio.Event) -> None:
        if not wrapped:
            await check(settings)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(check, settings)
            await stopping.wait()

    settings = Settings(home=Path("/nowhere"), nats_url=forgetful)
    with caplog.at_level(logging.CRITICAL):
        assert run_process("actors", main, settings) == FAILED

    [line] = [each for each in caplog.records if each.levelno == logging.CRITICAL]
    assert line.exc_info is None
    assert "actors cannot go on: the broker has no JetStream" in line.getMessage()


def one_sentence(told: BusError) -> bool:
    """Tell whether a message fits on one line of a log, and names what to do."""
    text = str(told)
    return "\n" not in text and ";" in text
