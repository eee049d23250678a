"""One run of one graph, on the worker thread: which nodes, in which order, with what said.

Node order, messages and their contents are those of the recorded transcripts. Images are let go
as soon as no later node needs them; what fits is kept in the cache.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final, TypeAlias

from msgspec import Struct, structs, to_builtins

from gpu_agent.renderer.behaviour import Behaviour, Limits
from gpu_agent.renderer.cache import Cache, Entry, keys, occupied, stamp
from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.errors import (
    InterruptedRunError,
    OutOfMemoryBudgetError,
    PlannedFailureError,
)
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.graph import Graph, Node, ancestors, is_link
from gpu_agent.renderer.nodes import NODES
from gpu_agent.renderer.nodes.context import Inputs, Result
from gpu_agent.renderer.nodes.values import Audio, Batch, Clip, Value, payload, size_of

Say: TypeAlias = Callable[[str, dict[str, Any]], None]

_FLOAT_PIXEL_BYTES: Final = 12
_BYTE_PIXEL_BYTES: Final = 3
_TICKING: Final = "ColorTransfer"
_SHOWN_INPUT_LENGTH: Final = 200
# even a planned hang ends, so that a forgotten server can be stopped
_STUCK_SECONDS: Final = 600
# one answer may fill a quarter of the cache, so that a decoded clip outlives float batches
_CACHE_SHARE: Final = 4
# their images are few, shared, or 8-bit
_LIGHT: Final = frozenset(
    {"GetVideoComponents", "LoadImage", "EmptyImage", "ImageFromBatch", "RepeatImageBatch"}
)


class Outcome(Struct):
    """What is left of a run for history."""

    outputs: dict[str, Any]
    meta: dict[str, Any]
    messages: list[tuple[str, dict[str, Any]]]
    succeeded: bool


class Failures:
    """Counts down the failures that a test planned, over all runs of a server."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._left = dict(behaviour.failures)

    def due(self, class_type: str) -> bool:
        """Say whether this node must fail now."""
        left = self._left.get(class_type, 0)
        self._left[class_type] = left - 1
        return left > 0


class Plan(Struct, frozen=True):
    """What a run has to do."""

    nodes: dict[str, Node]
    """To be worked, in the graph's order."""
    cached: dict[str, Result]
    """Answers of earlier runs that these nodes, or the client, need."""
    skipped: tuple[str, ...]
    """All nodes that need no work."""


