"""The server without its routes: accepts prompts, works them one by one, tells the sockets."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

import anyio
import anyio.to_thread

from actors.runtime.contract import Clock
from gpu_agent.renderer.behaviour import Behaviour, Limits
from gpu_agent.renderer.cache import Cache
from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.execution import Execution, Failures
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.graph import Json
from gpu_agent.renderer.prompts import Past, Prompt, Prompts
from gpu_agent.renderer.sockets import Sockets
from gpu_agent.renderer.validation import Refusal, validate

_CANONICAL: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
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
        self, *, folders: Folders, behaviour: Behaviour, limits: Limits, clock: Clock
    ) -> None:
        self.folders = folders
        self.behaviour = behaviour
        self.limits = limits
        self.catalog = Catalog(folders)
        self.prompts = Prompts(limit_history=limits.history)
        self.sockets = Sockets(deaf=behaviour.deaf_socket)
        self._clock = clock
        self._cache = Cache(limit_bytes=limits.cache_bytes, limit_entries=limits.cache_entries)
        self._failures = Failures(behaviour)
        self._news = anyio.Event()
        self._forget = False

    def submit(self, body: Mapping[str, Json]) -> dict[str, Any]:
        """Accept a prompt and return the answer to its sender.

        Raises:
            Refusal: nothing of it can run.
            QueueFullError: too many wait already.
            TypeError, ValueError: a field has an impossible type.
        """
        number = body.get("number")
        number = None if number is None else float(number)
        if "prompt" not in body:
            raise Refusal("no_prompt", "No prompt provided", "No prompt provided")
        prompt_id = _prompt_id(body.get("prompt_id"))
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
        )
        extra_data = dict(body.get("extra_data") or {})
        if "client_id" in body:
            extra_data["client_id"] = body["client_id"]
        extra_data["create_time"] = self.now_ms()
        if number is None:
            number = self.prompts.next_number(front=bool(body.get("front")))
        prompt = Prompt(number, prompt_id, body["prompt"], valid.graph, extra_data, valid.outputs)
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
            if self._forget:
                self._forget = False
                self._cache.clear()

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
            failures=self._failures,
            behaviour=self.behaviour,
            limits=self.limits,
            say=say,
            now_ms=self.now_ms,
        )
        self.prompts.running = (prompt, execution)
        self.tell_status()
        outcome = await anyio.to_thread.run_sync(execution.run)
        self.prompts.finish(Past(prompt, outcome, self.behaviour.late_history_lookups))
        self.tell_status()
        self._deliver(prompt, "executing", {"node": None, "prompt_id": prompt.prompt_id})

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

    def free(self, *, memory: bool) -> None:
        """Drop the cache, at once or after the running prompt."""
        if memory and self.prompts.running is None:
            self._cache.clear()
        elif memory:
            self._forget = True

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
        self.interrupt()
        self.sockets.close()

    def now_ms(self) -> int:
        """Return the time in milliseconds."""
        return int(self._clock.now().timestamp() * 1000)

    def _deliver(self, prompt: Prompt, kind: str, data: dict[str, Any]) -> None:
        if prompt.client_id is not None or kind in _FOR_ALL:
            self.sockets.tell(prompt.client_id, kind, data)


def _prompt_id(given: Json) -> str:
    if given is None:
        return str(uuid.uuid4())
    if not isinstance(given, str) or not _CANONICAL.fullmatch(given):
        raise Refusal(
            "invalid_prompt_id",
            "prompt_id must be a valid UUID",
            "prompt_id must be a UUID string in canonical lowercase hyphenated form;"
            " omit it to let the server generate one",
        )
    return given
