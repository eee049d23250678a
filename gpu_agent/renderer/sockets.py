"""Who listens: the table of client ids and sockets, and which message goes to whom."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from gpu_agent.renderer.behaviour import Behaviour

Frame: TypeAlias = str | bytes
"""A text frame, or a binary one."""

PREVIEW: Final = 1
TEXT: Final = 3
PREVIEW_WITH_METADATA: Final = 4
JPEG: Final = 1
PNG: Final = 2
_MIME: Final = {JPEG: "image/jpeg", PNG: "image/png"}


class Socket:
    """One listener: a bounded line of messages that its connection writes out."""

    def __init__(self, client_id: str, *, limit_waiting: int) -> None:
        self.client_id = client_id
        self.takes_metadata = False
        """It said so in its first frame: previews tell which node of which prompt they show."""
        self._put: MemoryObjectSendStream[Frame]
        self.messages: MemoryObjectReceiveStream[Frame]
        self._put, self.messages = anyio.create_memory_object_stream[Frame](limit_waiting)

    def send(self, message: Frame) -> None:
        """Line up a message; a listener that is too far behind is cut off."""
        try:
            self._put.send_nowait(message)
        except (anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.close()

    def close(self) -> None:
        """Let the connection end after what is lined up."""
        self._put.close()


class Sockets:
    """The table: one socket per client id; a newer one replaces the older."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._by_client: dict[str, Socket] = {}
        self._behaviour = behaviour
        self.cut: Callable[[], None] = self.close
        """How the lines are cut without a goodbye, which only the server around this knows."""

    def __len__(self) -> int:
        return len(self._by_client)

    def add(self, socket: Socket) -> None:
        """List a socket."""
        self._by_client[socket.client_id] = socket

    def remove(self, socket: Socket) -> None:
        """Take a closed socket off the list; real servers take its successor off too."""
        if self._behaviour.deaf_socket or self._by_client.get(socket.client_id) is socket:
            self._by_client.pop(socket.client_id, None)

    def tell(self, client_id: str | None, kind: str, data: Mapping[str, Any]) -> None:
        """Send a message to one client, or to all."""
        self._send(client_id, encoded(kind, data))

    def tell_text(self, node_id: str, text: str) -> None:
        """Send progress in words; it goes to everybody, as on real servers."""
        name = node_id.encode()
        head = struct.pack(">II", TEXT, len(name))
        self._send(None, head + name + text.encode())

    def show(
        self, client_id: str | None, picture: bytes, data: Mapping[str, Any], *, kind: int
    ) -> None:
        """Send a picture to one client, or to all, each in the form it asked for."""
        about = msgspec.json.encode({**data, "image_type": _MIME[kind]})
        plain = struct.pack(">II", PREVIEW, kind) + picture
        full = struct.pack(">II", PREVIEW_WITH_METADATA, len(about)) + about + picture
        for socket in self._listeners(client_id):
            socket.send(full if socket.takes_metadata else plain)

    def _send(self, client_id: str | None, message: Frame) -> None:
        if self._behaviour.cut_sockets:
            self.cut()
            return
        for socket in self._listeners(client_id):
            socket.send(message)

    def _listeners(self, client_id: str | None) -> list[Socket]:
        if client_id is None:
            return list(self._by_client.values())
        return [self._by_client[client_id]] if client_id in self._by_client else []

    def close(self) -> None:
        """End all connections."""
        for socket in self._by_client.values():
            socket.close()


def encoded(kind: str, data: Mapping[str, Any]) -> str:
    """Return a message as it goes over the wire."""
    return msgspec.json.encode({"type": kind, "data": data}).decode()
