"""Small clips, made on the spot: a soft gradient with a bright square that moves."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray


def write_clip(path: Path, *, frames: int = 12, width: int = 160, height: int = 90) -> Path:
    """Write an H.264 clip with a title in its metadata, and return its path."""
    with av.open(str(path), "w", format="mp4") as container:
        container.metadata["title"] = "prompt: secret"
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "12", "preset": "veryfast"}
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(_picture(number, width, height), format="rgb24")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def read_clip(path: Path) -> NDArray[np.float64]:
    """Return every frame of a clip as RGB, 0..255."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames).astype(np.float64)


def _picture(number: int, width: int, height: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:height, 0:width]
    picture = np.stack([60 + rows, 40 + columns, 120 + 0 * rows], axis=-1).clip(0, 255)
    # fine stripes, so that whatever blurs or closes gaps shows
    picture[:, ::7] = 200
    left = 10 + 4 * number
    picture[20:50, left : left + 30] = 240
    return picture.astype(np.uint8)
