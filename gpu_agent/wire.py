"""What a ComfyUI host says, decoded. Pure; nothing it says is taken on trust.

Two hosts say the same thing in different places: 0.33 has ``/api/jobs/{id}``, 0.3.64 only
``/history/{id}`` and ``/queue``. All of them become a ``PromptState``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from gpu_agent.errors import Fault, RenderFailedError

T = TypeVar("T")

REASONS_SHOWN: Final = 5
"""Faults of a refused graph that go into one message."""

_SAFE: Final = re.compile(r"[^A-Za-z0-9_. -]")
_WORD_LIMIT: Final = 64
_MEMORY: Final = ("OutOfMemoryError", "MemoryError", "AllocationError")
_BAD_FILE: Final = "custom_validation_failed"
_NO_ROOM: Final = "No space left on device"
_UNDECODABLE: Final = "InvalidDataError"
_MISSING_CLASS: Final = "missing_node_type"
_OLD_MISSING_CLASS: Final = "Cannot execute because node"
"""How 0.3.64 says it, under the type ``invalid_prompt``."""
_NOT_OFFERED: Final = "value_not_in_list"
_MODEL_FILES: Final = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".onnx")
_READERS: Final = frozenset({"GetVideoComponents", "LoadVideo", "VHS_LoadVideo"})
"""Nodes that decode the clip and nothing else."""
_MODEL_NAME: Final = re.compile(r"\b([A-Z]{1,3}\d{1,4}[A-Z]?)\b")


class Phase(StrEnum):
    """Where a prompt is on its host."""

    UNKNOWN = "unknown"
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


OVER: Final = frozenset({Phase.DONE, Phase.FAILED, Phase.INTERRUPTED})


class OutputFile(Struct, frozen=True, kw_only=True):
    """A file an output node wrote, as ``/view`` wants it named."""

    filename: str
    subfolder: str = ""
    type: str = "output"


class Exploded(Struct, frozen=True, kw_only=True):
    """Which node failed, with what kind of exception. Its text may name host paths: left out."""

    node_type: str = ""
    exception_type: str = ""
    disk_full: bool = False


class PromptState(Struct, frozen=True, kw_only=True):
    """What the host knows of one prompt. Times are the host's clock, in milliseconds."""

    phase: Phase
    outputs: dict[str, tuple[OutputFile, ...]] = {}
    created_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    cached: tuple[str, ...] = ()
    error: Exploded = Exploded()


class Memory(Struct, frozen=True, kw_only=True):
    """Bytes of a host and its device; a CPU has no memory of its own."""

    ram_total: int = 0
    ram_free: int = 0
    vram_total: int = 0
    vram_free: int = 0

    @property
    def ram_used(self) -> int:
        """What is taken, by whomever."""
        return max(self.ram_total - self.ram_free, 0)

    @property
    def vram_used(self) -> int:
        """What is taken, by whomever."""
        return max(self.vram_total - self.vram_free, 0)


NOWHERE: Final = PromptState(phase=Phase.UNKNOWN)

_JOB_PHASE: Final[Mapping[str, Phase]] = {
    "pending": Phase.PENDING,
    "in_progress": Phase.RUNNING,
    "completed": Phase.DONE,
    "failed": Phase.FAILED,
    "cancelled": Phase.INTERRUPTED,
}


class _Marks(Struct):
    status_str: str = ""
    messages: list[tuple[str, dict[str, object]]] = []


class _Job(Struct):
    status: str
    create_time: float | None = None
    execution_start_time: float | None = None
    execution_end_time: float | None = None
    outputs: dict[str, dict[str, object]] = {}
    execution_status: _Marks | None = None


class _Entry(Struct):
    prompt: list[object] = []
    outputs: dict[str, dict[str, object]] = {}
    status: _Marks | None = None


class _Queue(Struct):
    queue_running: list[list[object]] = []
    queue_pending: list[list[object]] = []


class NodeFault(Struct):
    """One fault of one input."""

    type: str = ""
    extra_info: dict[str, object] = {}


class NodeErrors(Struct):
    """The faults of one node."""

    class_type: str = ""
    errors: list[NodeFault] = []


class RefusedWhole(Struct):
    """What is wrong with the graph as a whole."""

    type: str = ""
    message: str = ""


class Accepted(Struct):
    """The answer to ``POST /prompt``, good or bad."""

    prompt_id: str = ""
    node_errors: dict[str, NodeErrors] = {}
    error: RefusedWhole = msgspec.field(default_factory=RefusedWhole)


