"""One ComfyUI host: its calls, one method each. Following a prompt to its end is ``render``.

The host's words never leave this package: they name its paths. Every failure is a
``RenderFailedError`` with one of our codes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit, urlunsplit

import anyio
import httpx
from msgspec import Struct
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import WebSocketException

from gpu_agent import wire
from gpu_agent.errors import Fault, RenderFailedError
from gpu_agent.providers.graphs import Graph
from gpu_agent.wire import Memory, OutputFile, Phase, PromptState

MIB: Final = 1024 * 1024
_PIECE: Final = 256 * 1024
_CLOSE_S: Final = 5.0
_RETRY_AFTER: Final = "Retry-After"
_KEPT: Final = (_RETRY_AFTER,)
"""Headers of an answer that anybody reads."""


class HostLimits(Struct, frozen=True, kw_only=True):
    """How long and how much, with one host."""

    connect_s: float = 5.0
    request_s: float = 30.0
    upload_bytes: int = 99 * MIB
    """The host's own limit is 100 MiB for the whole body."""
    download_bytes: int = 1024 * MIB
    answer_bytes: int = 16 * MIB
    frame_bytes: int = 16 * MIB
    poll_s: float = 2.0
    deaf_s: float = 15.0
    """Silence of the socket while the prompt runs, after which it is opened anew."""
    reconnect_s: float = 0.5
    unreachable_s: float = 20.0
    """A host that does not answer for so long while it renders for us is given up."""
    unknown_polls: int = 3
    """So many times in a row the host knows nothing of a prompt before the prompt is lost."""
    stop_grace_s: float = 15.0
    """How long a stopped prompt is waited for: stopping is cooperative."""
    tries: int = 3
    """How often a request is made that the host answers with an error of its own, or puts off."""
    retry_s: float = 0.5
    """The pause before the second try; each further one is twice as long."""
    retry_after_s: float = 10.0
    """The longest pause a host may ask for; the attempt fails when it asks for more."""


class Socket(Protocol):
    """An open WebSocket: the frames it receives."""

    def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield frames until it is closed.

        Raises:
            OSError: the connection broke.
        """
        ...


Connect = Callable[[str], AbstractAsyncContextManager[Socket]]
"""Opens a WebSocket; leaving the context closes it and waits for the close.

