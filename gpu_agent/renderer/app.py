"""The routes, each with and without ``/api``, as an ASGI application."""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from gpu_agent.renderer import about, connections, downloads, uploads
from gpu_agent.renderer.behaviour import WrongAnswer, change
from gpu_agent.renderer.engine import Engine, QueueFullError
from gpu_agent.renderer.pretended import MODEL_FOLDERS
from gpu_agent.renderer.refusal import Refusal
from gpu_agent.renderer.web import (
    INTERNAL_ERROR,
    BadBodyError,
    BodyTooLargeError,
    Receive,
    Request,
    Scope,
    Send,
)

Handler: TypeAlias = Callable[[Request], Awaitable[None]]

_EMPTY: Final[Mapping[str, Any]] = {
    "/embeddings": [],
    "/extensions": [],
    "/global_subgraphs": {},
    "/node_replacements": {},
    "/workflow_templates": {},
}
"""Routes about what this renderer has nothing of."""
_STATUSES: Final = ("pending", "in_progress", "completed", "failed", "cancelled")
_JOBS_PER_PAGE: Final = 100


class App:
    """Speaks HTTP and WebSocket for an engine."""

    def __init__(self, engine: Engine, *, switchable: bool = False) -> None:
        self._engine = engine
        self._routes: Mapping[tuple[str, str], Handler] = {
            ("GET", "/system_stats"): self._system_stats,
            ("GET", "/features"): self._features,
            ("GET", "/object_info"): self._object_info,
            ("GET", "/models"): self._model_folders,
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
        if switchable:
            self._routes = {
                **self._routes,
                ("GET", "/effectmesh/switches"): self._switches,
                ("POST", "/effectmesh/switches"): self._switch,
            }
        self._tails: tuple[
            tuple[str, re.Pattern[str], Callable[[Request, str], Awaitable[None]]], ...
        ] = (
            ("GET", re.compile(r"/object_info/([^/]+)"), self._one_class),
            ("GET", re.compile(r"/models/([^/]+)"), self._model_files),
            ("GET", re.compile(r"/history/([^/]+)"), self._one_history),
            ("GET", re.compile(r"/api/jobs/([^/]+)"), self._one_job),
            ("POST", re.compile(r"/api/jobs/([^/]+)/cancel"), self._cancel_job),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "websocket":
            await connections.serve(self._engine, scope, receive, send)
        elif scope["type"] == "http":
            await self._http(Request(scope, receive, send))

    async def _http(self, request: Request) -> None:
        if connections.is_foreign(request):
            await request.answer(403)
            return
        try:
            await self._route(request)
        except BodyTooLargeError as problem:
            text = f"Maximum request body size {problem.limit} exceeded."
            await request.answer(413, text.encode())
        except BadBodyError as problem:
            if problem.crashes and self._engine.behaviour.bad_body_is_500:
                await request.answer(500, INTERNAL_ERROR)
            else:
                await request.answer(400, str(problem).encode())

    async def _route(self, request: Request) -> None:
        path = request.path
        # the jobs routes exist below /api only
        if path.startswith("/api/") and not path.startswith("/api/jobs"):
            path = path.removeprefix("/api")
        if self._engine.behaviour.older and path.startswith("/api/jobs"):
            await request.start(404, {"content-type": "application/octet-stream"})
            await request.write(b"")
            return
        wrong = self._engine.faults.answer(request.method, path)
        if wrong is not None and not wrong.done:
            await _answer_wrongly(request, wrong)
            return
        await self._serve(request if wrong is None else request.unheard(), path)
        if wrong is not None:
            await _answer_wrongly(request, wrong)

    async def _serve(self, request: Request, path: str) -> None:
        if request.method == "GET" and path in _EMPTY:
            await request.answer_json(_EMPTY[path])
            return
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

    # switches

    async def _switches(self, request: Request) -> None:
        await request.answer_json(self._engine.behaviour)

    async def _switch(self, request: Request) -> None:
        changes = await self._object(request)
        try:
            change(self._engine.behaviour, changes)
        except msgspec.ValidationError as problem:
            raise BadBodyError(str(problem)) from problem
        await request.answer_json(self._engine.behaviour)

    # what the server is

    async def _system_stats(self, request: Request) -> None:
        await request.answer_json(about.system_stats(self._engine))

    async def _features(self, request: Request) -> None:
        await request.answer_json(about.flags(self._engine))

    async def _object_info(self, request: Request) -> None:
        await request.answer_json(self._engine.catalog.shown())

    async def _one_class(self, request: Request, name: str) -> None:
        await request.answer_json(self._engine.catalog.shown(name))

    async def _model_folders(self, request: Request) -> None:
        await request.answer_json(MODEL_FOLDERS)

    async def _model_files(self, request: Request, folder: str) -> None:
        if folder not in MODEL_FOLDERS:
            await request.answer(404)
            return
        await request.answer_json(self._engine.pretence.files(folder))

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
            raise BadBodyError(str(problem), crashes=True) from problem
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
        memory, models = bool(body.get("free_memory")), bool(body.get("unload_models"))
        self._engine.free(memory=memory, models=models)
        await request.answer(200)

    # history and jobs

    async def _history(self, request: Request) -> None:
        past = self._engine.prompts.known()
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
        if self._engine.faults.is_disk_full():
            await request.answer(500, INTERNAL_ERROR)
            return
        await request.answer_json(await uploads.receive(request, self._engine.folders, limit=limit))

    async def _view(self, request: Request) -> None:
        await downloads.view(request, self._engine.folders)

    async def _object(self, request: Request) -> dict[str, Any]:
        body = await request.json(self._engine.limits.json_bytes)
        if not isinstance(body, dict):
            raise BadBodyError("the body is no JSON object", crashes=True)
        return body


async def _answer_wrongly(request: Request, wrong: WrongAnswer) -> None:
    more = {} if wrong.retry_after_s is None else {"retry-after": str(wrong.retry_after_s)}
    await request.answer(wrong.status, wrong.body.encode(), kind=wrong.kind, more=more)


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
