"""Live progress over a real WebSocket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from schemas.base import JobId
from schemas.jobs import JobState
from tests.integration.gateway.test_jobs import ordered
from tests.integration.gateway.world import ANN, BOB, World, bearer


@asynccontextmanager
async def socket(
    client: httpx.AsyncClient, *, token: str = ANN, origin: str | None = None
) -> AsyncIterator[ClientConnection]:
    """Open a WebSocket with a token in the header, as a program does."""
    headers = bearer(token) if token else {}
    address = f"ws://{client.base_url.host}:{client.base_url.port}/v1/ws"
    async with connect(
        address,
        additional_headers=headers,
        origin=origin,
        compression=None,  # type: ignore[arg-type]
    ) as ws:
        yield ws


async def say(ws: ClientConnection, **command: object) -> None:
    """Send a command."""
    await ws.send(json.dumps(command))


async def heard(ws: ClientConnection) -> dict[str, Any]:
    """Return the next frame that is no heartbeat."""
    while True:
        frame: dict[str, Any] = json.loads(await ws.recv())
        if frame["type"] != "hb":
            return frame


async def until_closed(ws: ClientConnection, texts: list[str]) -> None:
    """Send, then read until the gateway ends the connection."""
    for text in texts:
        await ws.send(text)
    while True:
        await ws.recv()


async def watch(ws: ClientConnection, job_id: str, since: int = 0) -> dict[str, Any]:
    """Subscribe; return the snapshot."""
    await say(ws, type="subscribe", channel=f"job:{job_id}", since=since)
    return await heard(ws)


async def test_a_watched_job_is_shown_and_then_followed_to_its_end(tmp_path: Path) -> None:
    """First what is, then what happens, in the stream's order, until it is over."""
    world = World(tmp_path)
    async with world.gateway() as client:
        job_id = await ordered(world, client)
        world.bus.say(job_id, "ANALYZING")
        async with socket(client) as ws:
            snapshot = await watch(ws, job_id)
            stored = await heard(ws)
            world.bus.say(job_id, "render", percent=0.5, task_id="task_1", node="Blend")
            half = await heard(ws)
            world.bus.say(job_id, "COMPLETE", detail="published", final=True)
            end = await heard(ws)

    assert (snapshot["type"], snapshot["data"]["state"]) == ("snapshot", "INGESTED")
    assert snapshot["channel"] == f"job:{job_id}"
    assert (stored["type"], stored["seq"], stored["data"]["stage"]) == ("state", 1, "ANALYZING")
    assert (half["type"], half["seq"], half["data"]["percent"]) == ("progress", 2, 0.5)
    assert (end["type"], end["seq"], end["data"]["detail"]) == ("end", 3, "published")


async def test_a_client_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    """No line twice, none missing."""
    world = World(tmp_path)
    async with world.gateway() as client:
        job_id = await ordered(world, client)
        for stage in ("ANALYZING", "PROMPTING", "ROUTING"):
            world.bus.say(job_id, stage)
        async with socket(client) as ws:
            await watch(ws, job_id)
            seen = [await heard(ws), await heard(ws)]
        world.bus.say(job_id, "TESTING")
        async with socket(client) as ws:
            await watch(ws, job_id, since=seen[-1]["seq"])
            seen += [await heard(ws), await heard(ws)]

    assert [frame["seq"] for frame in seen] == [1, 2, 3, 4]


async def test_a_long_history_is_replayed_whole(tmp_path: Path) -> None:
    """More lines than the queue holds must not look like a slow client."""
    world = World(tmp_path, ws_queue=8)
    async with world.gateway() as client:
        job_id = await ordered(world, client)
        for number in range(256):
            world.bus.say(job_id, "TESTING", detail=str(number))
        async with socket(client) as ws:
            await watch(ws, job_id)
            seen = [(await heard(ws))["seq"] for _ in range(256)]

    assert seen == list(range(1, 257))


async def test_a_job_that_is_over_is_shown_and_ended(tmp_path: Path) -> None:
    """Its lines may have left the stream hours ago."""
    world = World(tmp_path)
    async with world.gateway() as client:
        job_id = await ordered(world, client)
        world.bus.change(job_id, state=JobState.REJECTED, reason="too dark", code="REJECTED")
        async with socket(client) as ws:
            snapshot = await watch(ws, job_id)
            end = await heard(ws)

    assert snapshot["data"]["ended"] is True
    assert (end["type"], end["data"]["stage"]) == ("end", "REJECTED")


async def test_a_job_whose_last_line_was_lost_still_ends(tmp_path: Path) -> None:
    """A line of progress may be lost; a client must not wait for it for ever."""
    world = World(tmp_path, ws_heartbeat_s=0.01)
    async with world.gateway() as client:
        job_id = await ordered(world, client)
        async with socket(client) as ws:
            await watch(ws, job_id)
            world.bus.change(job_id, state=JobState.COMPLETE)
            end = await heard(ws)

    assert (end["type"], end["data"]["stage"]) == ("end", "COMPLETE")


@pytest.mark.parametrize("job", ["theirs", "job_absent"])
async def test_another_tenants_job_looks_like_an_absent_one(tmp_path: Path, job: str) -> None:
    """And the connection goes on."""
    world = World(tmp_path)
    async with world.gateway() as client:
        mine = await ordered(world, client)
        job_id = mine if job == "theirs" else JobId(job)
        async with socket(client, token=BOB) as ws:
            error = await watch(ws, job_id)
            again = await watch(ws, job_id)

    assert (error["type"], error["data"]["status"]) == ("error", 404)
    assert error["data"]["code"] == again["data"]["code"] == "UNKNOWN_JOB"


