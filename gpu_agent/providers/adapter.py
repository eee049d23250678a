"""What every provider can be asked. What it can do is declared as data, never found by trying."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from gpu_agent.fit import Fit
from gpu_agent.providers.graphs import Graph
from schemas.tasks import ExecutionTask
from workflows.object_info import ObjectInfo


class ClipInfo(Struct, frozen=True, kw_only=True):
    """The clip as the host has it; ``file`` is the name the upload came back with."""

    file: str
    width: int
    height: int
    frames: int
    fps: float


class ProviderAdapter(Protocol):
    """Translates a task, says what it offers, and says whether a host can run it."""

    @property
    def capabilities(self) -> frozenset[str]:
        """The effect types it offers."""
        ...

    @property
    def output_node(self) -> str:
        """The node whose file is the result."""
        ...

    def supports(self, effect_type: str) -> bool:
        """Return whether it offers this effect type or look."""
        ...

    def compile(self, task: ExecutionTask, *, clip: ClipInfo, prefix: str) -> Graph:
        """Translate one task into a graph; the same task and clip give the same graph.

        ``clip.file`` is the only file it reads and ``prefix`` the only place it writes to.

        Raises:
            ParametersRefusedError: a parameter is unknown, out of bounds, or reserved.
            RenderFailedError: ``INPUT_TOO_LARGE`` for a clip it does not take, ``GRAPH_REFUSED``
                for a graph that no host may be given.
        """
        ...

    def health(self, object_info: ObjectInfo) -> Fit:
        """Return what a host lacks for it, all at once."""
        ...
