"""Damage in measured doses: what a provider does to a clip when something goes wrong.

Each family takes frames and a level from 0, untouched, to 5, ruined, and returns as many frames of
the same size. The same seed gives the same frames, but for ``coding``: of a coder, two runs may
differ by a few levels. ``FAMILIES`` are those the evaluator is held
to; those of ``tests.degradations_unseen`` were not looked at while it was made.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
Frames = Sequence[Frame]
Dice = np.random.Generator
LEVELS: Final = 6
_FPS: Final = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One kind of damage. ``spares`` names the dimensions that must not follow it."""

    name: str
    damage: Callable[[Frames, int, Dice], list[Frame]]
    spares: frozenset[str]

    def at(self, frames: Frames, level: int, *, seed: int = 1) -> list[Frame]:
        """Return the frames, damaged."""
        if level == 0:
            return list(frames)
        return self.damage(frames, level, np.random.default_rng(seed))


def clipped(values: NDArray[np.floating]) -> Frame:
    """Return numbers as pixels."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def wide(frames: Frames) -> float:
    """Return how many times wider than 640 pixels the frames are."""
    return max(frames[0].shape[:2]) / 640.0


# -- detail


def coding(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Spend fewer bits."""
    return recoded(frames, crf=(0, 27, 33, 39, 45, 51)[level])


def recoded(frames: Frames, *, crf: int, codec: str = "libx264") -> list[Frame]:
    """Return frames as they come out of a coder."""
    with tempfile.TemporaryDirectory(prefix="coded-") as folder:
        path = Path(folder) / "clip.mkv"
        height, width = (side // 2 * 2 for side in frames[0].shape[:2])
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=_FPS)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
            for index, picture in enumerate(frames):
                whole = np.ascontiguousarray(picture[:height, :width])
                frame = av.VideoFrame.from_ndarray(whole, format="bgr24")
                frame.pts, frame.time_base = index, Fraction(1, _FPS)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        with av.open(str(path)) as container:
            size = (frames[0].shape[1], frames[0].shape[0])
            return [
                _sized(frame.to_ndarray(format="bgr24"), size)
                for frame in container.decode(video=0)
            ]


def _sized(frame: Frame, size: tuple[int, int]) -> Frame:
    if (frame.shape[1], frame.shape[0]) == size:
        return frame
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)


