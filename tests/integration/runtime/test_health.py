"""A probe learns which part is not well, and never waits for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest

from actors.runtime import health
from actors.runtime.health import WELL, Check, Health, HealthPortError, HealthServer, copy_check
from effectmesh.processes.vitals import working_check


async def well() -> str:
    """Say that all is well."""
    return WELL


async def ill() -> str:
    """Say what is wrong."""
    return "the broker is away"


async def broken() -> str:
    """Raise."""
    raise ConnectionRefusedError("port 5432")


async def stuck() -> str:
    """Never say anything."""
    await anyio.sleep_forever()
    return WELL


@asynccontextmanager
async def serving(
    checks: Mapping[str, Check], failing: Mapping[str, str] | None = None
) -> AsyncIterator[int]:
    """Yield the port of a health server."""
    server = HealthServer(port=0, checks=checks, failing=failing)
    with anyio.fail_after(15):
        async with anyio.create_task_group() as tasks:
            yield await tasks.start(server.run)
            tasks.cancel_scope.cancel()


async def get(port: int, path: str, *, method: str = "GET") -> tuple[int, bytes]:
    """Return status and body."""
    request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    return await talk(port, request)


async def talk(port: int, request: bytes) -> tuple[int, bytes]:
    """Send raw bytes, and return status and body of the answer."""
    async with await anyio.connect_tcp("127.0.0.1", port) as connection:
        await connection.send(request)
        answer = b""
        while True:
            try:
                answer += await connection.receive()
            except anyio.EndOfStream:
                break
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-length" in head.lower()
    return int(head.split()[1]), body


async def test_a_process_whose_parts_are_well_is_ready() -> None:
    """It gets work from now on."""
    async with serving({"bus": well, "database": well}) as port:
        status, body = await get(port, "/readyz")

    assert status == 200
    assert msgspec.json.decode(body, type=Health) == Health(
        ready=True, parts={"bus": "ok", "database": "ok"}
    )


@pytest.mark.parametrize(
    ("check", "said"),
    [(ill, "the broker is away"), (broken, "ConnectionRefusedError: port 5432")],
)
async def test_one_part_that_is_not_well_is_named(check: Check, said: str) -> None:
    """The others are told too: what is well need not be looked at."""
    async with serving({"bus": check, "database": well}) as port:
        status, body = await get(port, "/readyz")

    assert status == 503
    assert msgspec.json.decode(body) == {"ready": False, "parts": {"bus": said, "database": "ok"}}


async def test_a_part_that_does_not_answer_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that hangs would be taken for a dead process, which a restart does not mend."""
    monkeypatch.setattr(health, "CHECK_S", 0.02)
    async with serving({"database": stuck}) as port:
        status, body = await get(port, "/readyz")

    assert status == 503
    assert b"no answer in" in body


async def test_what_broke_and_waits_for_its_restart_is_not_ready() -> None:
    """Between its restarts a part does nothing."""
    failing = {"EVT/approval": "KeyError: 'x'"}
    async with serving({"bus": well}, failing) as port:
        broken_status, body = await get(port, "/readyz")
        failing.clear()
        mended_status, _ = await get(port, "/readyz")

    assert (broken_status, mended_status) == (503, 200)
    assert msgspec.json.decode(body)["parts"]["EVT/approval"] == "KeyError: 'x'"


async def test_a_process_that_is_not_ready_lives() -> None:
    """Restarting it would not bring the database back, and would lose what is under way."""
    async with serving({"database": ill}) as port:
        assert (await get(port, "/livez"))[0] == 200


async def test_a_process_that_drains_is_not_ready() -> None:
    """It takes no more work."""
    stopping = anyio.Event()
    check = working_check(stopping)

    before = await check()
    stopping.set()

    assert (before, await check()) == (WELL, "draining")


async def test_a_copy_is_well_once_it_is_complete() -> None:
    """Before, every routing decision would be made on nothing."""
    complete = [False]
    check = copy_check(lambda: complete[0])

    before = await check()
    complete[0] = True

    assert before != WELL
    assert await check() == WELL


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /other HTTP/1.1\r\n\r\n", 404),
        (b"POST /readyz HTTP/1.1\r\n\r\n", 405),
        (b"GET /readyz?verbose HTTP/1.1\r\n\r\n", 200),
        (b"\x00\xff" * 100 + b"\r\n\r\n", 405),
    ],
    ids=["another path", "another method", "with a query", "garbage"],
)
async def test_only_the_two_are_served(request_: bytes, status: int) -> None:
    """It is no web server."""
    async with serving({}) as port:
        assert (await talk(port, request_))[0] == status


async def test_a_head_request_has_no_body() -> None:
    """Some probes use it."""
    async with serving({}) as port:
        assert await get(port, "/livez", method="HEAD") == (200, b"")


async def test_who_says_nothing_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many connections as there are places, all silent: they are closed after a while."""
    monkeypatch.setattr(health, "CONNECTIONS", 2)
    monkeypatch.setattr(health, "REQUEST_S", 0.05)
    async with serving({}) as port:
        silent = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(4)]
        assert (await get(port, "/livez"))[0] == 200
        for each in silent:
            await each.aclose()


async def test_a_client_that_goes_away_ends_nothing() -> None:
    """A scan of ports must not take the process down."""
    async with serving({}) as port:
        async with await anyio.connect_tcp("127.0.0.1", port) as connection:
            await connection.send(b"GET /li")
        assert (await get(port, "/livez"))[0] == 200


async def test_a_port_that_is_taken_is_told_in_one_sentence() -> None:
    """Two processes were given the same setting."""
    async with serving({}) as port:
        with pytest.raises(HealthPortError, match="EFFECTMESH_HEALTH_PORT") as told:
            await HealthServer(port=port, checks={}).run()

    assert str(port) in str(told.value)