Raises ``OSError`` when nobody answers.
"""


class ComfyHost:
    """The client of one host. Use ``open_host``, which closes its connections."""

    def __init__(
        self,
        *,
        base_url: str,
        client: httpx.AsyncClient,
        connect: Connect | None = None,
        name: str = "",
        limits: HostLimits | None = None,
    ) -> None:
        self.limits = limits or HostLimits()
        self.name = name or urlsplit(base_url).netloc
        self._url = base_url.rstrip("/")
        self._client = client
        self._connect = connect or _connector(self.limits)

    async def system_stats(self) -> dict[str, object]:
        """Return versions, memory and devices."""
        return await self._object("/system_stats")

    async def memory(self) -> Memory:
        """Return what the host and its first device have, and have left."""
        return wire.memory(await self.system_stats())

    async def object_info(self) -> dict[str, object]:
        """Return every node class the host knows, with its inputs and their choices."""
        return await self._object("/object_info")

    async def gpu_type(self) -> str:
        """Return the short name of the host's first device."""
        return wire.gpu_type(await self.system_stats())

    def listen(self, client_id: str) -> AbstractAsyncContextManager[Socket]:
        """Open the socket on which the host tells what happens to this client's prompts."""
        scheme, netloc, path, _, _ = urlsplit(self._url)
        secure = "wss" if scheme == "https" else "ws"
        return self._connect(
            urlunsplit((secure, netloc, path + "/ws", f"clientId={client_id}", ""))
        )

    async def upload(self, path: Path, *, name: str, subfolder: str) -> str:
        """Store a file in the host's input folder; return the name a graph gives it.

        ``name`` is plain ASCII: some client libraries encode other names, and the host keeps
        them encoded.
        """
        size = (await anyio.Path(path).stat()).st_size
        if size > self.limits.upload_bytes:
            raise RenderFailedError(Fault.INPUT_TOO_LARGE, f"the clip has {size} bytes")
        source = await anyio.to_thread.run_sync(path.open, "rb")
        try:
            answer = await self._send(
                "POST",
                "/upload/image",
                files={"image": (name, source, "application/octet-stream")},
                data={"subfolder": subfolder, "type": "input", "overwrite": "true"},
            )
        finally:
            await anyio.to_thread.run_sync(source.close)
        if answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            raise RenderFailedError(Fault.INPUT_TOO_LARGE, f"the host refuses {size} bytes")
        stored = wire.decoded(_good(answer), Stored)
        return f"{stored.subfolder}/{stored.name}" if stored.subfolder else stored.name

    async def submit(
        self,
        graph: Graph,
        *,
        prompt_id: str,
        client_id: str,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        """Queue a graph under our own id. Made once: a second call would queue it twice.

        Raises:
            RenderFailedError: ``GRAPH_REFUSED``, also when the host would run only a part of it;
                ``MISSING_MODEL`` when all it lacks are files or classes.
        """
        body: dict[str, object] = {
            "prompt": graph,
            "prompt_id": prompt_id,
            "client_id": client_id,
        }
        if extra:
            body["extra_data"] = dict(extra)
        answer = await self._send("POST", "/prompt", json=body, tries=1)
        if answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
            raise RenderFailedError(Fault.GRAPH_REFUSED, "the graph is too large for the host")
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise RenderFailedError(*wire.refusal(wire.accepted(answer.content)))
        told = wire.accepted(_good(answer))
        if told.node_errors:
            # one output is valid, so the host runs that and drops the rest without a word
            await self.cancel(prompt_id)
            raise RenderFailedError(*wire.refusal(told))
        if told.prompt_id != prompt_id:
            await self.cancel(told.prompt_id)
            raise RenderFailedError(Fault.HOST_ERROR, "the host queued the graph under another id")

    async def state(self, prompt_id: str) -> PromptState:
        """Return what the host knows of a prompt, from whichever of its three places has it."""
        answer = await self._send("GET", f"/api/jobs/{prompt_id}")
        if answer.status_code != httpx.codes.NOT_FOUND:
            return wire.job_state(_good(answer))
        answer = await self._send("GET", f"/history/{prompt_id}")
        found = wire.history_state(_good(answer), prompt_id)
        if found.phase is not Phase.UNKNOWN:
            return found
        return wire.queue_state(_good(await self._send("GET", "/queue")), prompt_id)

    async def cancel(self, prompt_id: str) -> None:
        """Ask the host to drop a prompt, pending or running. A host that is gone is no error."""
        try:
            answer = await self._send("POST", f"/api/jobs/{prompt_id}/cancel")
            if answer.is_success:
                return
            await self._send("POST", "/queue", json={"delete": [prompt_id]})
            await self._send("POST", "/interrupt", json={"prompt_id": prompt_id})
        except RenderFailedError:
            return

    async def interrupt(self, prompt_id: str) -> None:
        """Ask the host once more, by its oldest route. A host that is gone is no error."""
        with suppress(RenderFailedError):
            await self._send("POST", "/interrupt", json={"prompt_id": prompt_id})

    async def free(self) -> None:
        """Ask the host to let go of its models and its cache, as soon as it runs nothing.

        Raises:
            RenderFailedError: it does not answer.
        """
        body = {"unload_models": True, "free_memory": True}
        _good(await self._send("POST", "/free", json=body))

    async def runs(self) -> tuple[str, ...]:
        """Return the prompts that the host runs at this moment.

        Raises:
            RenderFailedError: it does not answer.
        """
        return wire.running(_good(await self._send("GET", "/queue")))

    async def forget(self, prompt_id: str) -> None:
        """Remove a finished prompt from the host's history; its files stay."""
        _good(await self._send("POST", "/history", json={"delete": [prompt_id]}))

    async def download(self, file: OutputFile, *, to: Path) -> int:
        """Fetch an output file, never more than the limit; return its size."""
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        try:
            async with self._client.stream("GET", self._url + "/view", params=query) as answer:
                if answer.status_code == httpx.codes.NOT_FOUND:
                    raise RenderFailedError(Fault.NO_OUTPUT, "the host has lost the output file")
                if not answer.is_success:
                    raise _bad(answer)
                return await self._save(answer, to)
        except httpx.HTTPError as broken:
            raise _unreachable(broken) from broken

    async def _save(self, answer: httpx.Response, to: Path) -> int:
        size = 0
        async with await anyio.open_file(to, "wb") as target:
            async for piece in answer.aiter_bytes(_PIECE):
                size += len(piece)
                if size > self.limits.download_bytes:
                    raise RenderFailedError(
                        Fault.BROKEN_OUTPUT, f"the output has more than {size} bytes"
                    )
                await target.write(piece)
        return size

    async def _object(self, path: str) -> dict[str, object]:
        return wire.decoded(_good(await self._send("GET", path)), dict[str, object])

    async def _send(
        self, method: str, path: str, *, tries: int = 0, **content: object
    ) -> httpx.Response:
        """Send a request, again when the host puts it off or has an error of its own.

        Every request but a submission may be made twice. The pauses are bounded; what the host
        says after the last try is the answer.
        """
        tries = tries or self.limits.tries
        for failures in range(tries):
            answer = await self._once(method, path, **content)
            pause = self._pause(answer, failures)
            if pause is None or failures + 1 == tries:
                break
            await anyio.sleep(pause)
        return answer

    def _pause(self, answer: httpx.Response, failures: int) -> float | None:
        """Return how long to wait before the next try, ``None`` when there is to be none."""
        wanted = _retry_after(answer)
        if wanted is not None and wanted > self.limits.retry_after_s:
            return None
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
            backoff: float = self.limits.retry_s * 2.0**failures
            return backoff if wanted is None else wanted
        return None

    async def _once(self, method: str, path: str, **content: object) -> httpx.Response:
        """Send one request and read the answer, never more than the limit."""
        request = self._client.build_request(method, self._url + path, **content)  # type: ignore[arg-type]  # the callers give httpx's own keywords
        try:
            answer = await self._client.send(request, stream=True)
            try:
                body = bytearray()
                async for piece in answer.aiter_bytes(_PIECE):
                    body += piece
                    if len(body) > self.limits.answer_bytes:
                        raise RenderFailedError(Fault.HOST_ERROR, "the host's answer has no end")
            finally:
                await answer.aclose()
        except httpx.HTTPError as broken:
            raise _unreachable(broken) from broken
        kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
        return httpx.Response(
            answer.status_code, content=bytes(body), request=request, headers=kept
        )


class Stored(Struct):
    """The answer to an upload: the name it was really stored under."""

    name: str
    subfolder: str = ""


@asynccontextmanager
async def open_host(
    base_url: str, *, name: str = "", limits: HostLimits | None = None
) -> AsyncIterator[ComfyHost]:
    """Yield the client of one host; close its connections at the end."""
    chosen = limits or HostLimits()
    timeout = httpx.Timeout(chosen.request_s, connect=chosen.connect_s)
    # a proxy in the environment is for the world outside, never for the host beside us
    async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
        yield ComfyHost(base_url=base_url, client=client, name=name, limits=chosen)


def _connector(limits: HostLimits) -> Connect:
    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Socket]:
        try:
            async with connect_websocket(
                url,
                proxy=None,
                open_timeout=limits.connect_s,
                close_timeout=_CLOSE_S,
                max_size=limits.frame_bytes,
            ) as socket:
                yield socket
        except WebSocketException as broken:
            raise ConnectionError(type(broken).__name__) from broken

    return connect


def _good(answer: httpx.Response) -> bytes:
    if not answer.is_success:
        raise _bad(answer)
    return answer.content


def _bad(answer: httpx.Response) -> RenderFailedError:
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return RenderFailedError(
            Fault.THROTTLED,
            "the host is asked too often",
            retry_after_s=_retry_after(answer),
        )
    return RenderFailedError(Fault.HOST_ERROR, f"the host answered {answer.status_code}")


def _retry_after(answer: httpx.Response) -> float | None:
    """Return the seconds of ``Retry-After``; its other form, a date, is not for a machine here."""
    told = answer.headers.get(_RETRY_AFTER, "")
    return float(told) if told.isascii() and told.isdecimal() else None


def _unreachable(broken: httpx.HTTPError) -> RenderFailedError:
    return RenderFailedError(
        Fault.HOST_UNREACHABLE, f"the host does not answer: {type(broken).__name__}"
    )
