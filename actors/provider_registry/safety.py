"""What no stored graph may hold: ways out of the host's folders, and values that break a decoder.

Agents check the same again before each render. Here it is found before anything is paid for, and
every fault is named at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from workflows.graphs import LOADERS, PREFIX, STILLS, Graph, Literal, literals
from workflows.values import (
    EMBEDDING,
    NUMBER_LIMIT,
    PLAIN_NAME,
    is_encodable,
    leads_elsewhere,
    shown,
)

NODE_LIMIT: Final = 200
GRAPH_BYTES: Final = 512 * 1024
"""Of a graph as JSON; a message of the bus holds twice as much."""
TEXT_LIMIT: Final = 16 * 1024
"""Characters of one text in a graph; a shader is the longest there is."""
DEPTH_LIMIT: Final = 8
"""Objects within objects; ComfyUI has two."""

_NODE_ID: Final = re.compile(r"[A-Za-z0-9_:.-]{1,64}")
_SHADER: Final = "fragment_shader"


def unsafe(graph: Graph, *, words: Collection[str] = ()) -> Iterator[str]:
    """Yield what must not stand in a graph, one sentence each.

    ``words`` are the nodes whose ``text`` a prompt replaces: a slash in a sentence is no path.
    """
    if len(graph) > NODE_LIMIT:
        yield f"graph has {len(graph)} nodes, more than {NODE_LIMIT}"
    for node_id in graph:
        if not _NODE_ID.fullmatch(node_id):
            yield f"node id {shown(node_id)} is none"
    for each in literals(graph):
        place = f"input {each.name!r} of node {each.node}"
        if why := _wrong(each, is_words=each.node in words or each.name == "text"):
            yield f"{place} {why}"


def _wrong(literal: Literal, *, is_words: bool) -> str:
    value = literal.value
    if isinstance(value, str):
        return _wrong_text(literal, value, is_words=is_words)
    return _wrong_value(value, depth=0)


def _wrong_text(literal: Literal, value: str, *, is_words: bool) -> str:
    if len(value) > TEXT_LIMIT:
        return f"has {len(value)} characters, more than {TEXT_LIMIT}"
    if "\x00" in value:
        return "holds a null character"
    if not is_encodable(value):
        return "holds half a character"
    if is_words:
        return "names an embedding file" if EMBEDDING.search(value) else ""
    if literal.name == _SHADER:
        return ""
    if STILLS.get(literal.class_type) == literal.name and not PLAIN_NAME.fullmatch(value):
        return f"is no plain file name: {shown(value)}"
    if literal.name in (PREFIX, LOADERS.get(literal.class_type)):
        return f"leads elsewhere: {shown(value)}" if leads_elsewhere(value) else ""
    return _place(value)


def _place(value: str) -> str:
    why = leads_elsewhere(value)
    return f"{why}: {shown(value)}" if why else ""


def _wrong_value(value: object, *, depth: int) -> str:
    if depth > DEPTH_LIMIT:
        return "is nested too deeply"
    if isinstance(value, float) and not math.isfinite(value):
        return f"is {value!r}"
    if isinstance(value, (int, float)) and abs(value) > NUMBER_LIMIT:
        return "is a huge number"
    if isinstance(value, str):
        return _place(value) if len(value) <= TEXT_LIMIT else "holds a text that is too long"
    parts: list[object] = []
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, list):
        parts = value
    found = (_wrong_value(part, depth=depth + 1) for part in parts)
    return next(filter(None, found), "")
