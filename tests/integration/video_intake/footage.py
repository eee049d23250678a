"""Small clips and hostile files, made on the spot.

The picture is dark with a bright top left corner, so that a wrong turn is seen, and a bar that
moves down one row a frame, so that a wrong time is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from numpy.typing import NDArray

WIDTH, HEIGHT = 160, 90
SOUND_RATE = 44_100


def picture(index: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Return one picture, RGB."""
    pixels = np.full((height, width, 3), 40, np.uint8)
    pixels[: height // 2, : width // 2] = (240, 210, 150)
    pixels[index % height, :] = 128
    return pixels


def write_clip(
    path: Path,
    *,
    frames: int = 12,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    rate: Fraction = Fraction(25),
    times_ms: Sequence[int] = (),
    turn: int = 0,
    aspect: Fraction = Fraction(1),
    sound_seconds: float = 0.0,
    sound_from: float = 0.0,
    index_first: bool = False,
    container: str = "mp4",
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    title: str = "",
    transfer: int = 2,
) -> Path:
    """Write a clip; what is not said is ordinary."""
    options = {"movflags": "+faststart"} if index_first else {}
    with av.open(str(path), "w", format=container, options=options) as out:
        if title:
            out.metadata["title"] = title
        video = out.add_stream(codec, rate=rate)
        video.width, video.height, video.pix_fmt = *size, pixel_format
        video.codec_context.time_base = Fraction(1, 1000) if times_ms else 1 / rate
        video.codec_context.thread_count = 1
        video.codec_context.color_trc = transfer
        if aspect != 1:
            video.codec_context.sample_aspect_ratio = aspect
        if turn:
            video.set_display_rotation(turn)
        sound = None
        if sound_seconds:
            sound = out.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for index, at in enumerate(times_ms or range(frames)):
            frame = VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            frame.pts, frame.time_base = at, video.codec_context.time_base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if sound is not None:
            for frame in tone(sound_seconds, start=sound_from):
                out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
    return path


def tone(seconds: float, *, start: float = 0.0) -> list[AudioFrame]:
    """Return a loud hum in pieces."""
    pieces = []
    for at in range(0, int(seconds * SOUND_RATE), 1024):
        wave = np.sin(np.arange(at, at + 1024) * 0.06).astype(np.float32) * 0.5
        piece = AudioFrame.from_ndarray(wave[None, :], format="fltp", layout="mono")
        piece.sample_rate = SOUND_RATE
        piece.pts, piece.time_base = at + int(start * SOUND_RATE), Fraction(1, SOUND_RATE)
        pieces.append(piece)
    return pieces


def write_sound(path: Path) -> Path:
    """Write a file with sound and no picture."""
    with av.open(str(path), "w", format="mp4") as out:
        sound = out.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for piece in tone(0.5):
            out.mux(sound.encode(piece))
        out.mux(sound.encode(None))
    return path


def write_still(path: Path, codec: str) -> Path:
    """Write a single picture, as ``png`` or ``mjpeg``."""
    pixel_format = {"png": "rgb24", "mjpeg": "yuvj420p"}[codec]
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, pixel_format
    encoder.time_base = Fraction(1, 25)
    frame = VideoFrame.from_ndarray(picture(0), format="rgb24").reformat(format=pixel_format)
    frame.pts = 0
    path.write_bytes(b"".join(map(bytes, [*encoder.encode(frame), *encoder.encode(None)])))
    return path


def cut(path: Path, share: float) -> Path:
    """Cut a file off after a share of its bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def seen(path: Path) -> list[VideoFrame]:
    """Decode every picture of a file."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))
