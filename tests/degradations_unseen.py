"""Damage that was not looked at while the evaluator was made, and looks that are no damage.

The first tells whether the evaluator learnt the list of ``tests.degradations`` by heart.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from tests.degradations import Dice, Frame, Frames, clipped, family, grid, moved, wide


def motion_blur(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Smear sideways."""
    length = max(1, round((1, 4, 8, 14, 24, 40)[level] * max(0.5, wide(frames))))
    kernel = np.ones((1, length), np.float32) / length
    return [np.asarray(cv2.filter2D(f, -1, kernel), np.uint8) for f in frames]


def specks(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Set single pixels to black or white."""
    share = (0, 0.002, 0.006, 0.015, 0.04, 0.1)[level]
    found = []
    for frame in frames:
        picture, hit = frame.copy(), dice.random(frame.shape[:2])
        picture[hit < share / 2] = 0
        picture[hit > 1 - share / 2] = 255
        found.append(picture)
    return found


def chroma_noise(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Add noise to the colours only, in spots."""
    sigma = (0, 6, 12, 22, 36, 60)[level]
    size = (frames[0].shape[1], frames[0].shape[0])
    found = []
    for frame in frames:
        spots = dice.normal(0, sigma, (size[1] // 4, size[0] // 4, 2)).astype(np.float32)
        lab = cv2.cvtColor(frame, cv2.COLOR_BGR2Lab)
        lab[..., 1:] = clipped(lab[..., 1:] + cv2.resize(spots, size))
        found.append(np.asarray(cv2.cvtColor(lab, cv2.COLOR_Lab2BGR), np.uint8))
    return found


def cast(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Lay a colour over everything."""
    shift = (0, 5, 11, 20, 34, 55)[level]
    return [clipped(f + np.array([0.2, 1.0, -0.6]) * shift) for f in frames]


def spots(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Let bright shapes appear that were never there, for a few frames each."""
    count = (0, 1, 2, 4, 8, 16)[level]
    found = [frame.copy() for frame in frames]
    height, width = frames[0].shape[:2]
    for start in range(0, len(found), 6):
        for _ in range(count):
            middle = (int(dice.integers(width)), int(dice.integers(height)))
            colour = tuple(int(part) for part in dice.integers(0, 256, 3))
            for frame in found[start : start + 6]:
                cv2.circle(frame, middle, max(3, width // 28), colour, -1)
    return found


def zoom(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Show only the middle."""
    scale = (1, 0.97, 0.92, 0.84, 0.72, 0.55)[level]
    across, down = grid(frames[0])
    rows, columns = frames[0].shape[:2]
    return [
        moved(f, columns / 2 + (across - columns / 2) * scale, rows / 2 + (down - rows / 2) * scale)
        for f in frames
    ]


def patch_flicker(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Let the light jump in parts of the picture, each for itself."""
    swing = (0, 0.03, 0.07, 0.13, 0.24, 0.42)[level]
    size = (frames[0].shape[1], frames[0].shape[0])
    found = []
    for frame in frames:
        gain = 1 + swing * dice.uniform(-1, 1, (4, 7)).astype(np.float32)
        found.append(clipped(frame * cv2.resize(gain, size)[..., None]))
    return found


def slow(frames: Frames, level: int, dice: Dice) -> list[Frame]:
    """Run slower than the input, so that the end is never reached."""
    speed = (1, 0.9, 0.78, 0.62, 0.42, 0.2)[level]
    return [frames[int(i * speed)] for i in range(len(frames))]


UNSEEN: Final = (
    family(motion_blur, "style_adherence"),
    family(specks, "style_adherence"),
    family(chroma_noise),
    family(cast, "fidelity", "artifacts", "temporal_consistency"),
    family(spots, "style_adherence"),
    family(zoom, "artifacts", "style_adherence", "temporal_consistency"),
    family(patch_flicker, "artifacts", "style_adherence"),
    family(slow, "artifacts", "style_adherence"),
)


def warm(frame: Frame) -> Frame:
    """Grade a picture warm, with a little contrast."""
    graded = frame.astype(np.float32) + np.array([-8, 0, 10], np.float32)
    return clipped((graded - 128) * 1.1 + 128)


def mono(frame: Frame) -> Frame:
    """Take the colour out and put contrast in."""
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return np.repeat(clipped((grey - 110) * 1.15 + 110)[..., None], 3, axis=2)


def low_key(frame: Frame) -> Frame:
    """Let the shadows sink."""
    return clipped(255 * (frame / 255.0) ** 1.6)


def toon(frame: Frame) -> Frame:
    """Draw flat colours with dark outlines."""
    flat = frame
    for _ in range(3):
        flat = np.asarray(cv2.bilateralFilter(flat, 7, 40, 7), np.uint8)
    tones = (flat // 24 * 24 + 12).astype(np.uint8)
    grey = cv2.medianBlur(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), 5)
    lines = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 9, 5)
    return np.asarray(cv2.bitwise_and(tones, tones, mask=lines), np.uint8)


LOOKS: Final = (warm, mono, low_key, toon)