class Execution:
    """The state of a run. Made and used on the worker thread; only ``stop`` comes from outside."""

    def __init__(
        self,
        prompt_id: str,
        graph: Graph,
        outputs: tuple[str, ...],
        *,
        folders: Folders,
        catalog: Catalog,
        cache: Cache,
        failures: Failures,
        behaviour: Behaviour,
        limits: Limits,
        say: Say,
        now_ms: Callable[[], int],
    ) -> None:
        self.folders = folders
        self.stop = threading.Event()
        self.current: str | None = None
        self._prompt_id = prompt_id
        self._graph = ancestors(graph, outputs)
        self._outputs = outputs
        self._catalog = catalog
        self._cache = cache
        self._failures = failures
        self._behaviour = behaviour
        self._limits = limits
        self._say = say
        self._now_ms = now_ms
        self._keys: dict[str, str] = {}
        self._plan = Plan(nodes={}, cached={}, skipped=())
        self._read = {parent for node in self._graph.values() for parent in node.parents()}
        self._results: dict[str, Result] = {}
        self._done: list[str] = []
        self._progress: dict[str, dict[str, Any]] = {}
        self._peak = 0
        self._wanted: set[str] = set()
        self._outcome = Outcome(outputs={}, meta={}, messages=[], succeeded=False)

    def run(self) -> Outcome:
        """Work the graph and say everything up to the terminal message."""
        self._note("execution_start", {})
        self._keys = keys(self._graph, self.folders)
        self._plan = self._planned()
        self._note("execution_cached", {"nodes": list(self._plan.skipped)})
        self._results.update(self._plan.cached)
        self._peak = self._peak_batches()
        for node_id in self._outputs:
            if node_id in self._plan.cached:
                self._show_cached(node_id)
        waiting = dict.fromkeys(self._plan.nodes)
        try:
            while waiting:
                node_id = self._next(waiting)
                del waiting[node_id]
                self.current = node_id
                self._wanted = self._parents(waiting)
                self._work(node_id)
                self._let_go(waiting)
        except InterruptedRunError:
            self._note("execution_interrupted", self._where())
        except Exception as problem:  # a node may raise anything; the client is told
            self._note("execution_error", self._where() | self._why(problem))
        else:
            self._outcome.succeeded = True
            self._note("execution_success", {})
        self._let_go({})
        return self._outcome

    # the run as a node sees it

    def tick(self, done: int, total: int) -> None:
        """Tell how far the current node is."""
        self.check()
        assert self.current is not None
        node = self._graph[self.current]
        if self._behaviour.silent_nodes and node.class_type != _TICKING:
            return
        self._step(self.current, "running", done, total)
        self._tell("progress", {"value": done, "max": total}, node=self.current)

    def check(self) -> None:
        """Stop if somebody asked for it."""
        if self.stop.is_set() and not self._behaviour.interrupt_between_nodes:
            raise InterruptedRunError(self._prompt_id)

    def reserve(self, needed: int) -> None:
        """Claim memory; the cache gives way first."""
        budget = self._limits.memory_bytes
        live = occupied(self._results.values())
        if live + needed > budget:
            raise OutOfMemoryBudgetError(needed=live + needed, budget=budget)
        self._cache.shrink(budget - live - needed)

    def is_last_reader(self, batch: Batch) -> bool:
        """Say whether a batch may be spent: nobody reads it later, and the cache has no room."""
        if size_of(batch) <= self._limits.cache_bytes // _CACHE_SHARE:
            return False
        holders = {
            node_id
            for node_id, result in self._results.items()
            if any(part is batch for value in result.values for part in payload(value))
        }
        return not holders & (self._wanted | self._plan.cached.keys())

    def refuse_if_too_long(self, *, frames: int, width: int, height: int) -> None:
        """Refuse a clip whose images this graph could never hold."""
        pixels = frames * width * height
        needed = pixels * (_BYTE_PIXEL_BYTES + _FLOAT_PIXEL_BYTES * self._peak)
        if needed > self._limits.memory_bytes:
            raise OutOfMemoryBudgetError(needed=needed, budget=self._limits.memory_bytes)

    # order

    def _planned(self) -> Plan:
        stale = self._behaviour.stale_names
        found: dict[str, Result] = {}
        needed: set[str] = set()
        waiting = list(self._outputs)
        seen: set[str] = set()
        while waiting:
            node_id = waiting.pop()
            if node_id in seen:
                continue
            seen.add(node_id)
            entry = self._cache.find(self._keys[node_id], stale=stale)
            if entry is not None and (entry.result.values or node_id not in self._read):
                found[node_id] = entry.result
                continue
            needed.add(node_id)
            waiting.extend(self._graph[node_id].parents())
        nodes = {i: node for i, node in self._graph.items() if i in needed}
        skipped = tuple(i for i in self._graph if i not in needed)
        return Plan(nodes=nodes, cached=found, skipped=skipped)

    def _next(self, waiting: dict[str, None]) -> str:
        """Return a node whose inputs are there; output nodes go first."""
        ready = [i for i in waiting if not any(p in waiting for p in self._graph[i].parents())]
        outputs = (i for i in ready if self._catalog.is_output(self._graph[i].class_type))
        return next(outputs, ready[0])

    def _let_go(self, waiting: Iterable[str]) -> None:
        """Move results that no later node reads into the cache, if there is room."""
        wanted = self._parents(waiting)
        for node_id in [i for i in self._results if i not in wanted]:
            result = self._results.pop(node_id)
            files = []
            for saved in result.saved:
                path = self.folders.inside(saved.type, saved.subfolder, saved.filename)
                files.append((path, *(stamp(path) or (0, 0))))
            self._keep(node_id, result, files)

    def _keep(self, node_id: str, result: Result, files: list[tuple[Path, int, int]]) -> None:
        parts = [part for value in result.values for part in payload(value)]
        if node_id in self._plan.cached or any(isinstance(p, Batch) and p.spent for p in parts):
            return
        if result.saved and node_id not in self._read:
            # the name of the file is the answer; its images need not stay in memory
            result = structs.replace(result, values=())
        if occupied([result]) <= self._limits.cache_bytes // _CACHE_SHARE:
            self._cache.keep(self._keys[node_id], Entry(result=result, files=tuple(files)))

    def _peak_batches(self) -> int:
        """Return how many batches of float images are alive at once, at worst.

        Decoded clips do not count: they stay in 8 bit.
        """
        waiting = dict.fromkeys(self._plan.nodes)
        alive: set[str] = set()
        peak = 0
        while waiting:
            node_id = self._next(waiting)
            del waiting[node_id]
            node = self._graph[node_id]
            output = self._catalog.outputs(node.class_type)
            writes = self._catalog.is_output(node.class_type)
            if "IMAGE" in output and node.class_type not in _LIGHT and not writes:
                alive.add(node_id)
            # a batch that ends here is spent image by image, so it does not count beside its heir
            alive &= self._reachable(waiting)
            peak = max(peak, len(alive))
        return peak

    def _reachable(self, waiting: Iterable[str]) -> set[str]:
        """Return what is still read, also through a clip that only points at its images."""
        wanted = self._parents(waiting)
        clips = [i for i in wanted if self._graph[i].class_type == "CreateVideo"]
        return wanted | {p for i in clips for p in self._graph[i].parents()}

    def _parents(self, waiting: Iterable[str]) -> set[str]:
        return {parent for i in waiting for parent in self._graph[i].parents()}

    # work

    def _work(self, node_id: str) -> None:
        node = self._graph[node_id]
        self._step(node_id, "running", 0.0, 1.0)
        self._tell("executing", {}, node=node_id, display_node=node_id)
        if self.stop.is_set():
            raise InterruptedRunError(self._prompt_id)
        if node.class_type in self._behaviour.stuck_at:
            self.stop.wait(_STUCK_SECONDS)
            raise InterruptedRunError(self._prompt_id)
        if self._failures.due(node.class_type):
            raise PlannedFailureError(f"{node.class_type} fails because a test asked for it")
        result = NODES[node.class_type](Inputs(self._values(node)), self)
        self._results[node_id] = result
        self._done.append(node_id)
        self._show(node_id, result)
        last = self._progress[node_id]
        self._step(node_id, "finished", last["max"], last["max"])

    def _values(self, node: Node) -> dict[str, Value]:
        return {
            name: self._results[value[0]].values[value[1]] if is_link(value) else value
            for name, value in node.inputs.items()
        }

    def _show_cached(self, node_id: str) -> None:
        self._show(node_id, self._results[node_id])
        self._step(node_id, "finished", 1, 1)

    def _show(self, node_id: str, result: Result) -> None:
        """Say what a client can fetch from an output node."""
        if not result.saved:
            return
        output: dict[str, Any] = {"images": to_builtins(list(result.saved))}
        if result.animated:
            output["animated"] = [True]
        self._outcome.outputs[node_id] = output
        self._outcome.meta[node_id] = {
            "node_id": node_id,
            "display_node": node_id,
            "parent_node": None,
            "real_node_id": node_id,
        }
        self._tell("executed", {"output": output}, node=node_id, display_node=node_id)

    # words

    def _step(self, node_id: str, state: str, value: float, maximum: float) -> None:
        self._progress[node_id] = {
            "value": value,
            "max": maximum,
            "state": state,
            "node_id": node_id,
            "prompt_id": self._prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }
        self._say("progress_state", {"prompt_id": self._prompt_id, "nodes": dict(self._progress)})

    def _tell(self, kind: str, data: dict[str, Any], **first: str) -> None:
        self._say(kind, {**first, **data, "prompt_id": self._prompt_id})

    def _note(self, kind: str, data: dict[str, Any]) -> None:
        """Say something that history keeps too."""
        data = {"prompt_id": self._prompt_id, **data, "timestamp": self._now_ms()}
        if kind == "execution_cached":
            data = {"nodes": data.pop("nodes"), **data}
        self._outcome.messages.append((kind, data))
        self._say(kind, data)

    def _where(self) -> dict[str, Any]:
        assert self.current is not None
        return {
            "node_id": self.current,
            "node_type": self._graph[self.current].class_type,
            "executed": list(self._done),
        }

    def _why(self, problem: Exception) -> dict[str, Any]:
        assert self.current is not None
        inputs = self._graph[self.current].inputs
        kind = type(problem)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        return {
            "exception_message": f"{problem}\n",
            "exception_type": module + kind.__qualname__,
            "traceback": [
                f'  File "{Path(at.filename).name}", line {at.lineno}, in {at.name}\n'
                for at in extract_tb(problem.__traceback__)
            ],
            "current_inputs": {name: [self._shown(value)] for name, value in inputs.items()},
            "current_outputs": list(self._graph),
        }

    def _shown(self, value: Any) -> str | float | None:
        if is_link(value) and value[0] in self._results:
            value = self._results[value[0]].values[value[1]]
        match value:
            case Batch():
                return f"<{len(value)} images of {value.width}x{value.height}>"
            case Audio() | Clip():
                return f"<{type(value).__name__}>"
            case None | bool() | int() | float():
                return value
            case _:
                return str(value)[:_SHOWN_INPUT_LENGTH]
