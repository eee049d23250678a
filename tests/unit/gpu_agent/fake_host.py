"""A ComfyUI host that does what a test tells it, without a socket: HTTP and frames in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx

from gpu_agent.comfy import ComfyHost, HostLimits, Socket

START, END = 1_000_000, 1_002_500
"""Server times of a run, in milliseconds: two and a half seconds."""
QUICK = HostLimits(
    connect_s=1.0,
    poll_s=0.001,
    reconnect_s=0.0,
    unreachable_s=0.0,
    unknown_polls=2,
    stop_grace_s=0.0,
    retry_s=0.0,
    deaf_s=60.0,
)
GRAPH: dict[str, dict[str, object]] = {
    "1": {"class_type": "LoadVideo", "inputs": {"file": "jobs/a.mp4"}},
    "3": {"class_type": "ImageBlur", "inputs": {"image": ["1", 0]}},
    "9": {"class_type": "SaveVideo", "inputs": {"video": ["3", 0]}},
}


def marks(kind: str, **data: object) -> dict[str, Any]:
    """Return the ``status`` of a finished run, as history and jobs have it."""
    good = kind == "execution_success"
    return {
        "status_str": "success" if good else "error",
        "completed": good,
        "messages": [
            ["execution_start", {"timestamp": START}],
            ["execution_cached", {"nodes": [], "timestamp": START}],
            [kind, {"timestamp": END, **data}],
        ],
    }


def job(status: str, kind: str = "", **data: object) -> dict[str, Any]:
    """Return one answer of ``/api/jobs/{id}``."""
    told: dict[str, Any] = {"status": status, "create_time": START - 40}
    if kind:
        told |= {
            "execution_start_time": START,
            "execution_end_time": END,
            "execution_status": marks(kind, **data),
            "outputs": {"9": {"images": [file("out_00001_.mp4")], "animated": [True]}},
        }
    return told


def file(name: str) -> dict[str, str]:
    """Return a file as an output node names it."""
    return {"filename": name, "subfolder": "jobs/x", "type": "output"}


PENDING = job("pending")
RUNNING = job("in_progress")
DONE = job("completed", "execution_success")
STOPPED = job("cancelled", "execution_interrupted")


def exploded(exception: str, text: str = "no room at /home/comfy/input/a.mp4") -> dict[str, Any]:
    """Return the end of a run in which a node raised."""
    return job(
        "failed",
        "execution_error",
        node_type="ImageBlur",
        exception_type=exception,
        exception_message=text,
    )


class FakeHost:
    """Answers with ``states`` one after another, the last for ever; ``None`` is unknown."""

    def __init__(self, *states: dict[str, Any] | None, limits: HostLimits = QUICK) -> None:
        self.states = list(states) or [DONE]
        self.before: dict[str, Any] | None = None
        """What it knows of the prompt before it is submitted."""
        self.submission: tuple[int, object] = (200, None)
        self.submissions: list[tuple[int, object]] = []
        """The answers to the next submissions, before ``submission``."""
        self.hears_what_it_refuses = False
        """It queues a graph although its answer says that something went wrong."""
        self.retry_after: dict[str, str] = {}
        self.accepted: set[str] = set()
        self.writes_where_told = False
        """Its files are in the run's own folder, not all in ``jobs/x``."""
        self.node_errors: dict[str, object] = {}
        self.has_jobs = True
        self.down = False
        self.frames: list[tuple[str, dict[str, object]]] = []
        self.running: list[str] = []
        """What ``/queue`` says runs."""
        self.pictures: list[bytes] = []
        self.deaf_sockets = 0
        self.video = b"not a video"
        self.view_status = 200
        self.upload_status = 200
        self.device: dict[str, object] = {
            "name": "cuda:0 NVIDIA A10G : cudaMallocAsync",
            "type": "cuda",
        }
        self.info: dict[str, object] = {}
        self.on_submit = anyio.Event()

        self.requests: list[str] = []
        self.submitted: list[dict[str, Any]] = []
        self.cancelled: list[str] = []
        self.sockets = 0
        self._sending: dict[str, anyio.abc.ObjectSendStream[str | bytes]] = {}
        self.client = ComfyHost(
            base_url="http://host.test:8188",
            client=httpx.AsyncClient(transport=httpx.MockTransport(self._answer)),
            connect=self._socket,
            name="host",
            limits=limits,
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.requests.append(f"{request.method} {path}")
        if self.down:
            raise httpx.ConnectError("connection refused", request=request)
        if path == "/prompt":
            return self._submit(json.loads(request.content))
        if path.endswith("/cancel"):
            self.cancelled.append(path.split("/")[-2])
            return httpx.Response(200 if self.has_jobs else 404, json={"cancelled": True})
        if path.startswith("/api/jobs/"):
            prompt_id = path.split("/")[-1]
            state = self._state(prompt_id)
            if state is None or not self.has_jobs:
                return httpx.Response(404)
            text = json.dumps(state)
            if self.writes_where_told:
                text = text.replace("jobs/x", f"jobs/{prompt_id}")
            return httpx.Response(200, content=text)
        if path.startswith("/history/"):
            return httpx.Response(200, json=self._history(path.split("/")[-1]))
        fixed: dict[str, httpx.Response] = {
            "/history": httpx.Response(200),
            "/interrupt": httpx.Response(200),
            "/free": httpx.Response(200),
            "/queue": httpx.Response(
                200,
                json={"queue_running": [[0, each] for each in self.running], "queue_pending": []},
            ),
            "/system_stats": httpx.Response(
                200, json={"system": {"comfyui_version": "0.33.0"}, "devices": [self.device]}
            ),
            "/object_info": httpx.Response(200, json=self.info),
            "/upload/image": httpx.Response(
                self.upload_status, json={"name": "a (1).mp4", "subfolder": "jobs"}
            ),
            "/view": httpx.Response(self.view_status, content=self.video),
        }
        return fixed[path]

    def _submit(self, body: dict[str, Any]) -> httpx.Response:
        self.submitted.append(body)
        if self.submissions:
            self.submission = self.submissions.pop(0)
        status, answer = self.submission
        if status == 200 or self.hears_what_it_refuses:
            self.accepted.add(body["prompt_id"])
        if status != 200:
            content = answer if isinstance(answer, str) else json.dumps(answer)
            return httpx.Response(status, content=content, headers=self.retry_after)
        if body["client_id"] in self._sending:
            self._play(self._sending[body["client_id"]], body["prompt_id"])
        self.on_submit.set()
        return httpx.Response(
            200, json={"prompt_id": body["prompt_id"], "node_errors": self.node_errors}
        )

    def _play(self, stream: Any, prompt_id: str) -> None:
        for kind, data in self.frames:
            filled = {"prompt_id": prompt_id, **data}
            stream.send_nowait(json.dumps({"type": kind, "data": filled}))
        for picture in self.pictures:
            stream.send_nowait(picture)

    def _state(self, prompt_id: str) -> dict[str, Any] | None:
        if prompt_id not in self.accepted:
            return self.before
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def _history(self, prompt_id: str) -> dict[str, Any]:
        if self.has_jobs:
            return {}
        state = self._state(prompt_id)
        if state is None or "execution_status" not in state:
            return {}
        extra = {"create_time": state["create_time"]}
        return {
            prompt_id: {
                "prompt": [0, prompt_id, {}, extra, []],
                "outputs": state["outputs"],
                "status": state["execution_status"],
            }
        }

    @asynccontextmanager
    async def _socket(self, url: str) -> AsyncIterator[Socket]:
        if self.down:
            raise ConnectionRefusedError
        self.sockets += 1
        [client_id] = parse_qs(urlsplit(url).query)["clientId"]
        send, receive = anyio.create_memory_object_stream[str | bytes](1000)
        with send, receive:
            if self.deaf_sockets:
                self.deaf_sockets -= 1
            else:
                self._sending[client_id] = send
                for body in self.submitted:
                    self._play(send, body["prompt_id"])
            yield receive
            self._sending.pop(client_id, None)


def whole_run() -> list[tuple[str, dict[str, object]]]:
    """Return the messages of a run in which the first node was cached."""
    finished = {"state": "finished", "value": 1, "max": 1}
    running = {"state": "running", "value": 0, "max": 1}
    return [
        ("execution_start", {"timestamp": START}),
        ("execution_cached", {"nodes": ["1"], "timestamp": START}),
        ("progress_state", {"nodes": {"3": running}}),
        ("executing", {"node": "3"}),
        ("progress_state", {"nodes": {"3": finished}}),
        ("progress_state", {"nodes": {"3": finished, "9": running}}),
        ("executing", {"node": "9"}),
        ("progress_state", {"nodes": {"3": finished, "9": finished}}),
        ("execution_success", {"timestamp": END}),
        ("executing", {"node": None}),
    ]
