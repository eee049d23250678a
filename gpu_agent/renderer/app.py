"""The routes, each with and without ``/api``, as an ASGI application."""

from __future__ import annotations

import os
import platform
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import anyio

from gpu_agent.renderer import downloads, uploads
from gpu_agent.renderer.engine import Engine, QueueFullError
from gpu_agent.renderer.sockets import Socket, encoded
from gpu_agent.renderer.validation import Refusal
from gpu_agent.renderer.web import (
    BadBodyError,
    BodyTooLargeError,
    Receive,
    Request,
    Scope,
    Send,
)

Handler: TypeAlias = Callable[[Request], Awaitable[None]]

COMPATIBLE_VERSION: Final = "0.33.0"
_STATUSES: Final = ("pending", "in_progress", "completed", "failed", "cancelled")
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_JOBS_PER_PAGE: Final = 100
_HANDSHAKE_BYTES: Final = 65_536


class App:
    """Speaks HTTP and WebSocket for an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._routes: Mapping[tuple[str, str], Handler] = {
            ("GET", "/system_stats"): self._system_stats,
            ("GET", "/features"): self._features,
            ("GET", "/object_info"): self._object_info,
            ("GET", "/prompt"): self._queue_length,
            ("POST", "/prompt"): self._submit,
            ("GET", "/queue"): self._queue,
            ("POST", "/queue"): self._change_queue,
            ("GET", "/history"): self._history,
            ("POST", "/history"): self._change_history,
            ("POST", "/interrupt"): self._interrupt,
            ("POST", "/free"): self._free,
            ("POST", "/upload/image"): self._upload,
            ("GET", "/view"): self._view,
            ("HEAD", "/view"): self._view,
            ("GET", "/api/jobs"): self._jobs,
            ("POST", "/api/jobs/cancel"): self._cancel_jobs,
        }
        self._tails: tuple[
            tuple[str, re.Pattern[str], Callable[[Request, str], Awaitable[None]]], ...
        ] = (
            ("GET", re.compile(r"/object_info/([^/]+)"), self._one_class),
            ("GET", re.compile(r"/history/([^/]+)"), self._one_history),
            ("GET", re.compile(r"/api/jobs/([^/]+)"), self._one_job),
            ("POST", re.compile(r"/api/jobs/([^/]+)/cancel"), self._cancel_job),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(Request(scope, receive, send))

    async def _http(self, request: Request) -> None:
        if _is_foreign(request):
            await request.answer(403)
            return
        try:
            await self._route(request)
        except BodyTooLargeError as problem:
            text = f"Maximum request body size {problem.limit} exceeded."
            await request.answer(413, text.encode())
        except BadBodyError as problem:
            await request.answer(400, str(problem).encode())

    async def _route(self, request: Request) -> None:
        path = request.path
        # the jobs routes exist below /api only
        if path.startswith("/api/") and not path.startswith("/api/jobs"):
            path = path.removeprefix("/api")
        handler = self._routes.get((request.method, path))
        if handler is not None:
            await handler(request)
            return
        for method, pattern, tail in self._tails:
            match = pattern.fullmatch(path)
            if match is not None and method == request.method:
                await tail(request, match[1])
                return
        known = any(route == path for _, route in self._routes)
        known = known or any(pattern.fullmatch(path) for _, pattern, _ in self._tails)
        text = b"405: Method Not Allowed" if known else b"404: Not Found"
        await request.answer(405 if known else 404, text)

    # what the server is

    async def _system_stats(self, request: Request) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        total = os.sysconf("SC_PHYS_PAGES") * page
        # not every system tells what is free
        known = "SC_AVPHYS_PAGES" in os.sysconf_names
        free = os.sysconf("SC_AVPHYS_PAGES") * page if known else total
        await request.answer_json(
            {
                "system": {
                    "os": platform.system().lower(),
                    "ram_total": total,
                    "ram_free": free,
                    "comfyui_version": COMPATIBLE_VERSION,
                    "python_version": platform.python_version(),
                    "pytorch_version": "none",
                    "embedded_python": False,
                    "deploy_environment": "effectmesh-renderer",
                    "argv": [],
                },
                "devices": [
                    {
                        "name": "cpu",
                        "type": "cpu",
                        "index": None,
                        "vram_total": total,
                        "vram_free": free,
                        "torch_vram_total": total,
                        "torch_vram_free": free,
                    }
                ],
            }
        )

    def _flags(self) -> dict[str, Any]:
        return {
            "supports_preview_metadata": True,
            "supports_model_type_tags": True,
            "max_upload_size": self._engine.limits.upload_bytes,
            "extension": {},
            "node_replacements": False,
            "assets": False,
        }

    async def _features(self, request: Request) -> None:
        await request.answer_json(self._flags())

    async def _object_info(self, request: Request) -> None:
        await request.answer_json(self._engine.catalog.shown())

    async def _one_class(self, request: Request, name: str) -> None:
        await request.answer_json(self._engine.catalog.shown(name))

    # prompts

    async def _queue_length(self, request: Request) -> None:
        await request.answer_json(self._engine.status())

    async def _submit(self, request: Request) -> None:
        body = await request.json(self._engine.limits.json_bytes)
        try:
            answer = self._engine.submit(body if isinstance(body, dict) else {})
        except Refusal as refusal:
            told = {"error": refusal.error, "node_errors": refusal.node_errors}
            await request.answer_json(told, 400)
        except QueueFullError as full:
            error = {"type": "queue_full", "message": str(full), "details": "", "extra_info": {}}
            await request.answer_json({"error": error, "node_errors": {}}, 503)
        except (TypeError, ValueError, AttributeError) as problem:
            raise BadBodyError(str(problem)) from problem
        else:
            await request.answer_json(answer)

    async def _queue(self, request: Request) -> None:
        prompts = self._engine.prompts
        running = [] if prompts.running is None else [prompts.running[0].listed()]
        pending = [prompt.listed() for prompt in prompts.pending()]
        await request.answer_json({"queue_running": running, "queue_pending": pending})

    async def _change_queue(self, request: Request) -> None:
        body = await self._object(request)
        if body.get("clear"):
            self._engine.delete(None)
        self._engine.delete(_ids(body.get("delete")))
        await request.answer(200)

    async def _interrupt(self, request: Request) -> None:
        try:
            body = await self._object(request)
        except BadBodyError:
            body = {}
        prompt_id = body.get("prompt_id")
        self._engine.interrupt(prompt_id if isinstance(prompt_id, str) else None)
        await request.answer(200)

    async def _free(self, request: Request) -> None:
        body = await self._object(request)
        self._engine.free(memory=bool(body.get("free_memory")))
        await request.answer(200)

    # history and jobs

    async def _history(self, request: Request) -> None:
        past = list(self._engine.prompts.history.values())
        count, offset = request.query.get("max_items", ""), request.query.get("offset", "")
        if count.lstrip("-").isdigit() and int(count) >= 0:
            start = int(offset) if offset.isdigit() else max(0, len(past) - int(count))
            past = past[start : start + int(count)]
        await request.answer_json({p.prompt.prompt_id: p.shown() for p in past})

    async def _one_history(self, request: Request, prompt_id: str) -> None:
        past = self._engine.prompts.past(prompt_id)
        await request.answer_json({} if past is None else {prompt_id: past.shown()})

    async def _change_history(self, request: Request) -> None:
        body = await self._object(request)
        if body.get("clear"):
            self._engine.prompts.history.clear()
        for prompt_id in _ids(body.get("delete")):
            self._engine.prompts.history.pop(prompt_id, None)
        await request.answer(200)

    async def _jobs(self, request: Request) -> None:
        query = request.query
        wanted = [s for s in query.get("status", "").split(",") if s]
        wrong = [s for s in wanted if s not in _STATUSES]
        if wrong:
            text = f"Invalid status value(s): {', '.join(wrong)}. Valid values: "
            await request.answer_json({"error": text + ", ".join(_STATUSES)}, 400)
            return
        limit, offset = query.get("limit", str(_JOBS_PER_PAGE)), query.get("offset", "0")
        if not limit.isdigit() or int(limit) < 1:
            await request.answer_json({"error": "limit must be a positive integer"}, 400)
            return
        first = int(offset) if offset.isdigit() else 0
        jobs = [j for j in self._engine.prompts.jobs() if not wanted or j["status"] in wanted]
        jobs.sort(key=_order(query), reverse=query.get("sort_order", "desc") != "asc")
        page = jobs[first : first + int(limit)]
        pagination = {
            "offset": first,
            "limit": int(limit),
            "total": len(jobs),
            "has_more": first + len(page) < len(jobs),
        }
        await request.answer_json({"jobs": page, "pagination": pagination})

    async def _one_job(self, request: Request, prompt_id: str) -> None:
        job = self._engine.prompts.job(prompt_id)
        if job is None:
            await request.answer_json({"error": "Job not found"}, 404)
        else:
            await request.answer_json(job)

    async def _cancel_job(self, request: Request, prompt_id: str) -> None:
        await request.answer_json({"cancelled": self._engine.cancel(prompt_id)})

    async def _cancel_jobs(self, request: Request) -> None:
        body = await self._object(request)
        ids = body.get("job_ids")
        if not isinstance(ids, list) or not ids:
            await request.answer_json({"error": "job_ids must be a non-empty array"}, 400)
            return
        wrong = [i for i in ids if not _is_uuid(i)]
        if wrong:
            told = {"error": "job_ids contains invalid id(s)", "invalid_ids": wrong}
            await request.answer_json(told, 400)
            return
        cancelled = [self._engine.cancel(i) for i in ids]
        await request.answer_json({"cancelled": any(cancelled)})

    # files

    async def _upload(self, request: Request) -> None:
        limit = self._engine.limits.upload_bytes
        await request.answer_json(await uploads.receive(request, self._engine.folders, limit=limit))

    async def _view(self, request: Request) -> None:
        await downloads.view(request, self._engine.folders)

    async def _object(self, request: Request) -> dict[str, Any]:
        body = await request.json(self._engine.limits.json_bytes)
        if not isinstance(body, dict):
            raise BadBodyError("the body is no JSON object")
        return body

    # sockets

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request({**scope, "method": "GET"}, receive, send)
        await receive()
        path = request.path.removeprefix("/api")
        full = len(self._engine.sockets) >= self._engine.limits.sockets
        if path != "/ws" or full or _is_foreign(request):
            await send({"type": "websocket.close", "code": 1008})
            return
        await send({"type": "websocket.accept"})
        client_id = request.query.get("clientId") or uuid.uuid4().hex
        socket = Socket(client_id, limit_waiting=self._engine.limits.messages_waiting)
        self._engine.sockets.add(socket)
        socket.send(encoded("status", {"status": self._engine.status(), "sid": client_id}))
        replayed = self._engine.replay(client_id)
        if replayed is not None:
            socket.send(encoded("executing", replayed))
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_write_out, socket, send, group.cancel_scope)
                await self._listen(socket, receive)
                group.cancel_scope.cancel()
        finally:
            self._engine.sockets.remove(socket)
            socket.close()
            socket.messages.close()

    async def _listen(self, socket: Socket, receive: Receive) -> None:
        """Wait for the end; only a handshake as the very first frame has an effect."""
        first = True
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or ""
            if first and '"feature_flags"' in text[:_HANDSHAKE_BYTES]:
                socket.send(encoded("feature_flags", self._flags()))
            first = False


async def _write_out(socket: Socket, send: Send, scope: anyio.CancelScope) -> None:
    async for message in socket.messages:
        await send({"type": "websocket.send", "text": message.decode()})
    # the line was closed on this side: too slow, or the server stops
    await send({"type": "websocket.close", "code": 1001})
    scope.cancel()


def _is_foreign(request: Request) -> bool:
    """Say whether a browser on another site sent this to a server on the loopback."""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    if host not in _LOOPBACK:
        return False
    if request.headers.get("sec-fetch-site") == "cross-site":
        return True
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")


def _ids(value: object) -> list[str]:
    return [i for i in value if isinstance(i, str)] if isinstance(value, list) else []


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        return False


def _order(query: Mapping[str, str]) -> Callable[[dict[str, Any]], float]:
    if query.get("sort_by") == "execution_duration":
        return lambda job: job.get("execution_end_time", 0) - job.get("execution_start_time", 0)
    return lambda job: job["create_time"]
