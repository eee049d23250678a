"""Listening, and stopping."""

from __future__ import annotations

import socket
from pathlib import Path

import anyio
import httpx
import pytest

from gateway.app import serve
from tests.integration.gateway.world import ANN, CLIP, World, bearer


async def test_an_address_that_is_taken_is_said_at_once(tmp_path: Path) -> None:
    """The caller can name it and stop, instead of finding a dead process later."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await serve(World(tmp_path).app(), host="127.0.0.1", port=port, ready=print)


async def test_a_cancelled_server_is_gone(tmp_path: Path) -> None:
    """Whoever starts it by a task group stops it by the same."""
    world = World(tmp_path)
    async with world.gateway() as client:
        address = client.base_url
        assert (await client.get("/livez")).status_code == 200

    async with httpx.AsyncClient(base_url=address) as late:
        with pytest.raises(httpx.ConnectError):
            await late.get("/livez")


async def test_a_request_that_is_under_way_is_finished_before_the_end(tmp_path: Path) -> None:
    """A restart must not cut off an upload that is being judged."""
    world = World(tmp_path)
    world.bus.judging, world.bus.may_judge = anyio.Event(), anyio.Event()
    answers: list[httpx.Response] = []

    async def upload(address: httpx.URL) -> None:
        async with httpx.AsyncClient(base_url=address, headers=bearer(ANN)) as client:
            answers.append(await client.post("/v1/uploads", content=CLIP))

    async with anyio.create_task_group() as group, world.gateway() as client:
        group.start_soon(upload, client.base_url)
        await world.bus.judging.wait()
        group.start_soon(_judge_when_stopping, world)

    assert [answer.status_code for answer in answers] == [201]


async def _judge_when_stopping(world: World) -> None:
    await world.stopping.wait()
    world.bus.may_judge.set()
