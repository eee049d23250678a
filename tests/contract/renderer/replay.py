"""Playing a recorded exchange again: the client's steps are sent, the server's words are kept.

A recording holds what a client did, and what a real server answered, in the order of their times.
Where the client did something in the middle of a run, the renderer's node is held until the step is
done, since it would otherwise be over long before.
"""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import quote

import anyio
import anyio.lowlevel
import httpx
import websockets
from msgspec import Struct, field
from websockets.asyncio.client import ClientConnection

from gpu_agent.renderer.behaviour import Behaviour
from tests.contract.renderer.recording import (
    STEPS,
    Event,
    Recording,
    is_from,
    is_past,
    is_tick,
    submitted,
)
from tests.contract.renderer.support import PATIENCE_S

PREVIEW, TEXT, PREVIEW_WITH_METADATA = 1, 3, 4


class Heard(Struct):
    """What the renderer answered, and what it said on each connection."""

    answers: dict[int, tuple[int, Any, Mapping[str, str]]] = field(default_factory=dict)
    """Index of the recorded step -> status, body, headers."""
    messages: dict[str, list[Event]] = field(default_factory=dict)
    closed: dict[str, int | None] = field(default_factory=dict)
    """Connection -> the code it was closed with, or nothing where the client closed it."""
    nameless: set[str] = field(default_factory=set)
    """Connections whose client id the server made up."""
    ids: dict[str, str] = field(default_factory=dict)
    """Recorded prompt id -> the id the renderer gave."""


