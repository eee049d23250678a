"""Small clips for measuring: real frames, looks put on them, and damage done to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from media.frames import Footage, small_size

Frame = NDArray[np.uint8]
Frames = Sequence[Frame]
FPS = 25


def read_frames(path: Path, *, size: tuple[int, int], first: int, count: int) -> list[Frame]:
    """Decode some frames of a file as BGR pictures of one size."""
    found: list[Frame] = []
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index >= first + count:
                break
            if index >= first:
                scaled = frame.reformat(width=size[0], height=size[1], format="bgr24")
                found.append(scaled.to_ndarray())
    return found


def write_clip(path: Path, frames: Frames, *, crf: int = 18, fps: int = FPS) -> Path:
    """Encode frames as H.264, as a provider would."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "veryfast"}
        for index, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def footage(frames: Frames, *, fps: float = FPS, size: tuple[int, int] | None = None) -> Footage:
    """Return frames as if they had just been decoded, without a file."""
    height, width = frames[0].shape[:2]
    small = size or small_size(width, height)
    sampled = range(min(4, len(frames) - 1), len(frames), 8)
    return Footage(
        width=width,
        height=height,
        duration_ms=len(frames) * 1000.0 / fps,
        times_ms=np.arange(len(frames)) * 1000.0 / fps,
        small=np.stack([cv2.resize(f, small, interpolation=cv2.INTER_AREA) for f in frames]),
        full=tuple(cv2.cvtColor(frames[i], cv2.COLOR_BGR2GRAY) for i in sampled),
        full_at=tuple(sampled),
        colour=tuple(frames[i] for i in sampled),
    )


def plain_frame(colour: tuple[int, int, int], *, size: tuple[int, int] = (160, 90)) -> Frame:
    """Return a picture of one BGR colour."""
    return np.full((size[1], size[0], 3), colour, dtype=np.uint8)


def textured(seed: int, *, size: tuple[int, int] = (240, 136)) -> Frame:
    """Return a picture with shapes of many sizes, the same for the same seed."""
    dice = np.random.default_rng(seed)
    picture = np.zeros((size[1], size[0], 3), np.float32)
    for cells in (4, 9, 20, 60):
        coarse = dice.uniform(0, 255, (cells, cells * 2, 3)).astype(np.float32)
        picture += cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR) / 4
    return np.clip(picture, 0, 255).astype(np.uint8)


def pan(picture: Frame, *, count: int, step: float = 1.5) -> list[Frame]:
    """Return a camera move across a picture that wraps around."""
    size = (picture.shape[1], picture.shape[0])
    return [
        cv2.warpAffine(
            picture,
            np.array([[1, 0, -step * i], [0, 1, 0]], np.float32),
            size,
            borderMode=cv2.BORDER_WRAP,
        )
        for i in range(count)
    ]


def clipped(values: NDArray[np.floating]) -> Frame:
    """Return numbers as pixels."""
    return np.clip(values, 0, 255).astype(np.uint8)


def warm(frame: Frame, amount: float = 1.0) -> Frame:
    """Grade a picture warm, with a little contrast."""
    graded = frame.astype(np.float32)
    graded[..., 2] += 10 * amount
    graded[..., 0] -= 8 * amount
    return clipped((graded - 128) * (1 + 0.1 * amount) + 128)


def low_key(frame: Frame) -> Frame:
    """Darken the shadows."""
    return clipped(255 * (frame / 255.0) ** 1.6)


def dream(frame: Frame) -> Frame:
    """Lay a soft glow over a picture."""
    glow = cv2.GaussianBlur(frame, (0, 0), 8)
    return clipped(255 - (255 - frame.astype(np.float32)) * (255 - glow * 0.6) / 255)


def pixelate(frame: Frame, cell: int = 8) -> Frame:
    """Make a mosaic."""
    height, width = frame.shape[:2]
    tiny = cv2.resize(frame, (width // cell, height // cell), interpolation=cv2.INTER_AREA)
    return cv2.resize(tiny, (width, height), interpolation=cv2.INTER_NEAREST)


def blur(frames: Frames, level: int) -> list[Frame]:
    """Lose detail."""
    sigma = (0.0, 0.8, 1.6, 3.0)[level]
    return [cv2.GaussianBlur(f, (0, 0), sigma) if level else f for f in frames]


def noise(frames: Frames, level: int) -> list[Frame]:
    """Add grain nobody asked for."""
    dice = np.random.default_rng(7)
    sigma = (0, 8, 16, 28)[level]
    return [clipped(f + dice.normal(0, sigma, f.shape)) if level else f for f in frames]


def freeze(frames: Frames, level: int) -> list[Frame]:
    """Stand still for a share of the clip."""
    held = round(len(frames) * (0.0, 0.2, 0.5, 0.95)[level])
    start = (len(frames) - held) // 2
    return [frames[start] if start <= i < start + held else f for i, f in enumerate(frames)]


def drop(frames: Frames, level: int) -> list[Frame]:
    """Repeat the frame before in place of some frames."""
    gone = np.random.default_rng(3).random(len(frames)) < (0.0, 0.15, 0.4, 0.8)[level]
    kept = list(frames)
    for i in range(1, len(kept)):
        if gone[i]:
            kept[i] = kept[i - 1]
    return kept


def flicker(frames: Frames, level: int) -> list[Frame]:
    """Let the light jump from frame to frame."""
    swing = (0.0, 0.03, 0.1, 0.3)[level]
    return [clipped(f * (1 + (swing if i % 2 else -swing))) for i, f in enumerate(frames)]


def shuffle(frames: Frames, level: int) -> list[Frame]:
    """Show frames in the wrong order, within longer and longer groups."""
    size = (1, 2, 5, 12)[level]
    dice = np.random.default_rng(2)
    order: list[int] = []
    for start in range(0, len(frames), size):
        group = list(range(start, min(start + size, len(frames))))
        dice.shuffle(group)
        order += group
    return [frames[i] for i in order]


def wobble(frames: Frames, level: int) -> list[Frame]:
    """Let shapes boil."""
    height, width = frames[0].shape[:2]
    reach = (0.0, 0.7, 2.0, 5.0)[level]
    across, down = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    dice = np.random.default_rng(4)
    waves = [np.sin(down / 14 + dice.random() * 6).astype(np.float32) for _ in frames]
    return [
        cv2.remap(f, across + np.float32(reach) * w, down, cv2.INTER_LINEAR)
        for f, w in zip(frames, waves, strict=True)
    ]


Look = Callable[[Frame], Frame]
Cheat = Callable[[list[Frame]], list[Frame]]
Damage = Callable[[Frames, int], list[Frame]]
DAMAGES: tuple[Damage, ...] = (blur, noise, freeze, drop, flicker, shuffle, wobble)
