"""PSNR and SSIM: for transcodes, where the result should be the input again.

They take coded luma, as libvmaf does. Luma stretched to full range, as scikit-video takes it, gives
1.3 dB less PSNR on the same pair, so whoever compares with published values must say which. They
say little about an effect: blurring a drawn clip raises both, so neither is part of the composite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame

from media.frames import MAX_FRAMES, Numbers, Pixels, UnreadableFootageError

_PEAK: Final = 255.0
_C1: Final = (0.01 * _PEAK) ** 2
_C2: Final = (0.03 * _PEAK) ** 2
_WINDOW: Final = 11
_SIGMA: Final = 1.5
_HALF: Final = _WINDOW // 2
MOST_PSNR: Final = 100.0
"""Said of two equal pictures, whose ratio has no bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """Means over all frames."""

    psnr: float
    ssim: float
    mse: float
    frames: int


def psnr(one: Pixels, other: Pixels) -> float:
    """Return the peak signal to noise ratio in dB.

    >>> import numpy as np
    >>> round(psnr(np.zeros((8, 8), np.uint8), np.full((8, 8), 255, np.uint8)), 6)
    0.0
    """
    error = mse(one, other)
    return MOST_PSNR if error == 0 else min(MOST_PSNR, 10.0 * math.log10(_PEAK**2 / error))


def mse(one: Pixels, other: Pixels) -> float:
    """Return the mean of the squared differences."""
    apart = one.astype(np.float64) - other
    return float(np.mean(apart * apart))


def ssim(one: Pixels, other: Pixels) -> float:
    """Return the structural similarity, 1 for equal pictures.

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
    structural similarity" (2004): Gaussian window of 11 by 11 with a deviation of 1.5, only where
    it lies inside the picture.
    """
    x, y = one.astype(np.float64), other.astype(np.float64)
    mean_x, mean_y = _windowed(x), _windowed(y)
    spread_x = _windowed(x * x) - mean_x**2
    spread_y = _windowed(y * y) - mean_y**2
    shared = _windowed(x * y) - mean_x * mean_y
    alike = ((2 * mean_x * mean_y + _C1) * (2 * shared + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (spread_x + spread_y + _C2)
    )
    return float(alike.mean())


def _windowed(values: Numbers | np.typing.NDArray[np.float64]) -> np.typing.NDArray[np.float64]:
    smooth = cv2.GaussianBlur(values, (_WINDOW, _WINDOW), _SIGMA)
    return np.asarray(smooth[_HALF:-_HALF, _HALF:-_HALF], dtype=np.float64)


def compare(source: Path, result: Path, *, full_range: bool = False) -> Fidelity:
    """Compare two files of one size frame by frame, in coded or in full-range luma.

    Raises:
        UnreadableFootageError: one cannot be decoded, or their sizes differ.
    """
    ratios, alike, errors = [], [], []
    try:
        with av.open(str(source)) as first, av.open(str(result)) as second:
            pairs = zip(first.decode(video=0), second.decode(video=0), strict=False)
            for count, (one, other) in enumerate(pairs):
                if count >= MAX_FRAMES:
                    raise UnreadableFootageError(f"more than {MAX_FRAMES} frames")
                if (one.width, one.height) != (other.width, other.height):
                    raise UnreadableFootageError("the two clips are not of one size")
                x, y = (_luma(frame, full_range=full_range) for frame in (one, other))
                ratios.append(psnr(x, y))
                alike.append(ssim(x, y))
                errors.append(mse(x, y))
    except FFmpegError as error:
        raise UnreadableFootageError(f"the file cannot be decoded: {error.strerror}") from error
    if not ratios:
        raise UnreadableFootageError("no frame can be decoded")
    return Fidelity(
        psnr=float(np.mean(ratios)),
        ssim=float(np.mean(alike)),
        mse=float(np.mean(errors)),
        frames=len(ratios),
    )


def _luma(frame: VideoFrame, *, full_range: bool) -> Pixels:
    """Return full-range grey, or the luma plane as it is coded without the padding of its rows."""
    if full_range:
        return np.asarray(frame.reformat(format="gray").to_ndarray(), dtype=np.uint8)
    planar = frame if frame.format.name.startswith("yuv") else frame.reformat(format="yuv444p")
    plane = planar.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    luma: Pixels = rows[:, : plane.width]
    return luma
