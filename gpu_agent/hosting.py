"""What the agent knows of its host and the host does not tell: models, trouble, what is left on it.

Plain state with the rules of how it changes; no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import anyio

from gpu_agent.leak import LeakWatch

LEFT: Final = 256
"""Runs whose files and history wait to be cleared; the oldest is forgotten when there are more."""


class HostState:
    """One host, as one agent has come to know it."""

    def __init__(self) -> None:
        self.loaded: frozenset[str] = frozenset()
        """The models of the last run, which is what it holds."""
        self.busy = 0
        """Attempts under way."""
        self.stuck = ""
        """The prompt that it cannot be made to stop."""
        self.idle_since = 0.0
        self.leak = LeakWatch()
        self.changed = anyio.Event()
        """Set when others have to be told; whoever tells them puts a new one."""
        self.spoiled: dict[str, None] = {}
        """Runs that ended well and whose file was no good; nobody follows them again."""
        self._left: deque[tuple[float, str]] = deque(maxlen=LEFT)

    def runs_with(self, models: Iterable[str]) -> None:
        """Take note that a graph with these models runs: it has them loaded and drops others."""
        self._hold(frozenset(models))

    def let_go(self) -> None:
        """Take note that the host holds nothing: it was told to, or it was started again."""
        self.leak.recycled()
        self._hold(frozenset())

    def is_stuck_with(self, prompt_id: str) -> None:
        """Take note that the host goes on with a prompt although it was told to stop."""
        self.stuck = prompt_id
        self.changed.set()

    def works_again(self) -> None:
        """Take note that the host is rid of the prompt it was stuck with."""
        self.stuck = ""
        self.let_go()
        self.changed.set()

    def spoil(self, prompt_id: str) -> None:
        """Take note that a run's file is no good."""
        self.spoiled[prompt_id] = None
        if len(self.spoiled) > LEFT:
            self.spoiled.pop(next(iter(self.spoiled)))

    def leave(self, prompt_id: str, *, at: float) -> None:
        """Take note that a run is reported and what is left of it may be cleared some time."""
        self._left.append((at, prompt_id))

    def left_before(self, at: float) -> list[str]:
        """Return the runs that were left before a moment, and forget them."""
        ready = []
        while self._left and self._left[0][0] <= at:
            ready.append(self._left.popleft()[1])
        return ready

    def _hold(self, models: frozenset[str]) -> None:
        if models != self.loaded:
            self.loaded = models
            self.changed.set()
