"""What each look does to pixels, as one number that moves when it does it.

A number compares the result with the clip the provider was given. Frames are RGB in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]
Measure = Callable[[Frames, Frames], float]

CELL: Final = 8
"""Side of a pixelated cell: the shipped graph keeps an eighth of the detail."""


class Look(NamedTuple):
    """A look to order, what is measured, and from where on it counts as done."""

    effect: str
    look: str
    measure: Measure
    least: float
    wish: str = ""


def frames_of(clip: Path) -> Frames:
    """Return every frame of a clip."""
    with av.open(str(clip)) as source:
        decoded = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    return np.stack(decoded).astype(np.float32) / 255.0


def grey(frames: Frames) -> Frames:
    """Return luma."""
    return np.asarray(frames @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def chroma(frames: Frames) -> Frames:
    """Return how far from grey each pixel is, on two axes."""
    luma = grey(frames)
    return np.stack([frames[..., 2] - luma, frames[..., 0] - luma], axis=-1)


def restless(frames: Frames) -> float:
    """Return the change from frame to frame."""
    return float(np.abs(np.diff(grey(frames), axis=0)).mean())


def steps(frames: Frames) -> float:
    """Return the mean step between neighbours in a row."""
    return float(np.abs(np.diff(frames, axis=2)).mean())


def more_warmth(before: Frames, after: Frames) -> float:
    """Red minus blue, gained."""
    gained = (after - before).mean(axis=(0, 1, 2))
    return float(gained[0] - gained[2])


def more_noise(before: Frames, after: Frames) -> float:
    """Change from frame to frame, ratio: grain is new in each."""
    return restless(after) / restless(before)


def more_light(before: Frames, after: Frames) -> float:
    """Mean luma, gained."""
    return float((grey(after) - grey(before)).mean())


def more_cells(before: Frames, after: Frames) -> float:
    """Ratio of the steps at the borders of cells to those within them."""
    return _at_borders(after) / _at_borders(before)


def fewer_colours(before: Frames, after: Frames) -> float:
    """Share of the picture in its sixteen most frequent tones, gained."""
    return _in_few_tones(after) - _in_few_tones(before)


def worn_tape(before: Frames, after: Frames) -> float:
    """Change from frame to frame, ratio, if the colours are paler too."""
    return more_noise(before, after) if less_colour(before, after) > 0.05 else 0.0


def outlines(before: Frames, after: Frames) -> float:
    """Light that is gone where shapes have their borders, beyond that of flat places."""
    middle = len(before) // 2
    luma = grey(before[middle : middle + 1])[0]
    slope = cv2.morphologyEx(luma, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    lost = luma - grey(after[middle : middle + 1])[0]
    steep, flat = slope > np.percentile(slope, 75), slope < np.percentile(slope, 25)
    return float(lost[steep].mean() - lost[flat].mean())


def more_edges(before: Frames, after: Frames) -> float:
    """Ratio of the steps in luma."""
    return steps(grey(after)) / steps(grey(before))


def darker_corners(before: Frames, after: Frames) -> float:
    """Share of the corners' light that is gone, beyond that of the middle."""
    lost = after.mean(axis=(0, 3)) / np.maximum(before.mean(axis=(0, 3)), 1e-3)
    rows, columns = lost.shape[0] // 6, lost.shape[1] // 6
    middle = lost[2 * rows : -2 * rows, 2 * columns : -2 * columns].mean()
    return float(middle - lost[:rows, :columns].mean())


def less_colour(before: Frames, after: Frames) -> float:
    """Share of the colour that is gone."""
    return float(1.0 - np.abs(chroma(after)).mean() / np.abs(chroma(before)).mean())


def colours_on_a_line(before: Frames, after: Frames) -> float:
    """How much rounder the cloud of colours was: teal to orange is one line."""
    return _roundness(before) - _roundness(after)


def local_contrast(before: Frames, after: Frames) -> float:
    """Spread against the surroundings, ratio."""
    return _against_surroundings(after) / _against_surroundings(before)


def bars(before: Frames, after: Frames) -> float:
    """Light of the rows in the middle against the rows at top and bottom, which are black."""
    rows = grey(after).mean(axis=(0, 2))
    edge = max(float(rows[:4].max()), float(rows[-4:].max()))
    assert float(grey(before).mean(axis=(0, 2))[:4].mean()) > 0.05, "the clip has bars itself"
    return float(rows[len(rows) // 2]) - edge


def words_at_the_bottom(before: Frames, after: Frames) -> float:
    """Change in the lowest sixth against the change in the upper half."""
    changed = np.abs(after - before).mean(axis=(0, 2, 3)) + 1e-4
    rows = len(changed)
    return float(changed[-rows // 6 :].mean() / changed[: rows // 2].mean())


def calmer(before: Frames, after: Frames) -> float:
    """Share of the change from frame to frame that is gone."""
    return 1.0 - restless(after) / restless(before)


def larger(before: Frames, after: Frames) -> float:
    """Pixels of a frame, ratio."""
    return float(np.prod(after.shape[1:3]) / np.prod(before.shape[1:3]))


def _at_borders(frames: Frames) -> float:
    across = np.abs(np.diff(grey(frames), axis=2)).mean(axis=(0, 1))
    border = np.arange(1, len(across) + 1) % CELL == 0
    return float(across[border].mean() / across[~border].mean())


def _in_few_tones(frames: Frames) -> float:
    tones = (frames[0] * 31).round().astype(np.int64) @ np.array([1024, 32, 1])
    counts = np.sort(np.unique(tones, return_counts=True)[1])
    return float(counts[-16:].sum() / counts.sum())


def _roundness(frames: Frames) -> float:
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(chroma(frames).reshape(-1, 2).T)))
    return float(spread[0] / spread[1])


def _against_surroundings(frames: Frames) -> float:
    luma = grey(frames[:: len(frames) // 4])
    return float(np.mean([(one - cv2.blur(one, (15, 15))).std() for one in luma]))


LOOKS: Final = (
    Look("color_correction", "cinematic_warm", more_warmth, 0.08),
    Look("style_transfer", "film_grain", more_noise, 1.3),
    Look("style_transfer", "glow", more_light, 0.02),
    Look("style_transfer", "pixelate", more_cells, 1.3),
    Look("style_transfer", "posterize", fewer_colours, 0.2),
    Look("style_transfer", "vhs", worn_tape, 1.3),
    Look("style_transfer", "ink", outlines, 0.2),
    Look("style_transfer", "vignette", darker_corners, 0.3),
    Look("style_transfer", "noir", less_colour, 0.6),
    Look("style_transfer", "teal_orange", colours_on_a_line, 0.1),
    Look("detail_enhancement", "crisp", more_edges, 1.1),
    Look("detail_enhancement", "clarity", local_contrast, 1.1),
    Look("motion_enhancement", "smooth", calmer, 0.08),
    Look("framing", "letterbox", bars, 0.2),
    Look("text_overlay", "caption", words_at_the_bottom, 3.0, wish="Guten Abend, 東京"),
    Look("upscale", "upscale_2x", larger, 4.0),
)
"""Every effect type that is sold and offered, and more than eight looks."""
