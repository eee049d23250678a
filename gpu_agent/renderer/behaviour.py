"""How the server behaves, and how much it takes on.

The defaults are the good behaviour. The switches bring back what real servers were seen to do,
or provoke a fault, so that a client can be tested against it without a broken server. They may be
set before the start, on the object while the server runs, or over HTTP where the server was started
with ``switchable`` (``GET`` and ``POST /effectmesh/switches``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, field

ALWAYS: Final = 1 << 30
"""For the switches that count: as often as anybody asks."""


class At(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moment of a run."""

    class_type: str
    frame: int = 0
    """After this frame of the node; 0 is before its work begins."""


class WrongAnswer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a route answers instead of doing its work."""

    path: str
    """How the path begins, without ``/api``, such as ``/prompt`` or ``/history``."""
    method: str = ""
    """Empty is any."""
    status: int = 500
    body: str = "500 Internal Server Error\n\nServer got itself in trouble"
    kind: str = "text/plain; charset=utf-8"
    retry_after_s: int | None = None
    done: bool = False
    """The work is done before the wrong answer is given, as when a proxy loses the right one."""
    times: int = 1


def throttled(*, times: int = 1, retry_after_s: int = 1, path: str = "/prompt") -> WrongAnswer:
    """Answer 429 with ``Retry-After``."""
    return WrongAnswer(
        path=path,
        method="POST",
        status=429,
        body="429: Too Many Requests",
        retry_after_s=retry_after_s,
        times=times,
    )


def server_error(*, times: int = 1, path: str = "/prompt", done: bool = False) -> WrongAnswer:
    """Answer 500 in plain text, as real servers do."""
    return WrongAnswer(path=path, times=times, done=done)


def garbage(*, times: int = 1, path: str = "/prompt", done: bool = False) -> WrongAnswer:
    """Answer 200 and call it JSON, which it is not."""
    return WrongAnswer(
        path=path,
        status=200,
        body='{"prompt_id": "00000000-0000-',
        kind="application/json; charset=utf-8",
        done=done,
        times=times,
    )


class PretendedModel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model file that is not there; loading it takes time and memory all the same."""

    folder: str = "checkpoints"
    """Which loaders list it: ``checkpoints``, ``diffusion_models``, ``text_encoders``, ``vae``,
    ``loras``, ``upscale_models`` or ``frame_interpolation``."""
    load_s: float = 0.0
    nbytes: int = 4 << 30


class Behaviour(Struct, kw_only=True, forbid_unknown_fields=True):
    """Switches for what a client must survive. Those that count, count down."""

    # as the original

    deaf_socket: bool = False
    """A closing socket takes the newer one with the same client id off the list."""
    silent_nodes: bool = False
    """Only ColorTransfer and samplers report progress, as on a real server."""
    interrupt_between_nodes: bool = False
    """A request to stop is looked at between nodes only."""
    stale_names: bool = False
    """A cached output is named again although its file is gone or another's."""
    unchecked_combos: bool = False
    """Dynamic combos are not validated; a wrong choice fails when the node runs."""
    bad_body_is_500: bool = False
    """What real servers fall over, a body that is no JSON or the like, is answered 500, not 400."""
    forgetful_cache: bool = False
    """Only what the graph of the run before held is remembered, as on a server short of memory."""
    older: bool = False
    """Speaks as version 0.3.64: any prompt id, no jobs routes, flat inputs of SaveVideo."""

    first_number: int = 0
    """What the counter of prompts starts from, as on a server that has run for a while."""

    # the line

    cut_sockets: bool = False
    """Sockets are cut without a goodbye at the next message, and none is taken."""
    burst_s: float = 0.0
    """Messages are held back and sent together, this long after the first of them."""
    wrong_answers: tuple[WrongAnswer, ...] = ()
    """What routes answer instead of the truth; see ``throttled``, ``server_error``, ``garbage``."""
    node_errors_on_accept: bool = False
    """Every accepted prompt is answered 200 with an entry in ``node_errors``."""
    late_history_lookups: int = 0
    """So many times the history, and the job, of a finished prompt are answered as not there."""
    late_history_s: float = 0.0
    """The history, and the job, of a prompt are there so long after its closing message."""

    # the run

    failures: Mapping[str, int] = field(default_factory=dict)
    """Class of node -> how many times it fails before it works."""
    out_of_memory: Mapping[str, int] = field(default_factory=dict)
    """Class of node -> how many times the GPU has no memory left for it."""
    stuck_at: frozenset[str] = frozenset()
    """Classes of nodes that do not end before somebody interrupts the run."""
    hung_at: frozenset[str] = frozenset()
    """Classes of nodes that do not end, and hear no interrupts, for as long as they are in here."""
    slow_nodes: Mapping[str, float] = field(default_factory=dict)
    """Class of node -> seconds it takes before its work, during which it hears interrupts."""
    kill_at: At | None = None
    """The server dies there, without a word, as under SIGKILL. Once."""

    # the files

    disk_full_saves: int = 0
    """So many times an output node finds the disk full."""
    disk_full_uploads: int = 0
    """So many uploads find the disk full."""
    truncated_outputs: int = 0
    """So many saved files lose their second half after the node is over."""
    empty_outputs: int = 0
    """So many saved files lose all their bytes after the node is over."""
    foreign_outputs: int = 0
    """So many runs name the files of the run before as their own."""

    # models

    models: Mapping[str, PretendedModel] | None = None
    """File -> a model that is pretended. Even when it is empty, model classes are known and may be
    run; without it they are not."""
    models_held: int = 1
    """How many models fit into the memory; loading one more lets go of the least recently used."""
    vram_bytes: int = 24 << 30
    """The memory of the pretended GPU, which there is when there are models."""
    vram_leak_bytes: int = 0
    """Each run takes this much of it for ever."""


def original(**more: Any) -> Behaviour:
    """Return the switches that bring back what real servers were recorded to do."""
    return Behaviour(
        deaf_socket=True,
        silent_nodes=True,
        interrupt_between_nodes=True,
        stale_names=True,
        unchecked_combos=True,
        bad_body_is_500=True,
        forgetful_cache=True,
        **more,
    )


def decoded(text: str | bytes) -> Behaviour:
    """Return the switches that a JSON object names.

    Raises:
        msgspec.ValidationError: no such switch, or an impossible value.
    """
    return msgspec.json.decode(text or b"{}", type=Behaviour)


def change(behaviour: Behaviour, changes: Mapping[str, Any]) -> None:
    """Set switches of a server that may be running.

    Raises:
        msgspec.ValidationError: no such switch, or an impossible value; nothing was changed.
    """
    wanted = msgspec.convert(dict(changes), Behaviour)
    for name in changes:
        setattr(behaviour, name, getattr(wanted, name))


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds of the server."""

    memory_bytes: int = 384 << 20
    """What a run holds of its images besides those that are being worked; no single one may be
    larger, which leaves 8K. A clip of any length is worked frame by frame."""
    cache_bytes: int = 256 << 20
    cache_entries: int = 512
    queue: int = 256
    history: int = 1000
    upload_bytes: int = 100 << 20
    """The whole request body, as on a real server."""
    json_bytes: int = 100 << 20
    """The same, of any other route."""
    graph_nodes: int = 200
    """Validation and cache keys walk a graph recursively."""
    sockets: int = 64
    messages_waiting: int = 20_000
    """A socket that falls so far behind is closed."""
