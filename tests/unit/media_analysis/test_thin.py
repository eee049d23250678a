"""Clips far wider than high: OpenCV's optical flow crashes on very few rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from media.analysis import watch
from media.frames import small_size
from tests.unit.media_analysis.clips import write_clip


def test_a_strip_is_enlarged_until_motion_can_be_measured() -> None:
    """At 16 rows the flow never ended, at 17 to 31 it took the process along."""
    assert small_size(2000, 200) == (160, 32)
    assert small_size(200, 2000) == (32, 160)


def test_a_strip_is_analysed(tmp_path: Path) -> None:
    """Somebody's banner must not end the process that analyses everybody's clips."""
    dice = np.random.default_rng(3)
    still = dice.integers(0, 255, (64, 640, 3), np.uint8)
    write_clip(tmp_path / "strip.mp4", [np.roll(still, 6 * at, axis=1) for at in range(12)])

    assert watch(tmp_path / "strip.mp4").frames == 12
