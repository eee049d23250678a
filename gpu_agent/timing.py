"""What the socket's messages tell about one run: how far it is, and how long each node took.

Pure: arrival times are arguments. A host gives no node times, so the time of a node is from its
``executing`` message to the next one. Messages come late and in bursts, so the sum is clipped to
what the host says the whole run took.

How far a run is, is the share of its nodes that are done, each weighted with what it is expected
to take; nodes of which nothing is known count like the mean of the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from msgspec import Struct

from schemas.tasks import NodeTiming

CACHED_SHARE: Final = 0.5
"""A run that had so much of its work answered from the cache teaches nobody what it takes."""
TERMINAL: Final = frozenset({"execution_success", "execution_error", "execution_interrupted"})


class Advance(Struct, frozen=True, kw_only=True):
    """How far a run is."""

    node_id: str
    class_type: str
    percent: float
    eta_ms: int | None = None
    """What is left, as far as earlier runs tell; ``None`` while there were none."""


class Track:
    """Hears the messages of one prompt; ``update(kind, data, at)`` and plain fields."""

    def __init__(
        self,
        *,
        prompt_id: str,
        classes: Mapping[str, str],
        expected_ms: Mapping[str, float] | None = None,
    ) -> None:
        self.prompt_id = prompt_id
        self.classes = classes
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.over = False
        self.cached: set[str] = set()
        known = {name: ms for name, ms in (expected_ms or {}).items() if name in classes}
        mean = sum(known.values()) / len(known) if known else 0.0
        self._weights = {name: known.get(name, mean) if mean else 1.0 for name in classes}
        self._known = bool(mean)
        self._arrivals: list[tuple[str, float]] = []
        self._finished: dict[str, float] = {}
        self._partial: tuple[str, float] = ("", 0.0)

    def update(self, kind: str, data: Mapping[str, object], at: float) -> Advance | None:
        """Take one message in; return how far the run is when that changed."""
        # the replay after a reconnect says only which node runs; our client id has one prompt
        if data.get("prompt_id", self.prompt_id) != self.prompt_id:
            return None
        if kind == "execution_start":
            self.started_at = at
        elif kind == "execution_cached":
            nodes = data.get("nodes")
            self.cached.update(map(str, nodes) if isinstance(nodes, list) else ())
        elif kind == "executing":
            return self._executing(data.get("node"), at)
        elif kind == "progress_state":
            return self._progress(data.get("nodes"), at)
        elif kind in TERMINAL:
            self.ended_at = at
        return None

    def timings(self, *, occupied_ms: int | None, now: float) -> tuple[NodeTiming, ...]:
        """Return the nodes in the order they ran, then the cached ones."""
        spans = self._spans(now)
        total = sum(ms for _, ms in spans)
        scale = occupied_ms / total if occupied_ms is not None and total > occupied_ms else 1.0
        ran = [self._timing(node, int(ms * scale), cached=False) for node, ms in spans]
        started = {node for node, _ in spans}
        kept = sorted(self.cached - started)
        return (*ran, *(self._timing(node, 0, cached=True) for node in kept))

    def mostly_cached(self, *, apart_from: Collection[str] = ()) -> bool:
        """Return whether the run tells nothing about what such a run takes.

        ``apart_from`` are the nodes that load models: on a warm host they are always cached.
        """
        counted = {name: ms for name, ms in self._weights.items() if name not in apart_from}
        cached = sum(ms for name, ms in counted.items() if name in self.cached)
        return bool(counted) and cached >= CACHED_SHARE * sum(counted.values())

    def _executing(self, node: object, at: float) -> Advance | None:
        if node is None:
            self.over = True
            self.ended_at = self.ended_at or at
            return None
        name = str(node)
        if self._arrivals and self._arrivals[-1][0] == name:
            return None
        self.started_at = at if self.started_at is None else self.started_at
        self._arrivals.append((name, at))
        return self._advance(name)

    def _progress(self, nodes: object, at: float) -> Advance | None:
        if not isinstance(nodes, dict):
            return None
        running, partial = "", 0.0
        for name, told in nodes.items():
            if not isinstance(told, dict):
                continue
            if told.get("state") == "finished":
                self._finished.setdefault(str(name), at)
                continue
            running = str(name)
            partial = _ratio(told.get("value"), told.get("max"))
        self._partial = (running, partial)
        return self._advance(running) if running else None

    def _advance(self, node: str) -> Advance:
        total = sum(self._weights.values())
        done = sum(self._weights.get(name, 0.0) for name in self.cached | set(self._finished))
        running, partial = self._partial
        if running not in self.cached and running not in self._finished:
            done += self._weights.get(running, 0.0) * partial
        percent = min(max(done / total, 0.0), 1.0) if total else 0.0
        return Advance(
            node_id=node,
            class_type=self.classes.get(node, ""),
            percent=percent,
            eta_ms=round(max(total - done, 0.0)) if self._known else None,
        )

    def _spans(self, now: float) -> list[tuple[str, float]]:
        if not self._arrivals:
            return []
        last = self._arrivals[-1][0]
        over = self._finished.get(last) or self.ended_at or now
        ends = [*(at for _, at in self._arrivals[1:]), over]
        return [
            (node, max(end - at, 0.0) * 1000)
            for (node, at), end in zip(self._arrivals, ends, strict=True)
        ]

    def _timing(self, node: str, ms: int, *, cached: bool) -> NodeTiming:
        return NodeTiming(node_id=node, class_type=self.classes.get(node, ""), ms=ms, cached=cached)


def _ratio(value: object, most: object) -> float:
    if not isinstance(value, (int, float)) or not isinstance(most, (int, float)) or most <= 0:
        return 0.0
    return min(max(value / most, 0.0), 1.0)
