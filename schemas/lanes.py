"""The two queues of renders: one for people who wait, one for what nobody waits for."""

from __future__ import annotations

from typing import Final

INTERACTIVE: Final = "interactive"
"""Somebody waits. Served first."""
BATCH: Final = "batch"
"""Shadow renders, explorations, orders that pay for no speed. Served between, never starved."""
LANES: Final = (INTERACTIVE, BATCH)
"""In the order in which agents look into them."""
STANDARD: Final = "standard"
"""Of a provider: the job decides. Of an old task: ``interactive``."""


def served_lane(lane: str) -> str:
    """Return the lane in which work of this lane is served; an unknown one is somebody's work."""
    return lane if lane in LANES else INTERACTIVE
