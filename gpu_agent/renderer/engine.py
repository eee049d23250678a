"""The server without its routes: accepts prompts, works them one by one, tells the sockets."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable, Mapping
from math import isnan
from typing import Any, Final

import anyio
import anyio.to_thread

from actors.runtime.contract import Clock
from gpu_agent.renderer.behaviour import Behaviour, Limits
from gpu_agent.renderer.cache import Cache
from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.execution import Execution, Outcome
from gpu_agent.renderer.faults import Faults, exit_process
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.graph import Graph, Json
from gpu_agent.renderer.pretended import ModelMemory, Pretence
from gpu_agent.renderer.prompts import Past, Prompt, Prompts
from gpu_agent.renderer.refusal import Refusal
from gpu_agent.renderer.sockets import Sockets
from gpu_agent.renderer.validation import validate

_CANONICAL: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PREVIEW_METHODS: Final = frozenset({"auto", "latent2rgb", "taesd"})
# the real server sends these to everybody when the prompt has no client id, the others to nobody
_FOR_ALL: Final = frozenset({"progress_state", "progress", "execution_interrupted"})
_PRETENDED_ERROR: Final = {
    "errors": [
        {
            "type": "value_not_in_list",
            "message": "Value not in list",
            "details": "a test asked for this",
            "extra_info": {},
        }
    ],
    "dependent_outputs": [],
}


class QueueFullError(Exception):
    """As many prompts wait as the server allows."""


class Engine:
    """Everything a server knows. All but a running ``Execution`` lives on the event loop."""

    def __init__(
        self,
        *,
        folders: Folders,
        behaviour: Behaviour,
        limits: Limits,
        clock: Clock,
        die: Callable[[], None] = exit_process,
    ) -> None:
        self._created_ms = 0
        self.folders = folders
        self.behaviour = behaviour
        self.limits = limits
        self.faults = Faults(behaviour, die=die)
        self.models = ModelMemory(behaviour, closing=self.faults.closing)
        self.pretence = Pretence(behaviour, self.models)
        self.catalog = Catalog(folders, self.pretence)
        self.prompts = Prompts(
            limit_history=limits.history,
            now_ms=self.now_ms,
            first_number=behaviour.first_number,
        )
        self.sockets = Sockets(behaviour)
        self._clock = clock
        self._cache = Cache(limit_bytes=limits.cache_bytes, limit_entries=limits.cache_entries)
        self._news = anyio.Event()
        self._forget = False
        self._unload = False

    def submit(self, body: Mapping[str, Json]) -> dict[str, Any]:
        """Accept a prompt and return the answer to its sender.

        Raises:
            Refusal: nothing of it can run.
            QueueFullError: too many wait already.
            TypeError, ValueError: a field has an impossible type.
        """
        number = body.get("number")
        if number is None:
            # refused prompts take one too
            number = self.prompts.next_number(front=bool(body.get("front")))
        else:
            number = float(number)
            if isnan(number):
                raise ValueError("not a number")
        if "prompt" not in body:
            raise Refusal("no_prompt", "No prompt provided", "No prompt provided")
        prompt_id = _prompt_id(body.get("prompt_id"), any_text=self.behaviour.older)
        if len(self.prompts.pending()) >= self.limits.queue:
            raise QueueFullError(f"{self.limits.queue} prompts wait already")
        if not isinstance(body["prompt"], dict):
            raise TypeError("the prompt is no object")
        valid = validate(
            body["prompt"],
            self.catalog,
            self.folders,
            limit_nodes=self.limits.graph_nodes,
            unchecked_combos=self.behaviour.unchecked_combos,
            as_older=self.behaviour.older,
        )
        extra_data = dict(body.get("extra_data") or {})
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        if not self.behaviour.older:
            # no two alike, or lists sorted by it would be in any order
            self._created_ms = max(self.now_ms(), self._created_ms + 1)
            extra_data["create_time"] = self._created_ms
        shown = _as_understood(body["prompt"], valid.graph)
        prompt = Prompt(number, prompt_id, shown, valid.graph, extra_data, valid.outputs)
        self.prompts.put(prompt)
        self._news.set()
        self.tell_status()
        node_errors = valid.node_errors
        if self.behaviour.node_errors_on_accept:
            first = valid.outputs[0]
            class_type = valid.graph[first].class_type
            node_errors = {first: {**_PRETENDED_ERROR, "class_type": class_type}}
        return {"prompt_id": prompt_id, "number": number, "node_errors": node_errors}

    async def work(self) -> None:
        """Run prompts for ever, one at a time."""
        while True:
            while not self.prompts.pending():
                self._news = anyio.Event()
                await self._news.wait()
            await self._run(self.prompts.take())
            self._tidy()

    def _tidy(self) -> None:
        """Do what was asked for with ``/free`` while a prompt ran."""
        if self._forget:
            self._cache.clear()
        if self._unload:
            self.models.unload()
        self._forget = self._unload = False

    async def _run(self, prompt: Prompt) -> None:
        loop = asyncio.get_running_loop()

        def say(kind: str, data: dict[str, Any]) -> None:
            # words of the worker thread join one line on the loop, in the order they were said
            loop.call_soon_threadsafe(self._deliver, prompt, kind, data)

        execution = Execution(
            prompt.prompt_id,
            prompt.graph,
            prompt.outputs,
            folders=self.folders,
            catalog=self.catalog,
            cache=self._cache,
            faults=self.faults,
            behaviour=self.behaviour,
            limits=self.limits,
            say=say,
            now_ms=self.now_ms,
            previews_wanted=prompt.extra_data.get("preview_method") in _PREVIEW_METHODS,
        )
        self.prompts.running = (prompt, execution)
        self.tell_status()
        outcome = await anyio.to_thread.run_sync(execution.run)
        self.models.end_run()
        self.prompts.finish(self._past(prompt, outcome))
        self.tell_status()
        self._deliver(prompt, "executing", {"node": None, "prompt_id": prompt.prompt_id})

    def _past(self, prompt: Prompt, outcome: Outcome) -> Past:
        late_ms = int(self.behaviour.late_history_s * 1000)
        return Past(
            prompt,
            outcome,
            lookups_denied=self.behaviour.late_history_lookups,
            known_from_ms=self.now_ms() + late_ms if late_ms else 0,
        )

    def interrupt(self, prompt_id: str | None = None) -> bool:
        """Ask the running prompt to stop, if it is the named one; say whether it is."""
        running = self.prompts.running
        if running is None or prompt_id not in (None, running[0].prompt_id):
            return False
        running[1].stop.set()
        return True

    def cancel(self, prompt_id: str) -> bool:
        """Drop a waiting prompt, or ask a running one to stop."""
        if self.delete([prompt_id]):
            return True
        return self.interrupt(prompt_id)

    def delete(self, ids: list[str] | None) -> bool:
        """Drop waiting prompts: the named ones, or all."""
        changed = self.prompts.delete(ids)
        if changed:
            self.tell_status()
        return changed

    def free(self, *, memory: bool, models: bool = False) -> None:
        """Drop the cache or the models, at once or after the running prompt."""
        self._forget = self._forget or memory
        # without its cache a server has no use for what it loaded
        self._unload = self._unload or models or memory
        if self.prompts.running is None:
            self._tidy()

    def tell_status(self) -> None:
        """Tell everybody how many prompts wait or run."""
        self.sockets.tell(None, "status", {"status": self.status()})

    def status(self) -> dict[str, Any]:
        """Return the length of the queue as it is told."""
        return {"exec_info": {"queue_remaining": self.prompts.remaining}}

    def replay(self, client_id: str) -> dict[str, Any] | None:
        """Return the one message that a client who comes back to its running prompt gets."""
        running = self.prompts.running
        if running is None or running[0].client_id != client_id or running[1].current is None:
            return None
        return {"node": running[1].current}

    def stop(self) -> None:
        """Ask the worker to finish soon and end all connections."""
        self.faults.closing.set()
        self.interrupt()
        self.sockets.close()

    def now_ms(self) -> int:
        """Return the time in milliseconds."""
        return int(self._clock.now().timestamp() * 1000)

    def _deliver(self, prompt: Prompt, kind: str, data: dict[str, Any]) -> None:
        if kind == "text":
            self.sockets.tell_text(data["node"], data["text"])
        elif kind == "preview":
            picture, about = data["picture"], data["about"]
            self.sockets.show(prompt.client_id, picture, about, kind=data["kind"])
        elif prompt.client_id is not None or kind in _FOR_ALL:
            self.sockets.tell(prompt.client_id, kind, data)


def _as_understood(prompt: Mapping[str, Json], graph: Graph) -> dict[str, Json]:
    """Return a graph as it was sent, with its values as they were converted."""
    return {
        node_id: {**node, "inputs": {**node["inputs"], **graph[node_id].inputs}}
        if node_id in graph
        else node
        for node_id, node in prompt.items()
    }


def _prompt_id(given: Json, *, any_text: bool) -> str:
    if given is None:
        return str(uuid.uuid4())
    if any_text:
        return str(given)
    if not isinstance(given, str) or not _CANONICAL.fullmatch(given):
        raise Refusal(
            "invalid_prompt_id",
            "prompt_id must be a valid UUID",
            "prompt_id must be a UUID string in canonical lowercase hyphenated form;"
            " omit it to let the server generate one",
        )
    return given
