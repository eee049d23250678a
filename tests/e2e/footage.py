"""Short pieces of real footage, so that a whole job takes seconds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 320, 180, 25


def shorten(clip: Path, target: Path, *, frames: int = 30) -> Path:
    """Write the first frames of a clip, small."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, RATE)
        for number, frame in enumerate(source.decode(video=0)):
            if number == frames:
                break
            small = frame.reformat(WIDTH, HEIGHT, "yuv420p")
            small.pts, small.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))
    return target


def pictures(clip: Path, *, every: int = 10) -> NDArray[np.float64]:
    """Return some frames at one small size, to compare clips with."""
    with av.open(str(clip)) as source:
        chosen = [
            frame.reformat(160, 90, "rgb24").to_ndarray().astype(np.float64)
            for number, frame in enumerate(source.decode(video=0))
            if number % every == 0
        ]
    return np.stack(chosen)
