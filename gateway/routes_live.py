"""The WebSocket of live progress."""

from __future__ import annotations

from litestar import WebSocket
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import WebSocketDisconnect
from litestar.handlers import websocket
from litestar.params import SkipValidation

from gateway.identity import bearer
from gateway.live import Live, WireClosedError

TheLive = NamedDependency[SkipValidation[Live]]
Socket = WebSocket[object, object, State]


class SocketWire:
    """An accepted WebSocket of the framework, as a session sees it."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    async def receive(self) -> str:
        """Return the next text.

        Raises:
            WireClosedError: there will be none.
        """
        try:
            return await self._socket.receive_text()
        except WebSocketDisconnect as error:
            raise WireClosedError from error

    async def send(self, text: str) -> None:
        """Send a text; waits while the client does not read.

        Raises:
            WireClosedError: the client is gone.
        """
        try:
            await self._socket.send_text(text)
        except WebSocketDisconnect as error:
            raise WireClosedError from error

    async def close(self, code: int, reason: str) -> None:
        """Say why it ends, and end it.

        Raises:
            WireClosedError: it has ended already.
        """
        try:
            await self._socket.close(code, reason)
        except WebSocketDisconnect as error:
            raise WireClosedError from error


@websocket("/v1/ws")
async def live_progress(socket: Socket, live: TheLive) -> None:
    """Watch jobs as they go."""
    await socket.accept()
    await live.run(SocketWire(socket), token=bearer(socket.headers.get("authorization")))
