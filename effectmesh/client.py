"""The gateway's HTTP API for Python: what the command line itself uses."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import httpx
import msgspec
from msgspec import Struct
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake

T = TypeVar("T")

TIMEOUT_S: Final = 30.0
INSPECT_TIMEOUT_S: Final = 90.0
"""The last byte of an upload is answered only when the clip was looked at."""
PIECE_BYTES: Final = 4 * 1024 * 1024
UPLOAD_TRIES: Final = 8
RETRY_S: Final = 0.5
SOCKET_TRIES: Final = 40
TUS: Final = {"Tus-Resumable": "1.0.0"}

Uploaded = Callable[[int, int], None]
"""Told how many bytes of how many are there."""


class Problem(Struct, frozen=True, kw_only=True):
    """An RFC 9457 problem, as the gateway answers it."""

    status: int
    title: str = ""
    detail: str = ""
    code: str = ""
    hint: str = ""
    faults: tuple[str, ...] = ()
    """Everything that is wrong, when there may be more than one thing."""


class ProblemError(Exception):
    """The gateway refused; what, why and what to do stand in ``problem``."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem


class Client:
    """One gateway, one token. Made by ``open_client``."""

    def __init__(self, http: httpx.AsyncClient, *, url: str, token: str) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._token = token

    async def get(self, path: str) -> Any:
        """Return the JSON of a resource.

        Raises:
            ProblemError: the gateway refused.
        """
        return _json(await self._http.get(path))

    async def post(self, path: str, body: object = None, *, key: str = "") -> Any:
        """Send JSON and return the JSON of the answer.

        Raises:
            ProblemError: the gateway refused.
        """
        headers = {"Idempotency-Key": key} if key else {}
        return _json(await self._http.post(path, json=body or {}, headers=headers))

    async def put(self, path: str, body: object, *, match: str) -> Any:
        """Replace what is still as ``match`` says, and return the JSON of the answer.

        Raises:
            ProblemError: the gateway refused, because somebody else changed it first for instance.
        """
        return _json(await self._http.put(path, json=body, headers={"If-Match": match}))

    async def upload(self, path: Path, *, told: Uploaded | None = None) -> str:
        """Upload a clip in pieces and return its video id; goes on after a broken connection.

        Raises:
            ProblemError: it is no usable video, or too large.
            httpx.TransportError: the gateway stays away.
        """
        length = (await anyio.Path(path).stat()).st_size
        created = await self._http.post(
            "/v1/tus", headers=TUS | {"Upload-Length": str(length), "Content-Length": "0"}
        )
        _check(created)
        where = created.headers["Location"]
        offset = 0
        failures = 0
        with path.open("rb") as file:
            while True:
                try:
                    answer = await self._send_piece(
                        where, file.seek(offset), file.read(PIECE_BYTES)
                    )
                    offset = int(answer.headers["Upload-Offset"])
                    failures = 0
                except httpx.TransportError:
                    failures += 1
                    if failures >= UPLOAD_TRIES:
                        raise
                    await anyio.sleep(RETRY_S * failures)
                    offset = await self._offset(where, offset)
                    continue
                if told:
                    told(offset, length)
                if offset >= length:
                    return await self._video_of(where, answer)

    async def _send_piece(self, where: str, offset: int, piece: bytes) -> httpx.Response:
        answer = await self._http.patch(
            where,
            content=piece,
            headers=TUS
            | {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"},
            timeout=INSPECT_TIMEOUT_S,
        )
        _check(answer)
        return answer

    async def _offset(self, where: str, known: int) -> int:
        try:
            found = await self._http.head(where, headers=TUS)
        except httpx.TransportError:
            return known
        _check(found)
        return int(found.headers["Upload-Offset"])

    async def _video_of(self, where: str, answer: httpx.Response) -> str:
        del where
        return answer.headers["Video-Id"]

    async def follow(self, job_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the live frames of a job until its end; reconnects by itself.

        Raises:
            ProblemError: there is no such job for this token.
        """
        since = 0
        for _ in range(SOCKET_TRIES):
            try:
                async for frame in self._frames(job_id, since):
                    since = frame.get("seq") or since
                    yield frame
                    if frame["type"] == "end":
                        return
            except (OSError, ConnectionClosed, InvalidHandshake):
                await anyio.sleep(RETRY_S)
        raise ConnectionError(f"the live connection to {self._url} cannot be kept")

    async def _frames(self, job_id: str, since: int) -> AsyncIterator[dict[str, Any]]:
        address = "ws" + self._url.removeprefix("http") + "/v1/ws"
        headers = {"Authorization": f"Bearer {self._token}"}
        async with open_socket(address, additional_headers=headers, max_size=2**20) as socket:
            ask = {"type": "subscribe", "channel": f"job:{job_id}", "since": since}
            await socket.send(json.dumps(ask))
            async for text in socket:
                frame = json.loads(text)
                if frame["type"] == "error":
                    data = frame.get("data") or {}
                    raise ProblemError(
                        Problem(
                            status=int(data.get("status", 500)),
                            detail=str(data.get("detail", "")),
                            code=str(data.get("code", "")),
                        )
                    )
                yield frame


@asynccontextmanager
async def open_client(url: str, token: str) -> AsyncIterator[Client]:
    """Yield a client of the gateway at ``url``."""
    async with httpx.AsyncClient(
        base_url=url,
        headers={"Authorization": f"Bearer {token}"},
        timeout=TIMEOUT_S,
        trust_env=False,
    ) as http:
        yield Client(http, url=url, token=token)


def _json(answer: httpx.Response) -> Any:
    _check(answer)
    return answer.json()


def _check(answer: httpx.Response) -> None:
    if answer.status_code < httpx.codes.BAD_REQUEST:
        return
    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except msgspec.DecodeError:
        problem = Problem(status=answer.status_code, title=answer.reason_phrase)
    raise ProblemError(problem)
