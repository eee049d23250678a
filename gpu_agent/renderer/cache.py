"""Answers of earlier runs, found by what was computed, not by node id."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gpu_agent.renderer.files import Folders
from gpu_agent.renderer.graph import Graph, is_link
from gpu_agent.renderer.nodes.context import Result
from gpu_agent.renderer.nodes.values import Held, batches

_LOADERS: Mapping[str, str] = {"LoadVideo": "file", "LoadImage": "image"}


class Entry(Struct, frozen=True):
    """A result, and which files on disk it stands for."""

    result: Result
    files: tuple[tuple[Path, int, int], ...] = ()

    def is_intact(self) -> bool:
        """Say whether every file is still the one that was written."""
        return all(stamp(path) == (modified, size) for path, modified, size in self.files)


class Cache:
    """Least recently used results, bounded in bytes and number."""

    def __init__(self, *, limit_bytes: int, limit_entries: int) -> None:
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._limit_bytes = limit_bytes
        self._limit_entries = limit_entries

    def find(self, key: str, *, stale: bool = False) -> Entry | None:
        """Return an earlier result, if its files are still there (or ``stale`` ones will do)."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if not stale and not entry.is_intact():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry

    def keep(self, key: str, entry: Entry) -> None:
        """Keep a result, and forget the oldest ones beyond the bounds."""
        self._entries[key] = entry
        self._entries.move_to_end(key)
        self.shrink(self._limit_bytes)

    def retain(self, wanted: Iterable[str]) -> None:
        """Forget all results but some."""
        kept = set(wanted)
        self._entries = OrderedDict((k, e) for k, e in self._entries.items() if k in kept)

    def shrink(self, limit_bytes: int) -> None:
        """Forget the oldest results until the rest fits into so many bytes."""
        while self._entries and (
            self.nbytes() > limit_bytes or len(self._entries) > self._limit_entries
        ):
            self._entries.popitem(last=False)

    def nbytes(self) -> int:
        """Return what the results occupy together; shared images count once."""
        return occupied(entry.result for entry in self._entries.values())

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


def occupied(results: Iterable[Result]) -> int:
    """Return the bytes of all images that some results hold, each counted once."""
    held = {id(b): b for result in results for value in result.values for b in batches(value)}
    return sum(batch.nbytes for batch in held.values() if isinstance(batch, Held))


def stamp(path: Path) -> tuple[int, int] | None:
    """Return modification time and size of a file, or nothing if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def keys(graph: Graph, folders: Folders) -> dict[str, str]:
    """Return for each node a digest of its class, its inputs and all its ancestors."""
    found: dict[str, str] = {}
    for node_id in graph:
        _key(node_id, graph, folders, found)
    return found


def _key(node_id: str, graph: Graph, folders: Folders, found: dict[str, str]) -> str:
    if node_id in found:
        return found[node_id]
    node = graph[node_id]
    parts: list[Any] = [node.class_type]
    for name, value in sorted(node.inputs.items()):
        if is_link(value) and value[0] in graph:
            parts.append([name, _key(value[0], graph, folders, found), value[1]])
            continue
        parts.append([name, value])
    loaded = _LOADERS.get(node.class_type)
    if loaded is not None:
        path = folders.source(str(node.inputs.get(loaded, "")))
        parts.append(stamp(path) if path else None)
    found[node_id] = hashlib.sha256(msgspec.json.encode(parts)).hexdigest()
    return found[node_id]
