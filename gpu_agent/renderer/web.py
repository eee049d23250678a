"""The few pieces of HTTP that the routes need, on bare ASGI: a request, and ways to answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs

import msgspec

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_PLAIN: Final = "text/plain; charset=utf-8"
INTERNAL_ERROR: Final = b"500 Internal Server Error\n\nServer got itself in trouble"
"""The plain text that real servers send with a status of 500."""


class BodyTooLargeError(Exception):
    """The request body is longer than allowed."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"maximum request body size {limit} exceeded")


class BadBodyError(Exception):
    """The request is not what the route reads.

    ``crashes`` is one that real servers fall over, and answer with a status of 500.
    """

    def __init__(self, message: str, *, crashes: bool = False) -> None:
        self.crashes = crashes
        super().__init__(message)


class Request:
    """One HTTP request."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        query = scope["query_string"].decode("latin-1")
        self.query = {k: v[-1] for k, v in parse_qs(query, keep_blank_values=True).items()}
        self._receive = receive
        self._send = send

    async def chunks(self, limit: int) -> AsyncIterator[bytes]:
        """Yield the body in pieces.

        Raises:
            BodyTooLargeError: more than ``limit`` bytes were announced or sent.
            BadBodyError: the client went away.
        """
        announced = self.headers.get("content-length", "0")
        if announced.isdigit() and int(announced) > limit:
            raise BodyTooLargeError(limit)
        taken = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise BadBodyError("the client went away")
            piece: bytes = message.get("body", b"")
            taken += len(piece)
            if taken > limit:
                raise BodyTooLargeError(limit)
            yield piece
            if not message.get("more_body", False):
                return

    async def json(self, limit: int) -> Any:
        """Return the decoded body.

        Raises:
            BadBodyError: it is no JSON.
        """
        body = b"".join([piece async for piece in self.chunks(limit)])
        try:
            return msgspec.json.decode(body)
        except msgspec.DecodeError as problem:
            raise BadBodyError(str(problem), crashes=True) from problem

    def unheard(self) -> Request:
        """Return this request with nobody to hear its answer."""
        return Request(self._scope, self._receive, _to_nobody)

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """Begin the answer."""
        raw = [(k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, body: bytes, *, more: bool = False) -> None:
        """Send a piece of the answer."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def answer(
        self,
        status: int,
        body: bytes = b"",
        *,
        kind: str = _PLAIN,
        more: Mapping[str, str] | None = None,
    ) -> None:
        """Send a whole answer; an empty one has no type."""
        headers = {"content-length": str(len(body)), **(more or {})}
        if body:
            headers["content-type"] = kind
        await self.start(status, headers)
        await self.write(body if self.method != "HEAD" else b"")

    async def answer_json(self, data: Any, status: int = 200) -> None:
        """Send JSON."""
        body = msgspec.json.encode(data)
        await self.answer(status, body, kind="application/json; charset=utf-8")


async def _to_nobody(_message: MutableMapping[str, Any]) -> None:
    """Drop a piece of an answer."""