def blur(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Lose the fine detail."""
    sigma = (0, 0.7, 1.3, 2.2, 3.6, 6.0)[level] * max(0.5, wide(frames))
    return [np.asarray(cv2.GaussianBlur(f, (0, 0), sigma), np.uint8) for f in frames]


def downscale(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Render small and enlarge."""
    factor = 1 + (0, 0.5, 1, 2, 3.5, 6)[level] * max(0.5, wide(frames))
    height, width = frames[0].shape[:2]
    tiny = (max(8, round(width / factor)), max(8, round(height / factor)))
    return [
        np.asarray(
            cv2.resize(
                cv2.resize(f, tiny, interpolation=cv2.INTER_AREA),
                (width, height),
                interpolation=cv2.INTER_LINEAR,
            ),
            np.uint8,
        )
        for f in frames
    ]


def noise(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Add noise, new in every frame."""
    sigma = (0, 4, 8, 14, 24, 40)[level]
    return [clipped(f + dice.normal(0, sigma, f.shape)) for f in frames]


def blocks(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Code every frame as a coarse still picture."""
    quality = (100, 40, 22, 12, 6, 2)[level]
    coded = [cv2.imencode(".jpg", f, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for f in frames]
    return [np.asarray(cv2.imdecode(c, cv2.IMREAD_COLOR), np.uint8) for c in coded]


def banding(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Leave fewer and fewer tones."""
    step = (1, 8, 16, 28, 44, 64)[level]
    return [(f // step * step + step // 2).clip(0, 255).astype(np.uint8) for f in frames]


def halo(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Sharpen too much."""
    gain = (0, 0.6, 1.1, 1.8, 2.7, 4.0)[level]
    found = []
    for frame in frames:
        soft = cv2.GaussianBlur(frame, (0, 0), 1.6 * max(0.5, wide(frames))).astype(np.float32)
        found.append(clipped(frame + gain * (frame - soft)))
    return found


def dropout(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Lose blocks of the picture, others in every frame."""
    share = (0, 0.02, 0.05, 0.1, 0.18, 0.3)[level]
    height, width = frames[0].shape[:2]
    side = max(8, width // 24)
    found = []
    for frame in frames:
        picture = frame.copy()
        for top in range(0, height, side):
            for left in range(0, width, side):
                if dice.random() < share:
                    patch = picture[top : top + side, left : left + side]
                    patch[:] = patch[0, 0]
        found.append(picture)
    return found


def ghosting(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Let earlier frames shine through."""
    share = (0, 0.2, 0.35, 0.5, 0.62, 0.75)[level]
    held = frames[0].astype(np.float32)
    found = []
    for frame in frames:
        held = share * held + (1 - share) * frame
        found.append(clipped(held))
    return found


# -- colour


def hue(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Turn all colours around the circle."""
    degrees = (0, 6, 12, 22, 38, 60)[level]
    found = []
    for frame in frames:
        hsv = cv2.cvtColor(frame, cv2.COLOR_BGR2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + degrees // 2) % 180
        found.append(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8))
    return found


def desaturate(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Take the colour out."""
    return _saturated(frames, (1, 0.85, 0.68, 0.48, 0.25, 0.0)[level])


def oversaturate(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Put too much colour in."""
    return _saturated(frames, (1, 1.2, 1.5, 2.0, 2.8, 4.0)[level])


def _saturated(frames: Frames, amount: float) -> list[Frame]:
    found = []
    for frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[..., None].astype(np.float32)
        found.append(clipped(grey + amount * (frame - grey)))
    return found


def gamma(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Lift the dark tones."""
    power = (1, 0.87, 0.74, 0.6, 0.46, 0.32)[level]
    return [clipped(255 * (f / 255.0) ** power) for f in frames]


def faded(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Take the contrast out."""
    share = (1, 0.85, 0.7, 0.52, 0.34, 0.18)[level]
    mean = float(np.mean(frames[0]))
    return [clipped(mean + share * (f - mean)) for f in frames]


# -- time


def freeze(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Stand still for a share of the clip."""
    held = round(len(frames) * (0, 0.12, 0.27, 0.45, 0.7, 1.0)[level])
    start = (len(frames) - held) // 2
    return [frames[start] if start <= i < start + held else f for i, f in enumerate(frames)]


def judder(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Show every frame for longer and longer, and skip those between."""
    hold = (1, 2, 3, 4, 7, 12)[level]
    return [frames[i // hold * hold] for i in range(len(frames))]


def drop(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Repeat the frame before in place of some, at random."""
    gone = dice.random(len(frames)) < (0, 0.08, 0.2, 0.35, 0.55, 0.8)[level]
    kept = list(frames)
    for i in range(1, len(kept)):
        if gone[i]:
            kept[i] = kept[i - 1]
    return kept


def flicker(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Let the light jump."""
    swing = (0, 0.02, 0.045, 0.09, 0.17, 0.32)[level]
    return [clipped(f * (1 + swing * dice.uniform(-1, 1))) for f in frames]


def shuffle(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Show frames in the wrong order, within longer and longer groups."""
    size = (1, 2, 3, 5, 9, 18)[level]
    order: list[int] = []
    for start in range(0, len(frames), size):
        order += [start + int(at) for at in dice.permutation(min(size, len(frames) - start))]
    return [frames[i] for i in order]


def wobble(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Bend everything in waves that run on."""
    reach = (0, 0.8, 1.8, 3.5, 7.0, 13.0)[level] * wide(frames)
    across, down = grid(frames[0])
    period = frames[0].shape[0] / 5.0
    return [
        moved(f, across + reach * np.sin(2 * np.pi * (down / period + i / 9.0)), down)
        for i, f in enumerate(frames)
    ]


def boil(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Bend everything anew in every frame."""
    reach = (0, 0.7, 1.5, 2.8, 5.0, 9.0)[level] * wide(frames)
    across, down = grid(frames[0])
    size = (frames[0].shape[1], frames[0].shape[0])
    found = []
    for frame in frames:
        field = dice.normal(0, 1, (6, 10, 2)).astype(np.float32)
        bent = cv2.resize(field, size, interpolation=cv2.INTER_CUBIC) * reach
        found.append(moved(frame, across + bent[..., 0], down + bent[..., 1]))
    return found


def shake(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Jolt the camera in every frame."""
    reach = (0, 0.8, 1.8, 3.5, 7.0, 14.0)[level] * wide(frames)
    across, down = grid(frames[0])
    found = []
    for frame in frames:
        right, below = dice.normal(0, reach, 2)
        found.append(moved(frame, across + right, down + below))
    return found


def grid(frame: Frame) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return where each pixel of a frame stands."""
    rows, columns = frame.shape[:2]
    across, down = np.meshgrid(
        np.arange(columns, dtype=np.float32), np.arange(rows, dtype=np.float32)
    )
    return across, down


def moved(frame: Frame, across: NDArray[np.floating], down: NDArray[np.floating]) -> Frame:
    """Return a frame whose pixels are fetched from elsewhere."""
    return np.asarray(
        cv2.remap(
            frame,
            across.astype(np.float32),
            down.astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        ),
        np.uint8,
    )


def family(damage: Callable[[Frames, int, Dice], list[Frame]], *spares: str) -> Family:
    """Return a family named after its function."""
    return Family(name=damage.__name__, damage=damage, spares=frozenset(spares))


FAMILIES: Final = (
    family(coding, "style_adherence"),
    family(blur, "style_adherence", "temporal_consistency"),
    family(downscale, "style_adherence", "temporal_consistency"),
    family(noise, "style_adherence"),
    family(blocks),
    family(banding),
    family(halo, "temporal_consistency"),
    family(dropout, "style_adherence"),
    family(ghosting, "style_adherence"),
    family(hue, "fidelity", "artifacts", "temporal_consistency"),
    family(desaturate, "fidelity", "artifacts", "temporal_consistency"),
    family(oversaturate, "fidelity", "artifacts", "temporal_consistency"),
    family(gamma, "fidelity", "artifacts", "temporal_consistency"),
    family(faded, "fidelity", "artifacts", "temporal_consistency"),
    family(freeze, "artifacts", "style_adherence"),
    family(judder, "artifacts", "style_adherence"),
    family(drop, "artifacts", "style_adherence"),
    family(flicker, "fidelity", "artifacts", "style_adherence"),
    family(shuffle, "artifacts", "style_adherence"),
    family(wobble, "artifacts", "style_adherence"),
    family(boil, "artifacts", "style_adherence"),
    family(shake, "artifacts", "style_adherence"),
)
