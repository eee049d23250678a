"""How loud a clip is over its length, for a line below the player."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

POINTS: Final = 400
LOUDEST: Final = 100


class Waveform(Struct, frozen=True, kw_only=True):
    """Peaks from 0 to ``LOUDEST``, evenly spaced over the clip."""

    version: int = 1
    duration_ms: int
    peaks: tuple[int, ...]


class Peaks:
    """Collects the loudest sample of each stretch."""

    def __init__(self, samples: int) -> None:
        """Prepare for a sound of so many samples."""
        self._total = max(1, samples)
        self._peaks = np.zeros(POINTS, np.float64)

    def add(self, at: int, sound: NDArray[np.float32]) -> None:
        """Take samples, channels by time, that begin at sample ``at``."""
        loud = np.nan_to_num(np.abs(sound).max(axis=0), nan=0.0, posinf=1.0)
        places = (np.arange(at, at + loud.size) * POINTS) // self._total
        inside = (places >= 0) & (places < POINTS)
        np.maximum.at(self._peaks, places[inside], loud[inside])

    def write(self, path: Path, *, duration_ms: int) -> None:
        """Write what was collected."""
        levels = np.clip(np.rint(self._peaks * LOUDEST), 0, LOUDEST).astype(int)
        drawn = Waveform(duration_ms=duration_ms, peaks=tuple(int(each) for each in levels))
        path.write_bytes(msgspec.json.encode(drawn))
