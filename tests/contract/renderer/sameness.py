"""When what the renderer said is the same as what was recorded.

Ids and times are translated. Left out is what no client may rest
on: the text of tracebacks, how tensors are printed, the order of sets, host paths, byte counts.
"""

from __future__ import annotations

import re
from typing import Any

from tests.contract.renderer.recording import Event, is_tick
from tests.contract.renderer.replay import Heard

_TIMES = frozenset({"timestamp", "create_time", "execution_start_time", "execution_end_time"})
_SETS = frozenset({"executed", "current_outputs", "nodes", "dependent_outputs"})
_FOR_SHOW = frozenset(
    {"tooltip", "essentials_category", "search_aliases", "price_badge", "output_tooltips"}
)
"""What is told of a node for the browser's menus."""
_ITS_OWN = frozenset({"extension", "node_replacements"})
"""Flags about what else is installed on a host."""
_HIDDEN = frozenset({"prompt", "extra_pnginfo"})
"""Inputs that a real server adds to write them into the file."""
_PLACE = re.compile(r"<(BASE|WORK|COMFY)>/?")


def same_run(recorded: list[Event], heard: Heard) -> list[Any]:
    """Return the recorded messages in the renderer's ids and numbers."""
    return [plain(_words(e), heard) for e in recorded if not is_tick(e)]


def own_run(messages: list[Event]) -> list[Any]:
    """Return the renderer's messages in the same form."""
    return [plain(_words(e), Heard()) for e in messages if not is_tick(e)]


def plain(value: Any, heard: Heard, *, key: str = "") -> Any:
    """Return JSON without what differs from server to server."""
    if isinstance(value, dict):
        known = {k: plain(v, heard, key=k) for k, v in value.items() if k not in _FOR_SHOW}
        known |= dict.fromkeys(_TIMES & known.keys(), 0)
        return {heard.ids.get(k, k): v for k, v in known.items()}
    if isinstance(value, list):
        if key == "traceback":
            return []
        if key in _SETS and all(isinstance(item, str) for item in value):
            return sorted(heard.ids.get(item, item) for item in value)
        return [plain(item, heard, key=key) for item in value]
    if isinstance(value, str):
        if key == "exception_message":
            # what follows in the next lines are the host's folders
            return _PLACE.sub("", value).split("\n")[0]
        return heard.ids.get(value, value)
    return value


def printed(value: Any) -> Any:
    """Return JSON with what was printed of a node's inputs left out."""
    if isinstance(value, dict):
        return {
            k: sorted(v.keys() - _HIDDEN) if k == "current_inputs" else printed(v)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [printed(item) for item in value]
    return value


def shape(value: object) -> object:
    """Return the keys of some JSON, all the way down; lists of files keep one element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value[:1]]
    return None


def _words(event: Event) -> Any:
    if event["ev"] == "ws_recv":
        message = printed(event["msg"])
        if message["type"] == "progress_state":
            return {**message, "data": _in_full(message["data"])}
        if message["type"] == "feature_flags":
            flags = {k: v for k, v in message["data"].items() if k not in _ITS_OWN}
            return {**message, "data": flags}
        return message
    info = event["info"]
    kept = ("event_type", "image_format", "metadata", "image_head_hex", "node_id", "text")
    return {name: info[name] for name in kept if name in info}


def _in_full(data: dict[str, Any]) -> dict[str, Any]:
    """Put back the constant keys that the recorder left out after a while."""
    nodes = {
        node_id: {
            "node_id": node_id,
            "prompt_id": data["prompt_id"],
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
            **{name: value for name, value in state.items() if name != "_"},
        }
        for node_id, state in data["nodes"].items()
    }
    return {**data, "nodes": nodes}