def decoded(body: bytes, kind: type[T]) -> T:
    """Return what a host says as one of our types.

    Raises:
        RenderFailedError: the answer is not what a ComfyUI says.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as wrong:
        raise RenderFailedError(Fault.HOST_ERROR, "the host's answer cannot be read") from wrong


def job_state(body: bytes) -> PromptState:
    """Read ``/api/jobs/{id}``.

    Raises:
        RenderFailedError: the answer is not what a ComfyUI says.
    """
    job = decoded(body, _Job)
    marks = _marks(job.execution_status)
    return PromptState(
        phase=_JOB_PHASE.get(job.status, Phase.UNKNOWN),
        outputs=_files(job.outputs),
        created_ms=_whole(job.create_time),
        started_ms=_whole(job.execution_start_time) or marks.started_ms,
        ended_ms=_whole(job.execution_end_time) or marks.ended_ms,
        cached=marks.cached,
        error=marks.error,
    )


def history_state(body: bytes, prompt_id: str) -> PromptState:
    """Read ``/history/{id}``; ``UNKNOWN`` when the entry is not there (yet).

    Raises:
        RenderFailedError: the answer is not what a ComfyUI says.
    """
    entry = decoded(body, dict[str, _Entry]).get(prompt_id)
    if entry is None:
        return NOWHERE
    marks = _marks(entry.status)
    succeeded = entry.status is not None and entry.status.status_str == "success"
    extra = entry.prompt[3] if len(entry.prompt) > 3 else None
    created = extra.get("create_time") if isinstance(extra, dict) else None
    return msgspec.structs.replace(
        marks,
        phase=Phase.DONE if succeeded else marks.phase,
        outputs=_files(entry.outputs),
        created_ms=_whole(created),
    )


def queue_state(body: bytes, prompt_id: str) -> PromptState:
    """Read ``/queue``.

    Raises:
        RenderFailedError: the answer is not what a ComfyUI says.
    """
    queue = decoded(body, _Queue)
    for phase, items in (
        (Phase.RUNNING, queue.queue_running),
        (Phase.PENDING, queue.queue_pending),
    ):
        if any(len(item) > 1 and item[1] == prompt_id for item in items):
            return PromptState(phase=phase)
    return NOWHERE


def running(body: bytes) -> tuple[str, ...]:
    """Return the prompts that run, from ``/queue``.

    Raises:
        RenderFailedError: the answer is not what a ComfyUI says.
    """
    return tuple(str(item[1]) for item in decoded(body, _Queue).queue_running if len(item) > 1)


def accepted(body: bytes) -> Accepted:
    """Read the answer to ``POST /prompt``.

    Raises:
        RenderFailedError: the answer is not what a ComfyUI says.
    """
    return decoded(body, Accepted)


def refusal(answer: Accepted) -> tuple[Fault, str]:
    """Say why a graph was refused: kinds of faults, classes and inputs, never the host's words.

    The host's own texts can hold paths and tracebacks, and its top line is often empty. A graph of
    which only files or classes are missing is a fault of this host, any other the graph's.
    """
    found = [(node, fault) for node in answer.node_errors.values() for fault in node.errors]
    faults = [
        f"{_word(node.class_type)}.{_word(fault.extra_info.get('input_name'))}: {_word(fault.type)}"
        for node, fault in found
    ]
    if not faults:
        kind = _word(answer.error.type)
        absent = kind == _MISSING_CLASS or answer.error.message.startswith(_OLD_MISSING_CLASS)
        code = Fault.MISSING_MODEL if absent else Fault.GRAPH_REFUSED
        return code, f"the host refused the graph: {kind or 'no reason given'}"
    if all(node.class_type in _READERS and fault.type == _BAD_FILE for node, fault in found):
        return Fault.HOST_ERROR, "the host has lost the clip"
    missing = all(_is_missing_file(fault) for _, fault in found)
    more = f" and {len(faults) - REASONS_SHOWN} more" if len(faults) > REASONS_SHOWN else ""
    code = Fault.MISSING_MODEL if missing else Fault.GRAPH_REFUSED
    return code, f"the host refused the graph: {', '.join(faults[:REASONS_SHOWN])}{more}"


def failure(error: Exploded) -> tuple[Fault, str]:
    """Map what happened inside the host to a code and a sentence."""
    kind = _word(error.exception_type.rsplit(".", 1)[-1]) or "an unnamed error"
    node = _word(error.node_type) or "a node"
    if kind.endswith(_MEMORY):
        return Fault.OUT_OF_MEMORY, f"{node} ran out of memory"
    if error.disk_full:
        return Fault.HOST_DISK_FULL, f"{node} found the host's disk full"
    if kind == _UNDECODABLE and error.node_type in _READERS:
        return Fault.INPUT_UNREADABLE, f"{node} cannot decode the clip"
    return Fault.RENDER_ERROR, f"{node} failed with {kind}"


def event(frame: str) -> tuple[str, dict[str, object]] | None:
    """Read one text frame of the socket; ``None`` when it is no message."""
    try:
        message = msgspec.json.decode(frame, type=dict[str, object])
    except msgspec.MsgspecError:
        return None
    kind, data = message.get("type"), message.get("data")
    return (kind, data) if isinstance(kind, str) and isinstance(data, dict) else None


def memory(stats: Mapping[str, object]) -> Memory:
    """Return what the host and its first device have, and have left."""
    system = stats.get("system")
    devices = stats.get("devices")
    first = devices[0] if isinstance(devices, list) and devices else {}
    told = system if isinstance(system, dict) else {}
    device = first if isinstance(first, dict) and first.get("type", "cpu") != "cpu" else {}
    return Memory(
        ram_total=_whole(told.get("ram_total")) or 0,
        ram_free=_whole(told.get("ram_free")) or 0,
        vram_total=_whole(device.get("vram_total")) or 0,
        vram_free=_whole(device.get("vram_free")) or 0,
    )


def gpu_type(stats: Mapping[str, object]) -> str:
    """Return the short name of the host's first device, as rate cards have it.

    >>> gpu_type({"devices": [{"name": "cuda:0 NVIDIA A10G : cudaMallocAsync", "type": "cuda"}]})
    'A10G'
    >>> gpu_type({"devices": [{"name": "cpu", "type": "cpu"}]})
    'cpu'
    """
    devices = stats.get("devices")
    first = devices[0] if isinstance(devices, list) and devices else {}
    if not isinstance(first, dict) or first.get("type", "cpu") == "cpu":
        return "cpu"
    name = str(first.get("name", ""))
    found = _MODEL_NAME.search(name)
    return found.group(1) if found else _word(name) or "unknown"


def _is_missing_file(fault: NodeFault) -> bool:
    named = str(fault.extra_info.get("received_value", ""))
    return fault.type == _NOT_OFFERED and named.endswith(_MODEL_FILES)


def _marks(status: _Marks | None) -> PromptState:
    """Return what the messages of a finished run tell: its end, its times, its cached nodes."""
    phase, started, ended = Phase.FAILED, None, None
    cached: tuple[str, ...] = ()
    error = Exploded()
    for kind, data in status.messages if status else ():
        stamp = _whole(data.get("timestamp"))
        if kind == "execution_start":
            started = stamp
        elif kind == "execution_cached":
            nodes = data.get("nodes")
            cached = tuple(str(node) for node in nodes) if isinstance(nodes, list) else ()
        elif kind == "execution_success":
            phase, ended = Phase.DONE, stamp
        elif kind == "execution_interrupted":
            phase, ended = Phase.INTERRUPTED, stamp
        elif kind == "execution_error":
            phase, ended = Phase.FAILED, stamp
            error = Exploded(
                node_type=str(data.get("node_type", "")),
                exception_type=str(data.get("exception_type", "")),
                disk_full=_NO_ROOM in str(data.get("exception_message", "")),
            )
    return PromptState(phase=phase, started_ms=started, ended_ms=ended, cached=cached, error=error)


def _files(outputs: Mapping[str, Mapping[str, object]]) -> dict[str, tuple[OutputFile, ...]]:
    return {node: tuple(_named(shown.values())) for node, shown in outputs.items()}


def _named(values: Iterable[object]) -> Iterator[OutputFile]:
    """Yield the files among a node's outputs; a video stands under ``images``."""
    for value in values:
        for item in value if isinstance(value, list) else ():
            if isinstance(item, dict) and isinstance(item.get("filename"), str):
                yield OutputFile(
                    filename=item["filename"],
                    subfolder=str(item.get("subfolder", "")),
                    type=str(item.get("type", "output")),
                )


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _word(value: object) -> str:
    return _SAFE.sub("", str(value or ""))[:_WORD_LIMIT]
