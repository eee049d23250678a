"""Whether a host loses memory from run to run, and when to have it start over. Pure.

After a run with the same models a sound host holds as much as after the one before. One that holds
more each time leaks: in a day it is out of memory in the middle of somebody's render. Having it let
go of everything costs a load, so it is done when that costs least: before a load that is due
anyway, or while nobody wants the host. Only when hardly any memory is left is it done at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from itertools import pairwise
from typing import Final

from msgspec import Struct

RUNS: Final = 4
"""So many runs in a row with the same models tell a leak from an accident."""
GROWTH: Final = 0.05
"""Of the whole memory: less than that is not worth a load."""
SCARCE: Final = 0.05
"""Of the whole memory: with less left the next run may find too little."""
IDLE_S: Final = 30.0
"""Standing idle for so long, a host is not wanted at the moment."""


class Held(Struct, frozen=True):
    """Memory after a run."""

    used: int
    total: int


class LeakWatch:
    """Remembers the memory after the last runs with the same models."""

    def __init__(self) -> None:
        self._models: frozenset[str] = frozenset()
        self._runs: deque[Held] = deque(maxlen=RUNS)

    def ran(self, models: Collection[str], *, used: int, total: int) -> None:
        """Take in what is held after a run; ``total`` is 0 when the host does not say."""
        if frozenset(models) != self._models or total <= 0:
            self.recycled()
            self._models = frozenset(models)
        if total > 0:
            self._runs.append(Held(used, total))

    def recycled(self) -> None:
        """Begin anew: the host let go of everything."""
        self._runs.clear()

    @property
    def leaking(self) -> bool:
        """Whether every run left more behind than the one before, and together much."""
        runs = tuple(self._runs)
        if len(runs) < RUNS:
            return False
        rises = all(later.used > before.used for before, later in pairwise(runs))
        return rises and runs[-1].used - runs[0].used >= GROWTH * runs[-1].total

    @property
    def scarce(self) -> bool:
        """Whether so little is left that it cannot wait for a better moment."""
        return bool(self._runs) and self._runs[-1].used > (1 - SCARCE) * self._runs[-1].total

    def to_recycle(self, *, idle_s: float, loads_next: bool) -> bool:
        """Return whether this is the moment to have the host let go of everything."""
        cheap = loads_next or idle_s >= IDLE_S
        return self.leaking and (cheap or self.scarce)