async def test_a_page_signs_in_with_its_first_message(tmp_path: Path) -> None:
    """A browser cannot send the header."""
    world = World(tmp_path)
    async with world.gateway() as client:
        job_id = await ordered(world, client)
        origin = f"http://{client.base_url.host}:{client.base_url.port}"
        async with socket(client, token="", origin=origin) as ws:
            await say(ws, type="auth", token=ANN)
            snapshot = await watch(ws, job_id)

    assert snapshot["type"] == "snapshot"


@pytest.mark.parametrize(
    "first", ['{"type":"auth","token":"guessed"}', '{"type":"subscribe","channel":"job:x"}', "{"]
)
async def test_who_does_not_sign_in_first_is_sent_away(tmp_path: Path, first: str) -> None:
    """Nothing is told to strangers."""
    async with World(tmp_path).gateway() as client, socket(client, token="") as ws:
        await ws.send(first)
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


async def test_who_says_nothing_is_sent_away(tmp_path: Path) -> None:
    """An open connection that never signs in costs memory."""
    world = World(tmp_path, ws_auth_s=0.01)
    async with world.gateway() as client, socket(client, token="") as ws:
        with pytest.raises(ConnectionClosed) as closed:
            await ws.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


async def test_a_foreign_page_is_refused_before_the_upgrade(tmp_path: Path) -> None:
    """Another site's page must not open a socket with the visitor's network."""
    settings = {"allowed_origins": ("https://studio.example",)}
    async with World(tmp_path, **settings).gateway() as client:
        for foreign in ("https://evil.example", "null", "https://studio.example.evil.example"):
            with pytest.raises(InvalidStatus) as refused:
                async with socket(client, origin=foreign):
                    pass
            assert refused.value.response.status_code == 403
        async with socket(client, origin="https://studio.example") as ws:
            beat = json.loads(await ws.recv())

    assert beat["type"] == "hb"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "INVALID_COMMAND"),
        ("[]", "INVALID_COMMAND"),
        ('{"type":"dance"}', "INVALID_COMMAND"),
        ('{"type":"subscribe"}', "INVALID_COMMAND"),
        ('{"type":"subscribe","channel":"job:a.>"}', "UNKNOWN_CHANNEL"),
        ('{"type":"subscribe","channel":"margins"}', "UNKNOWN_CHANNEL"),
    ],
)
async def test_a_command_that_makes_no_sense_is_answered_and_survived(
    tmp_path: Path, text: str, code: str
) -> None:
    """One slip of a client must not cost it its connection."""
    world = World(tmp_path)
    async with world.gateway() as client:
        job_id = await ordered(world, client)
        async with socket(client) as ws:
            await ws.send(text)
            error = await heard(ws)
            snapshot = await watch(ws, job_id)

    assert (error["type"], error["data"]["code"]) == ("error", code)
    assert snapshot["type"] == "snapshot"


async def test_the_number_of_channels_is_bounded_and_one_can_be_left(tmp_path: Path) -> None:
    """A client must not make the gateway follow every job there is."""
    world = World(tmp_path, ws_channels=1)
    async with world.gateway() as client:
        first, second = await ordered(world, client), await ordered(world, client)
        async with socket(client) as ws:
            await watch(ws, first)
            twice = await watch(ws, first)
            over = await watch(ws, second)
            await say(ws, type="unsubscribe", channel=f"job:{first}")
            after = await watch(ws, second)

    assert twice["data"]["code"] == "SUBSCRIBED_ALREADY"
    assert over["data"]["code"] == "TOO_MANY_CHANNELS"
    assert after["type"] == "snapshot"


async def test_a_flood_of_commands_ends_the_connection(tmp_path: Path) -> None:
    """Each one costs a question on the bus."""
    async with World(tmp_path, ws_commands_per_s=3).gateway() as client, socket(client) as ws:
        with pytest.raises(ConnectionClosed) as closed:
            await until_closed(ws, ["{}"] * 50)

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4029


async def test_a_frame_that_is_too_large_ends_the_connection(tmp_path: Path) -> None:
    """A command is small."""
    async with World(tmp_path).gateway() as client, socket(client) as ws:
        with pytest.raises(ConnectionClosed) as closed:
            await until_closed(ws, ["x" * 70_000])

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_a_user_has_so_many_connections_and_no_more(tmp_path: Path) -> None:
    """Another user's are not counted."""
    async with World(tmp_path, ws_per_user=1).gateway() as client, socket(client) as first:
        await first.recv()
        async with socket(client) as second:
            with pytest.raises(ConnectionClosed) as closed:
                await second.recv()
        async with socket(client, token=BOB) as other:
            await other.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4029


async def test_a_client_that_leaves_stops_being_followed(tmp_path: Path) -> None:
    """Its subscription must not stay on the broker."""
    world = World(tmp_path)
    async with world.gateway() as client:
        job_id = await ordered(world, client)
        async with socket(client) as ws:
            await watch(ws, job_id)
            world.bus.say(job_id, "ANALYZING")
            await heard(ws)
            assert world.bus.watched == {job_id}
    assert world.bus.watched == set()


async def test_a_gateway_that_stops_lets_its_clients_go(tmp_path: Path) -> None:
    """A restart must not wait for whoever is still watching."""
    world = World(tmp_path)
    async with world.gateway() as client:
        address = f"ws://{client.base_url.host}:{client.base_url.port}/v1/ws"
        ws = await connect(address, additional_headers=bearer(ANN))
        await ws.recv()
    with pytest.raises(ConnectionClosed):
        await ws.recv()
