"""A clip to work on: ten seconds, portrait, Full HD, with sound. The same bytes for everybody."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from numpy.typing import NDArray

WIDTH: Final = 1080
HEIGHT: Final = 1920
RATE: Final = 30
SECONDS: Final = 10
_MARGIN: Final = 400
_SOUND_RATE: Final = 48_000
_PIECE: Final = 1024
_OCTAVES: Final = (8, 32, 128, 512)
_GRAIN: Final = 2.0


def write_portrait(path: Path) -> Path:
    """Write a picture of clouds that a camera wanders over, with grain that never repeats."""
    dice = np.random.default_rng(20260301)
    scene = _clouds(dice)
    grain = dice.normal(0, _GRAIN, (HEIGHT + 64, WIDTH + 64, 1)).astype(np.float32)
    with av.open(str(path), "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "23"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = out.add_stream("aac", rate=_SOUND_RATE, layout="stereo")
        for index in range(RATE * SECONDS):
            y = int(_MARGIN / 2 * (1 + 0.9 * np.sin(index / 20)))
            x = int(_MARGIN / 2 * (1 + 0.9 * np.cos(index / 27)))
            dy, dx = dice.integers(0, 64, 2)
            noisy = scene[y : y + HEIGHT, x : x + WIDTH] + grain[dy : dy + HEIGHT, dx : dx + WIDTH]
            pixels = np.clip(noisy, 0, 255).astype(np.uint8)
            frame = VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = index
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for at in range(0, _SOUND_RATE * SECONDS, _PIECE):
            wave = (np.sin(np.arange(at, at + _PIECE) * 0.05) * 0.3).astype(np.float32)
            piece = AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
            piece.sample_rate, piece.pts, piece.time_base = (
                _SOUND_RATE,
                at,
                Fraction(1, _SOUND_RATE),
            )
            out.mux(sound.encode(piece))
        out.mux(sound.encode(None))
    return path


def _clouds(dice: np.random.Generator) -> NDArray[np.float32]:
    width, height = WIDTH + _MARGIN, HEIGHT + _MARGIN
    scene = np.zeros((height, width, 3), np.float32)
    for octave in _OCTAVES:
        coarse = dice.random((octave * height // width + 1, octave, 3)).astype(np.float32)
        share = (_OCTAVES[0] / octave) ** 0.5
        scene += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 64 * share
    return scene
