"""One WebSocket: who may open it, the handshake, and how its messages are written out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import msgspec

from gpu_agent.renderer import about
from gpu_agent.renderer.behaviour import Behaviour
from gpu_agent.renderer.engine import Engine
from gpu_agent.renderer.sockets import Frame, Socket, encoded
from gpu_agent.renderer.web import Receive, Request, Scope, Send

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_HANDSHAKE_BYTES: Final = 65_536


async def serve(engine: Engine, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a socket from its opening to its end."""
    request = Request({**scope, "method": "GET"}, receive, send)
    await receive()
    path = request.path.removeprefix("/api")
    full = len(engine.sockets) >= engine.limits.sockets
    if path != "/ws" or full or engine.behaviour.cut_sockets or is_foreign(request):
        await send({"type": "websocket.close", "code": 1008})
        return
    await send({"type": "websocket.accept"})
    client_id = request.query.get("clientId") or uuid.uuid4().hex
    socket = Socket(client_id, limit_waiting=engine.limits.messages_waiting)
    engine.sockets.add(socket)
    socket.send(encoded("status", {"status": engine.status(), "sid": client_id}))
    replayed = engine.replay(client_id)
    if replayed is not None:
        socket.send(encoded("executing", replayed))
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_write_out, socket, send, group.cancel_scope, engine.behaviour)
            await _listen(engine, socket, receive)
            group.cancel_scope.cancel()
    finally:
        engine.sockets.remove(socket)
        socket.close()
        socket.messages.close()


def is_foreign(request: Request) -> bool:
    """Say whether a browser on another site sent this to a server on the loopback."""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    if host not in _LOOPBACK:
        return False
    if request.headers.get("sec-fetch-site") == "cross-site":
        return True
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")


async def _listen(engine: Engine, socket: Socket, receive: Receive) -> None:
    """Wait for the end; only a handshake as the very first frame has an effect."""
    first = True
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if first and (told := _handshake(message.get("text") or "")) is not None:
            socket.takes_metadata = bool(told.get("supports_preview_metadata"))
            socket.send(encoded("feature_flags", about.flags(engine)))
        first = False


async def _write_out(
    socket: Socket, send: Send, scope: anyio.CancelScope, behaviour: Behaviour
) -> None:
    async for message in socket.messages:
        together = [message]
        if behaviour.burst_s:
            await anyio.sleep(behaviour.burst_s)
            together += _waiting(socket)
        for one in together:
            form = "text" if isinstance(one, str) else "bytes"
            await send({"type": "websocket.send", form: one})
    # the line was closed on this side: too slow, or the server stops
    await send({"type": "websocket.close", "code": 1001})
    scope.cancel()


def _waiting(socket: Socket) -> list[Frame]:
    """Take what is lined up by now."""
    taken: list[Frame] = []
    try:
        while True:
            taken.append(socket.messages.receive_nowait())
    except (anyio.WouldBlock, anyio.EndOfStream):
        return taken


def _handshake(text: str) -> Mapping[str, Any] | None:
    """Return the flags that a client's first frame tells, if it is such a frame."""
    if len(text) > _HANDSHAKE_BYTES:
        return None
    try:
        message = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    if not isinstance(message, dict) or message.get("type") != "feature_flags":
        return None
    told = message.get("data")
    return told if isinstance(told, dict) else {}
