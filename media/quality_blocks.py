"""From series to numbers, and how sure the numbers are.

Every measure is a series in time. A clip is cut into blocks of a second; a block holds the sum of
each series and how many values it saw, so the mean over any choice of blocks is one division. The
clip is all blocks, a moment is one, and an interval comes from drawing blocks again and again with
replacement: neighbouring frames are alike, so drawing single frames would look far too sure (block
bootstrap: Künsch, "The jackknife and the bootstrap for general stationary observations", 1989).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

BLOCK_MS: Final = 1000.0
MAX_BLOCKS: Final = 600
DRAWS: Final = 200
_SEED: Final = 5
"""The same pixels give the same interval."""


class Blocks:
    """Series, cut into blocks of a second."""

    def __init__(self, duration_ms: float, series: Mapping[str, tuple[Values, Values]]) -> None:
        """Take for every name the times and the values; not a number is no value."""
        count = max(1, min(MAX_BLOCKS, round(duration_ms / BLOCK_MS)))
        self.edges: Values = np.linspace(0.0, duration_ms, count + 1)
        self._sums: dict[str, Values] = {}
        self._counts: dict[str, Values] = {}
        for name, (times, values) in series.items():
            told = np.isfinite(values)
            at = np.clip(np.searchsorted(self.edges, times[told], side="right") - 1, 0, count - 1)
            self._sums[name] = np.bincount(at, values[told], minlength=count).astype(np.float64)
            self._counts[name] = np.bincount(at, minlength=count).astype(np.float64)

    def __len__(self) -> int:
        return len(self.edges) - 1

    def means(self, weights: Values, *, absent: float = 0.0) -> dict[str, Values]:
        """Return the mean of every series for each row of weights of the blocks."""
        found = {}
        for name, sums in self._sums.items():
            seen = weights @ self._counts[name]
            total = weights @ sums
            found[name] = np.where(seen > 0, total / np.maximum(seen, 1e-9), absent)
        return found

    def whole(self) -> Values:
        """Return the weights of the clip: one row, every block once."""
        return np.ones((1, len(self)))

    def single(self) -> Values:
        """Return the weights of each block alone."""
        return np.eye(len(self))

    def span(self, start_ms: float, end_ms: float) -> Values:
        """Return the weights of a stretch of time: one row, each block by what it shares."""
        shared = np.minimum(self.edges[1:], end_ms) - np.maximum(self.edges[:-1], start_ms)
        weights: Values = np.maximum(shared, 0.0)[None, :] / np.maximum(np.diff(self.edges), 1e-9)
        return weights

    def drawn(self) -> Values:
        """Return the weights of ``DRAWS`` clips drawn from the blocks, the same every time."""
        dice = np.random.default_rng(_SEED)
        picked = dice.integers(0, len(self), (DRAWS, len(self)))
        weights = np.zeros((DRAWS, len(self)))
        np.add.at(weights, (np.arange(DRAWS)[:, None], picked), 1.0)
        return weights
