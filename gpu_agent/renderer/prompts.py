"""The prompts a server knows: waiting, running, over. Lives on the event loop alone."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from gpu_agent.renderer.execution import Execution, Outcome
from gpu_agent.renderer.graph import Graph, Json


class Prompt(Struct, eq=False):
    """A graph that was accepted."""

    number: float
    prompt_id: str
    shown: dict[str, Json]
    """The graph as it was sent."""
    graph: Graph
    extra_data: dict[str, Json]
    outputs: tuple[str, ...]

    @property
    def client_id(self) -> str | None:
        """Return who submitted it."""
        client_id = self.extra_data.get("client_id")
        return client_id if isinstance(client_id, str) else None

    def listed(self) -> list[Json]:
        """Return it as the queue and history list it."""
        return [self.number, self.prompt_id, self.shown, self.extra_data, list(self.outputs)]


class Past(Struct, eq=False):
    """A prompt that is over."""

    prompt: Prompt
    outcome: Outcome
    lookups_denied: int = 0
    known_from_ms: int = 0

    def shown(self) -> dict[str, Json]:
        """Return its history entry."""
        return {
            "prompt": self.prompt.listed(),
            "outputs": self.outcome.outputs,
            "status": self.status(),
            "meta": self.outcome.meta,
        }

    def status(self) -> dict[str, Json]:
        """Return how it ended; an interrupted run is an error that was not completed."""
        return {
            "status_str": "success" if self.outcome.succeeded else "error",
            "completed": self.outcome.succeeded,
            "messages": [[kind, data] for kind, data in self.outcome.messages],
        }


class Prompts:
    """A heap by number, at most one running, and a bounded history."""

    def __init__(
        self, *, limit_history: int, now_ms: Callable[[], int], first_number: int = 0
    ) -> None:
        self._heap: list[tuple[float, int, Prompt]] = []
        self._arrivals = 0
        self._counter = first_number
        self._limit_history = limit_history
        self._now_ms = now_ms
        self.history: OrderedDict[str, Past] = OrderedDict()
        self.running: tuple[Prompt, Execution] | None = None

    def next_number(self, *, front: bool) -> int:
        """Return the next number; a prompt for the front gets its negative."""
        number = self._counter
        self._counter += 1
        return -number if front else number

    def put(self, prompt: Prompt) -> None:
        """Add a prompt; equal numbers keep the order of arrival."""
        heapq.heappush(self._heap, (prompt.number, self._arrivals, prompt))
        self._arrivals += 1

    def take(self) -> Prompt:
        """Return the prompt with the lowest number."""
        return heapq.heappop(self._heap)[2]

    def pending(self) -> list[Prompt]:
        """Return the waiting prompts in heap order, which is not sorted."""
        return [prompt for _, _, prompt in self._heap]

    @property
    def remaining(self) -> int:
        """Return how many wait or run."""
        return len(self._heap) + (self.running is not None)

    def delete(self, ids: Iterable[str] | None = None) -> bool:
        """Drop waiting prompts without a trace: the named ones, or all. Say whether any was."""
        gone = None if ids is None else set(ids)
        kept = [e for e in self._heap if gone is not None and e[2].prompt_id not in gone]
        changed = len(kept) != len(self._heap)
        self._heap = kept
        heapq.heapify(self._heap)
        return changed

    def finish(self, past: Past) -> None:
        """Write a history entry; an id that ran before is overwritten."""
        self.running = None
        self.history.pop(past.prompt.prompt_id, None)
        self.history[past.prompt.prompt_id] = past
        while len(self.history) > self._limit_history:
            self.history.popitem(last=False)

    def past(self, prompt_id: str) -> Past | None:
        """Return a finished prompt, unless it is to be answered late."""
        past = self.history.get(prompt_id)
        if past is None or not self._is_known(past):
            return None
        if past.lookups_denied > 0:
            past.lookups_denied -= 1
            return None
        return past

    def known(self) -> list[Past]:
        """Return the finished prompts, oldest first, without those to be answered late."""
        return [past for past in self.history.values() if self._is_known(past)]

    def _is_known(self, past: Past) -> bool:
        return past.known_from_ms <= self._now_ms()

    def job(self, prompt_id: str) -> dict[str, Any] | None:
        """Return a prompt as the jobs routes show it, in full."""
        past = self.past(prompt_id)
        if past is not None:
            return _over(past, full=True)
        for prompt, status in self._open():
            if prompt.prompt_id == prompt_id:
                return _open_job(prompt, status)
        return None

    def jobs(self) -> list[dict[str, Any]]:
        """Return every known prompt, in brief."""
        known = [_open_job(prompt, status) for prompt, status in self._open()]
        return known + [_over(past, full=False) for past in self.known()]

    def _open(self) -> list[tuple[Prompt, str]]:
        known = [(prompt, "pending") for prompt in self.pending()]
        if self.running is not None:
            known.append((self.running[0], "in_progress"))
        return known


def _open_job(prompt: Prompt, status: str) -> dict[str, Any]:
    return {
        "id": prompt.prompt_id,
        "status": status,
        "priority": prompt.number,
        "create_time": prompt.extra_data.get("create_time"),
        "outputs_count": 0,
        "previewable_outputs_count": 0,
    }


def _over(past: Past, *, full: bool) -> dict[str, Any]:
    messages = dict(past.outcome.messages)
    status = "completed"
    if not past.outcome.succeeded:
        status = "cancelled" if "execution_interrupted" in messages else "failed"
    files = [
        {**file, "nodeId": node_id, "mediaType": "images"}
        for node_id, output in past.outcome.outputs.items()
        for file in output["images"]
    ]
    job = _open_job(past.prompt, status) | {
        "execution_start_time": past.outcome.messages[0][1]["timestamp"],
        "execution_end_time": past.outcome.messages[-1][1]["timestamp"],
        "outputs_count": len(files),
        "previewable_outputs_count": len(files),
    }
    if files:
        job["preview_output"] = files[0]
    if status == "failed":
        job["execution_error"] = messages["execution_error"]
    if full:
        job["outputs"] = past.outcome.outputs
        job["execution_status"] = past.status()
        job["workflow"] = {"prompt": past.prompt.shown, "extra_data": past.prompt.extra_data}
    return job