class Player:
    """Sends a client's steps to a renderer."""

    def __init__(
        self,
        recording: Recording,
        *,
        base: str,
        behaviour: Behaviour,
        upload: Callable[[int, str], bytes],
        headers: Mapping[int, Mapping[str, str]],
    ) -> None:
        self.heard = Heard()
        self._recording = recording
        self._base = base
        self._behaviour = behaviour
        self._upload = upload
        self._headers = headers
        self._http = httpx.AsyncClient(base_url=base, timeout=PATIENCE_S)
        self._sockets: dict[str, ClientConnection] = {}
        self._stack = AsyncExitStack()

    async def step(self, index: int) -> None:
        """Do what the client did at one place of the recording."""
        event = self._recording.events[index]
        if event["ev"] in STEPS:
            await self._catch_up(index)
            now = self._recording.held_at(index)
            # what is submitted by this step may run before the step is over
            self._hold(now[1] if now else None, self._recording.ahead(index + 1))
        match event["ev"]:
            case "http":
                await self._request(index, event)
            case "ws_open":
                await self._open(event)
            case "ws_send":
                await self._sockets[event["conn"]].send(json.dumps(event["msg"]))
            case "ws_closed":
                if event["close_code"] is not None:
                    # the server dies of what it was held before
                    self._hold()
                await self._close(event)
        if event["ev"] in STEPS:
            self._hold(self._recording.ahead(index + 1))

    def _hold(self, *classes: str | None) -> None:
        """Hold some nodes, and let go of all others."""
        self._behaviour.hung_at = frozenset(name for name in classes if name is not None)

    async def prepare(self, ran_before: int) -> None:
        """Bring the server to where it stood when the recording began."""
        empty = {"width": 8, "height": 8, "batch_size": 1, "color": 0}
        picture = {"class_type": "EmptyImage", "inputs": empty}
        saved = {"images": ["1", 0], "filename_prefix": "before"}
        for _ in range(ran_before):
            graph = {"1": picture, "2": {"class_type": "SaveImage", "inputs": saved}}
            await self._http.post("/prompt", json={"prompt": graph})
        await self._idle()
        warm = self._recording.found_cached()
        if warm:
            [shown] = [i for i, node in warm.items() if node["class_type"] == "GetVideoComponents"]
            preview = {"class_type": "PreviewImage", "inputs": {"images": [shown, 0]}}
            graph = {**warm, "preview": preview}
            await self._http.post("/prompt", json={"prompt": graph, "number": 0})
            await self._idle()

    async def ask(self, path: str) -> httpx.Response:
        """Ask something that is not in the recording."""
        return await self._http.get(path)

    async def reconnected(self) -> None:
        """Take new connections to a server that was started again."""
        await self._http.aclose()
        self._http = httpx.AsyncClient(base_url=self._base, timeout=PATIENCE_S)

    async def _idle(self) -> None:
        """Wait until nothing runs."""
        with anyio.fail_after(PATIENCE_S):
            while (await self._http.get("/prompt")).json()["exec_info"]["queue_remaining"]:
                await anyio.lowlevel.checkpoint()

    async def _catch_up(self, index: int) -> None:
        """Hear, on every connection, as much as the client had heard by then."""
        event = self._recording.events[index]
        sent = event.get("t_sent_ms", event["t_ms"])
        for conn, socket in self._sockets.items():
            wanted = sum(
                is_from(e, conn) and e["t_ms"] <= sent and not is_tick(e)
                for e in self._recording.events
            )
            with anyio.fail_after(PATIENCE_S):
                while sum(not is_tick(e) for e in self.heard.messages[conn]) < wanted:
                    self.heard.messages[conn].append(told(await socket.recv()))
        if self._was_idle(index) or self._recording.held.get(index) == "":
            await self._idle()

    def _was_idle(self, index: int) -> bool:
        """Say whether the recording shows that the server had come to rest by a step.

        Nobody need have listened to the end of a run; what the server answers tells it too.
        """
        event = self._recording.events[index]
        if event["ev"] == "ws_open":
            after = self._recording.events[index:]
            first = next(e["msg"]["data"] for e in after if is_from(e, event["conn"]))
            return bool(first["status"]["exec_info"]["queue_remaining"] == 0)
        return is_past(event)

    async def _request(self, index: int, event: Event) -> None:
        request = event["request"]
        method, path = request["method"], self._known(request["path"])
        options: dict[str, Any] = {"headers": dict(self._headers.get(index, {}))}
        if "headers" in request:
            name, _, value = request["headers"].partition(": ")
            options["headers"][name] = value
        options["headers"] = {k: v.format(base=self._base) for k, v in options["headers"].items()}
        if "json" in request:
            options["json"] = json.loads(self._known(json.dumps(request["json"])))
        elif "multipart" in request:
            options |= self._form(index, request["multipart"])
        answer = await self._http.request(method, path, **options)
        body: Any = {"_binary_bytes": len(answer.content)}
        if answer.headers.get("content-type", "").startswith("application/json"):
            body = answer.json()
        elif answer.is_error or not answer.headers.get("content-type", "").startswith("video/"):
            body = answer.text
        self.heard.answers[index] = (answer.status_code, body, answer.headers)
        recorded = submitted(event)
        if recorded is not None and answer.status_code == 200:
            self.heard.ids[recorded] = body["prompt_id"]

    def _form(self, index: int, parts: Mapping[str, str]) -> dict[str, Any]:
        data = {name: value for name, value in parts.items() if name != "image"}
        if "image" not in parts:
            return {"files": {name: (None, value) for name, value in data.items()}}
        name = parts["image"].removeprefix("<file ").removesuffix(">")
        sent = quote(name, safe="") if index < self._recording.quoted_until else name
        return {"data": data, "files": {"image": (sent, self._upload(index, name))}}

    async def _open(self, event: Event) -> None:
        # without one the server makes one up, which cannot be compared
        client_id = event["client_id"]
        query = "" if client_id is None else f"?clientId={client_id}"
        address = self._base.replace("http", "ws") + f"/ws{query}"
        connection = websockets.connect(address, max_queue=None)
        self._sockets[event["conn"]] = await self._stack.enter_async_context(connection)
        self.heard.messages[event["conn"]] = []
        if client_id is None:
            self.heard.nameless.add(event["conn"])

    async def _close(self, event: Event) -> None:
        conn = event["conn"]
        socket = self._sockets.pop(conn)
        if event["close_code"] is None:
            await self._drain(conn, socket)
            await socket.close()
            self.heard.closed[conn] = None
            return
        with anyio.fail_after(PATIENCE_S):
            try:
                while True:
                    self.heard.messages[conn].append(told(await socket.recv()))
            except websockets.ConnectionClosed as closed:
                self.heard.closed[conn] = 1006 if closed.rcvd is None else closed.rcvd.code

    async def _drain(self, conn: str, socket: ClientConnection) -> None:
        """Hear what was said so far; the answer to a ping comes after all of it."""
        await (await socket.ping())
        while True:
            with anyio.move_on_after(0.01):
                self.heard.messages[conn].append(told(await socket.recv()))
                continue
            return

    def _known(self, text: str) -> str:
        for recorded, ours in self.heard.ids.items():
            text = text.replace(recorded, ours)
        return text

    async def close(self) -> None:
        """Let go of everything."""
        self._behaviour.hung_at = frozenset()
        await self._stack.aclose()
        await self._http.aclose()


@asynccontextmanager
async def playing(
    recording: Recording,
    *,
    base: str,
    behaviour: Behaviour,
    upload: Callable[[int, str], bytes],
    headers: Mapping[int, Mapping[str, str]],
) -> AsyncIterator[Player]:
    """Yield a player that lets go of its connections at the end."""
    player = Player(recording, base=base, behaviour=behaviour, upload=upload, headers=headers)
    try:
        yield player
    finally:
        await player.close()


def told(frame: str | bytes) -> Event:
    """Return a frame as the recorder wrote it down."""
    if isinstance(frame, str):
        return {"ev": "ws_recv", "msg": json.loads(frame)}
    kind, length = struct.unpack(">II", frame[:8])
    if kind == TEXT:
        node_id, text = frame[8 : 8 + length].decode(), frame[8 + length :].decode()
        return {
            "ev": "ws_recv_binary",
            "info": {"event_type": kind, "node_id": node_id, "text": text},
        }
    if kind == PREVIEW:
        head = frame[8:16].hex()
        info = {"event_type": kind, "image_format": length, "image_head_hex": head}
        return {"ev": "ws_recv_binary", "info": info}
    metadata = json.loads(frame[8 : 8 + length])
    head = frame[8 + length : 16 + length].hex()
    info = {"event_type": kind, "metadata": metadata, "image_head_hex": head}
    return {"ev": "ws_recv_binary", "info": info}
