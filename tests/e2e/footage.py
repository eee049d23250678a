"""Short pieces of real footage, so that a whole job takes seconds."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 320, 180, 25


def shorten(
    clip: Path, target: Path, *, frames: int = 30, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Path:
    """Write the first frames of a clip, small."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream("libx264", rate=RATE)
        (stream.width, stream.height), stream.pix_fmt = size, "yuv420p"
        stream.time_base = Fraction(1, RATE)
        for number, frame in enumerate(source.decode(video=0)):
            if number == frames:
                break
            small = frame.reformat(*size, "yuv420p")
            small.pts, small.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))
    return target


def sound_only(target: Path) -> Path:
    """Write a second of a tone and no picture."""
    with av.open(str(target), "w") as out:
        stream = out.add_stream("aac", rate=48_000, layout="mono")
        tone = np.sin(np.arange(48_000) * 2 * np.pi * 440 / 48_000).astype(np.float32)
        for start in range(0, len(tone) - 1024, 1024):
            frame = av.AudioFrame.from_ndarray(
                tone[None, start : start + 1024], format="fltp", layout="mono"
            )
            frame.sample_rate, frame.pts = 48_000, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return target


def without_size(target: Path) -> Path:
    """Write raw pictures, whose header alone says how large they are, and make it say 0 x 0."""
    with av.open(str(target), "w", format="avi") as out:
        stream = out.add_stream("rawvideo", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        for number in range(6):
            frame = av.VideoFrame(160, 90, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    said = (160).to_bytes(4, "little") + (90).to_bytes(4, "little")
    target.write_bytes(target.read_bytes().replace(said, bytes(8)))
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
