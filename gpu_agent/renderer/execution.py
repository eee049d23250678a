"""One run of one graph, on the worker thread: which nodes, in which order, with what said.

Node order, messages and their contents are those of the recorded transcripts. A node that makes few
images holds them, and they may be kept in the cache; of more than that only the first is made when
its turn comes, the others one by one while an output node writes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeAlias
from weakref import WeakSet

from msgspec import Struct, structs, to_builtins

from gpu_agent.renderer import order, previews, wording
from gpu_agent.renderer.behaviour import Behaviour, Limits
from gpu_agent.renderer.cache import Cache, Entry, keys, occupied, stamp
from gpu_agent.renderer.catalog import Catalog
from gpu_agent.renderer.errors import (
    InterruptedRunError,
    MissingInputError,
    OutOfMemoryBudgetError,
)
from gpu_agent.renderer.faults import Faults
from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.graph import Graph, Node, ancestors, is_link
from gpu_agent.renderer.nodes.context import Inputs, Result
from gpu_agent.renderer.nodes.values import Frame, Held, Made, Value, batches
from gpu_agent.renderer.previews import Previews

Say: TypeAlias = Callable[[str, dict[str, Any]], None]

_TICKING: Final = frozenset({"ColorTransfer", "KSampler"})
# one answer may fill a quarter of the cache, so that a decoded clip outlives float batches
_CACHE_SHARE: Final = 4
# and one batch of a run a sixth of its memory
_HELD_SHARE: Final = 6


class Outcome(Struct):
    """What is left of a run for history."""

    outputs: dict[str, Any]
    meta: dict[str, Any]
    messages: list[tuple[str, dict[str, Any]]]
    succeeded: bool


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
        faults: Faults,
        behaviour: Behaviour,
        limits: Limits,
        say: Say,
        now_ms: Callable[[], int],
        previews_wanted: bool = False,
    ) -> None:
        self.folders = folders
        self.stop = threading.Event()
        self.current: str | None = None
        self._prompt_id = prompt_id
        self._graph = ancestors(graph, outputs)
        self._outputs = outputs
        self._catalog = catalog
        self._cache = cache
        self._faults = faults
        self._behaviour = behaviour
        self._limits = limits
        self._say = say
        self._now_ms = now_ms
        self._previews = Previews(wanted=previews_wanted, sampler_only=behaviour.silent_nodes)
        self._keys: dict[str, str] = {}
        self._plan = Plan(nodes={}, cached={}, skipped=())
        self._read = {parent for node in self._graph.values() for parent in node.parents()}
        self._results: dict[str, Result] = {}
        self._done: list[str] = []
        self._progress: dict[str, dict[str, Any]] = {}
        self._guilty: str | None = None
        self._remembered = 0
        self._held: WeakSet[Held] = WeakSet()
        self._closing = ExitStack()
        self._outcome = Outcome(outputs={}, meta={}, messages=[], succeeded=False)

    def run(self) -> Outcome:
        """Work the graph and say everything up to the terminal message."""
        with self._closing:
            return self._run()

    def _run(self) -> Outcome:
        self._faults.begin_run()
        self._note("execution_start", {})
        self._keys = keys(self._graph, self.folders)
        if self._behaviour.forgetful_cache:
            self._cache.retain(self._keys.values())
        self._plan = self._planned()
        self._note("execution_cached", {"nodes": list(self._plan.skipped)})
        self._results.update(self._plan.cached)
        for result in self._plan.cached.values():
            self._count(result)
        waiting = order.lined_up(self._outputs, self._plan.nodes)
        try:
            while waiting:
                node_id = order.next_of(waiting, self._plan.nodes, self._is_output)
                del waiting[node_id]
                if node_id in self._plan.cached:
                    self._show_cached(node_id)
                    continue
                self.current = node_id
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

    def tick(self, done: int, total: int, frame: Frame | None = None) -> None:
        """Tell how far the current node is, and show its frame if the client wants previews."""
        self.check()
        assert self.current is not None
        node = self._graph[self.current]
        self._faults.frame(node.class_type, done)
        if self._behaviour.silent_nodes and node.class_type not in _TICKING:
            return
        self._step(self.current, "running", done, total)
        if frame is not None and self._previews.are_due(node.class_type, self._now_ms()):
            self.show(previews.jpeg(frame), previews.JPEG)
        self._tell("progress", {"value": done, "max": total}, node=self.current)

    def show_each(self, done: int, total: int, picture: bytes) -> None:
        """Send a picture that is itself what the client asked for, not only a preview."""
        self.check()
        assert self.current is not None
        self._step(self.current, "running", done, total)
        self.show(picture, previews.PNG)
        self._tell("progress", {"value": done, "max": total}, node=self.current)

    def show(self, picture: bytes, kind: int) -> None:
        """Send a picture of the current node's work."""
        about = {
            "node_id": self.current,
            "prompt_id": self._prompt_id,
            "display_node_id": self.current,
            "parent_node_id": None,
            "real_node_id": self.current,
        }
        self._say("preview", {"picture": picture, "kind": kind, "about": about})

    def check(self) -> None:
        """Stop if somebody asked for it."""
        if self.stop.is_set() and self._hears_interrupts():
            raise InterruptedRunError(self._prompt_id)

    def _hears_interrupts(self) -> bool:
        if not self._behaviour.interrupt_between_nodes or self.current is None:
            return True
        # on a real server whoever reports progress looks for interrupts as well
        return self._graph[self.current].class_type in _TICKING

    def make(self, owner: str | None, work: Callable[[int], Made], index: int) -> Made:
        """Make a frame that somebody reads; if that fails, it is the owner's failure."""
        self.check()
        try:
            frame = work(index)
        except InterruptedRunError:
            raise
        except Exception:
            # the first to see it is the node in which it happened
            self._guilty = self._guilty or owner
            raise
        if owner is not None:
            self._faults.frame(self._graph[owner].class_type, index + 1)
        return frame

    def allow(self, nbytes: int) -> None:
        """Refuse frames that no memory is set aside for."""
        if nbytes > self._limits.memory_bytes:
            raise OutOfMemoryBudgetError(needed=nbytes, budget=self._limits.memory_bytes)

    def room(self) -> int:
        """Return how much one more batch may take: a share, or what is left."""
        memory = self._limits.memory_bytes
        return max(0, min(memory // _HELD_SHARE, memory - self._remembered - self._occupied()))

    def may_keep(self, nbytes: int) -> bool:
        """Set memory aside for a frame that several nodes read."""
        if self._remembered + self._occupied() + nbytes > self._limits.memory_bytes:
            return False
        self._remembered += nbytes
        return True

    def at_end(self, close: Callable[[], None]) -> None:
        """Have a file closed when the run is over."""
        self._closing.callback(close)

    def _occupied(self) -> int:
        return sum(batch.nbytes for batch in self._held)

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
            if not self._catalog.stands(self._graph[node_id]):
                entry = None
            if entry is not None and (entry.result.values or node_id not in self._read):
                found[node_id] = entry.result
                continue
            needed.add(node_id)
            waiting.extend(self._graph[node_id].parents())
        nodes = {i: node for i, node in self._graph.items() if i in needed}
        skipped = tuple(i for i in self._graph if i not in needed)
        return Plan(nodes=nodes, cached=found, skipped=skipped)

    def _is_output(self, node_id: str) -> bool:
        return self._catalog.is_output(self._graph[node_id].class_type)

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
        if node_id in self._plan.cached:
            return
        if (result.saved or result.told) and node_id not in self._read:
            # the name of the file is the answer; its images need not stay in memory
            result = structs.replace(result, values=())
        if not all(isinstance(b, Held) for value in result.values for b in batches(value)):
            return
        if occupied([result]) <= self._limits.cache_bytes // _CACHE_SHARE:
            self._cache.keep(self._keys[node_id], Entry(result=result, files=tuple(files)))

    def _parents(self, waiting: Iterable[str]) -> set[str]:
        return {parent for i in waiting for parent in self._graph[i].parents()}

    # work

    def _work(self, node_id: str) -> None:
        node = self._graph[node_id]
        # looked at before anybody can react to what is said next
        stopped = self.stop.is_set()
        self._step(node_id, "running", 0.0, 1.0)
        self._tell("executing", {}, node=node_id, display_node=node_id)
        if stopped:
            raise InterruptedRunError(self._prompt_id)
        self._faults.begin(node.class_type, self.stop, saves=self._is_output(node_id))
        for name in self._catalog.inputs(node.class_type)["required"]:
            if name not in node.inputs and f"{name}." not in {
                i[: len(name) + 1] for i in node.inputs
            }:
                raise MissingInputError(node.class_type, name)
        work = self._catalog.work(node.class_type)
        result = work(Inputs(self._values(node)), self)
        self._results[node_id] = result
        self._count(result)
        for saved in result.saved:
            self._faults.saved(self.folders.inside(saved.type, saved.subfolder, saved.filename))
        if node.class_type == "GetImageSize":
            width, height, count = result.values
            text = f"width: {width}, height: {height}\n batch size: {count}"
            self._say("text", {"node": node_id, "text": text})
        self._done.append(node_id)
        self._show(node_id, result)
        last = self._progress[node_id]
        self._step(node_id, "finished", last["max"], last["max"])

    def _count(self, result: Result) -> None:
        """Count what a node holds against the memory, for as long as anybody reads it."""
        for value in result.values:
            self._held.update(b for b in batches(value) if isinstance(b, Held))

    def _values(self, node: Node) -> dict[str, Value]:
        return {
            name: self._results[value[0]].values[value[1]] if is_link(value) else value
            for name, value in node.inputs.items()
        }

    def _show_cached(self, node_id: str) -> None:
        self._show(node_id, self._plan.cached[node_id])
        self._step(node_id, "finished", 1, 1)

    def _show(self, node_id: str, result: Result) -> None:
        """Say what a client can fetch from an output node."""
        if not result.saved and not result.told:
            return
        output: dict[str, Any] = {"text": list(result.told)} if result.told else {}
        if result.saved:
            output["images"] = to_builtins(list(result.saved))
        if result.animated:
            output["animated"] = [True]
        output = self._faults.named(output)
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
        at = self._guilty or self.current
        done = self._done[: self._done.index(at)] if at in self._done else self._done
        return {
            "node_id": at,
            "node_type": self._graph[at].class_type,
            "executed": list(done),
        }

    def _why(self, problem: Exception) -> dict[str, Any]:
        assert self.current is not None
        inputs = self._graph[self._guilty or self.current].inputs
        shown = {name: [wording.shown(self._value(value))] for name, value in inputs.items()}
        return {
            **wording.why(problem, self.folders.root),
            "current_inputs": shown,
            "current_outputs": list(self._graph),
        }

    def _value(self, value: Any) -> Value:
        """Return what an input is, through its link if it has one."""
        through = is_link(value) and value[0] in self._results
        found: Value = self._results[value[0]].values[value[1]] if through else value
        return found
