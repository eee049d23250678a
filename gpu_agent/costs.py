"""What each node of each provider took, learnt from the runs before. Pure, but for ``CostFile``.

A mean that forgets: each run moves it by ``WEIGHT`` of the difference. Times are per unit of work,
a million pixels, so that a long clip teaches what a short one takes. Runs from the cache and
adopted ones, of which only the end was heard, are not for learning; the caller leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import anyio
import msgspec

from gpu_agent.providers.graphs import Graph
from schemas.base import ProviderId
from schemas.tasks import NodeTiming

WEIGHT: Final = 0.3
KEPT: Final = 2048
"""Node classes of providers; the one that was learnt longest ago is forgotten first."""
UNIT_PIXELS: Final = 1_000_000
FILE_BYTES: Final = 1 << 20
"""A file larger than that is not ours."""


class NodeCosts:
    """Milliseconds per million pixels, by provider and node class."""

    def __init__(self, known: Mapping[str, float] | None = None) -> None:
        self._known: dict[str, float] = dict(known or {})

    @property
    def known(self) -> Mapping[str, float]:
        """Everything that was learnt, the oldest first."""
        return self._known

    def learn(self, provider_id: ProviderId, nodes: Iterable[NodeTiming], *, pixels: int) -> None:
        """Take in what the nodes of one run took on so many pixels, all frames together."""
        units = max(pixels, 1) / UNIT_PIXELS
        for node in nodes:
            if node.cached or not node.class_type:
                continue
            key = _key(provider_id, node.class_type)
            seen = node.ms / units
            before = self._known.pop(key, seen)
            self._known[key] = before + WEIGHT * (seen - before)
        while len(self._known) > KEPT:
            self._known.pop(next(iter(self._known)))

    def expected(self, provider_id: ProviderId, graph: Graph, *, pixels: int) -> dict[str, float]:
        """Return what each node of a graph is expected to take, in ms; unknown ones are absent."""
        units = max(pixels, 1) / UNIT_PIXELS
        found = {
            name: self._known.get(_key(provider_id, str(node.get("class_type"))))
            for name, node in graph.items()
        }
        return {name: ms * units for name, ms in found.items() if ms is not None}


class CostFile:
    """Keeps the costs across runs of the agent. A file that cannot be read is begun anew."""

    def __init__(self, path: Path) -> None:
        self._path = anyio.Path(path)

    async def load(self) -> NodeCosts:
        """Return what was kept."""
        try:
            if (await self._path.stat()).st_size > FILE_BYTES:
                return NodeCosts()
            return NodeCosts(msgspec.json.decode(await self._path.read_bytes(), type=_Known))
        except (OSError, msgspec.MsgspecError):
            return NodeCosts()

    async def save(self, costs: NodeCosts) -> None:
        """Keep them, whole or not at all.

        Raises:
            OSError: the disk is full, or not ours.
        """
        draft = self._path.with_suffix(".new")
        await draft.write_bytes(msgspec.json.encode(dict(costs.known)))
        await draft.replace(self._path)


_Known = dict[str, float]


def _key(provider_id: ProviderId, class_type: str) -> str:
    return f"{provider_id}/{class_type}"
