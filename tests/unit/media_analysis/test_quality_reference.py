"""PSNR and SSIM are the known ones, whatever library computes them."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from media import quality_reference
from media.frames import UnreadableFootageError
from media.quality_vmaf import NoVmafError, vmaf
from tests.unit.media_analysis.clips import Frame, pan, textured, write_clip

SIDE = 40


def grey(seed: int) -> Frame:
    """Return a grey picture with structure."""
    return np.asarray(cv2.cvtColor(textured(seed), cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def slow_ssim(one: Frame, other: Frame) -> float:
    """Write the definition down pixel by pixel, without any library's filter."""
    axis = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(axis, axis) / np.outer(axis, axis).sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = []
    for top in range(one.shape[0] - 10):
        for left in range(one.shape[1] - 10):
            x: NDArray[np.float64] = one[top : top + 11, left : left + 11].astype(np.float64)
            y: NDArray[np.float64] = other[top : top + 11, left : left + 11].astype(np.float64)
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            spread_x = (window * (x - mean_x) ** 2).sum()
            spread_y = (window * (y - mean_y) ** 2).sum()
            shared = (window * (x - mean_x) * (y - mean_y)).sum()
            found.append(
                (2 * mean_x * mean_y + c1)
                * (2 * shared + c2)
                / ((mean_x**2 + mean_y**2 + c1) * (spread_x + spread_y + c2))
            )
    return float(np.mean(found))


def test_psnr_of_a_known_difference() -> None:
    """Ten levels everywhere are an error of 100."""
    one = np.full((SIDE, SIDE), 100, np.uint8)

    assert quality_reference.psnr(one, one + np.uint8(10)) == pytest.approx(
        10 * math.log10(255**2 / 100)
    )
    assert quality_reference.psnr(one, one) == quality_reference.MOST_PSNR


def test_ssim_is_its_definition() -> None:
    """Two that differ in the window or at the border differ in the second digit."""
    one, other = grey(1)[:SIDE, :SIDE], cv2.GaussianBlur(grey(1), (0, 0), 1.2)[:SIDE, :SIDE]
    other = np.asarray(other, dtype=np.uint8)

    assert quality_reference.ssim(one, other) == pytest.approx(slow_ssim(one, other), abs=1e-6)
    assert quality_reference.ssim(one, one) == pytest.approx(1.0)


def test_files_are_compared_frame_by_frame(tmp_path: Path) -> None:
    """A coarser coding is further away; a clip is equal to itself."""
    frames = pan(textured(1), count=6)
    source = write_clip(tmp_path / "a.mp4", frames)
    coarse = write_clip(tmp_path / "b.mp4", frames, crf=45)

    same = quality_reference.compare(source, source)
    worse = quality_reference.compare(source, coarse)

    assert (same.psnr, same.frames) == (quality_reference.MOST_PSNR, 6)
    assert worse.psnr < 40
    assert worse.ssim < same.ssim
    # stretched to full range, the same difference is larger by the ratio of the ranges
    stretched = quality_reference.compare(source, coarse, full_range=True)
    assert worse.psnr - stretched.psnr == pytest.approx(20 * math.log10(255 / 219), abs=0.15)


def test_two_sizes_cannot_be_compared(tmp_path: Path) -> None:
    """Scaling one of them would measure the scaler."""
    frames = pan(textured(1), count=6)
    small = [np.asarray(cv2.resize(frame, (120, 68)), np.uint8) for frame in frames]

    with pytest.raises(UnreadableFootageError, match="one size"):
        quality_reference.compare(
            write_clip(tmp_path / "a.mp4", frames), write_clip(tmp_path / "b.mp4", small)
        )


def a_binary(path: Path, script: str) -> Path:
    """Return a program in place of the real binary."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_number_comes_from_the_log(tmp_path: Path) -> None:
    """The binary is called with files it may open and nothing else; its log is read."""
    log = '{"pooled_metrics": {"vmaf": {"mean": 82.5}, "other": {"mean": 1}}}'
    binary = a_binary(tmp_path / "ffmpeg", f"echo '{log}' > vmaf.json")

    assert vmaf(tmp_path / "a", tmp_path / "b", binary=binary) == 82.5


@pytest.mark.parametrize("script", ["exit 1", "exit 0", "echo no > vmaf.json", "sleep 5"])
def test_a_binary_that_fails_is_no_number(script: str, tmp_path: Path) -> None:
    """An optional metric must not stop the scoring, nor hang it."""
    binary = a_binary(tmp_path / "ffmpeg", script)

    with pytest.raises(NoVmafError):
        vmaf(tmp_path / "a", tmp_path / "b", binary=binary, within_s=0.5)
