"""Who listens: the table of client ids and sockets, and which message goes to whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import msgspec
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream


class Socket:
    """One listener: a bounded line of messages that its connection writes out."""

    def __init__(self, client_id: str, *, limit_waiting: int) -> None:
        self.client_id = client_id
        self._put: MemoryObjectSendStream[bytes]
        self.messages: MemoryObjectReceiveStream[bytes]
        self._put, self.messages = anyio.create_memory_object_stream[bytes](limit_waiting)

    def send(self, message: bytes) -> None:
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

    def __init__(self, *, deaf: bool) -> None:
        self._by_client: dict[str, Socket] = {}
        self._deaf = deaf

    def __len__(self) -> int:
        return len(self._by_client)

    def add(self, socket: Socket) -> None:
        """List a socket."""
        self._by_client[socket.client_id] = socket

    def remove(self, socket: Socket) -> None:
        """Take a closed socket off the list; real servers take its successor off too."""
        if self._deaf or self._by_client.get(socket.client_id) is socket:
            self._by_client.pop(socket.client_id, None)

    def tell(self, client_id: str | None, kind: str, data: Mapping[str, Any]) -> None:
        """Send a message to one client, or to all."""
        message = encoded(kind, data)
        if client_id is None:
            for socket in list(self._by_client.values()):
                socket.send(message)
        elif client_id in self._by_client:
            self._by_client[client_id].send(message)

    def close(self) -> None:
        """End all connections."""
        for socket in self._by_client.values():
            socket.close()


def encoded(kind: str, data: Mapping[str, Any]) -> bytes:
    """Return a message as it goes over the wire."""
    return msgspec.json.encode({"type": kind, "data": data})
