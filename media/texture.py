"""What only shows near full size: detail, noise, coding blocks, mosaic, flat areas.

All take full-size luma and answer with one number for each sampled frame; a clip's is their mean.

blockiness  steps on the coder's grid against those off it, after Wang, Bovik and Evans, "Blind
            measurement of blocking artifacts in images" (ICIP 2000)
noise       deviation in the calmest tiles, after Olsen, "Estimation of noise in images" (1993)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from media.frames import Footage, Numbers, Pixels

DETAIL_SIDE: Final = 480
"""Detail is compared at this long side, so that a larger output is not called sharper."""
_BLOCK: Final = 8
_TONES: Final = 17
"""Neighbouring tones a tone is compared with."""
_FLAT_STEP: Final = 1.5
_NOISE_TILE: Final = 12
_CALMEST: Final = 25
"""Noise is read in the calmest quarter of the picture, where there is nothing else."""
_TOP_SHARE: Final = 0.375
_BRIGHT_ENOUGH: Final = 10.0
_TOO_BRIGHT: Final = 245.0
_CONTRAST_FLOOR: Final = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """The texture of a frame or a clip, in units that hold for any clip."""

    detail: float
    """Mean strength of the finest structure, against the contrast."""
    noise: float
    """Deviation in calm areas, in shares of full scale."""
    blockiness: float
    """How much stronger steps are on the coder's 8-pixel grid than off it; 0 is none."""
    mosaic: float
    """How unevenly steps are spread over rows and columns; 1 is all on a few."""
    flatness: float
    """Share of the picture without any structure."""
    spikiness: float
    """Share of the pixels whose tone stands out of the histogram; posterised tones do."""


def detail_size(width: int, height: int) -> tuple[int, int]:
    """Return the size at which two clips are compared; the input's, unless that is large."""
    scale = min(1.0, DETAIL_SIDE / max(width, height))
    return max(2, round(width * scale)), max(2, round(height * scale))


def texture(footage: Footage, size: tuple[int, int]) -> Texture:
    """Measure the sampled frames of a clip at ``size``."""
    return mean_texture(textures(footage, size))


def textures(footage: Footage, size: tuple[int, int]) -> tuple[Texture, ...]:
    """Measure each sampled frame of a clip at ``size``."""
    luma = footage.full or (cv2.cvtColor(footage.small[0], cv2.COLOR_BGR2GRAY),)
    return tuple(_texture(_measure(frame, size)) for frame in luma)


def mean_texture(each: Sequence[Texture]) -> Texture:
    """Return the texture of a clip from its frames'."""
    rows = [[getattr(one, name) for name in Texture.__slots__] for one in each]
    return _texture(np.mean(rows, axis=0).tolist())


def _texture(measured: Sequence[float]) -> Texture:
    detail, noise, blockiness, mosaic, flatness, spikiness = measured
    return Texture(
        detail=detail,
        noise=noise,
        blockiness=blockiness,
        mosaic=mosaic,
        flatness=flatness,
        spikiness=spikiness,
    )


def _measure(luma: Pixels, size: tuple[int, int]) -> tuple[float, ...]:
    picture = _resize(luma, size)
    reduced = picture.astype(np.float32)
    contrast = max(float(reduced.std()), _CONTRAST_FLOOR)
    detail = float(np.abs(cv2.Laplacian(reduced, cv2.CV_32F)).mean()) / contrast
    across, down = np.abs(np.diff(reduced, axis=1)), np.abs(np.diff(reduced, axis=0))
    flat = (across[:-1] < _FLAT_STEP) & (down[:, :-1] < _FLAT_STEP)
    mosaic = (_unevenness(across.sum(axis=0)) + _unevenness(down.sum(axis=1))) / 2
    return (
        detail,
        _noise(reduced),
        _blockiness(luma),
        mosaic,
        float(flat.mean()),
        _spikiness(picture),
    )


def _resize(luma: Pixels, size: tuple[int, int]) -> Pixels:
    if luma.shape == (size[1], size[0]):
        return luma
    smaller = luma.shape[1] > size[0]
    way = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(luma, size, interpolation=way), dtype=np.uint8)


def _spikiness(picture: Pixels) -> float:
    tones = np.bincount(picture.ravel(), minlength=256).astype(np.float64) / picture.size
    smooth = np.convolve(
        np.pad(tones, _TONES // 2, mode="reflect"), np.ones(_TONES) / _TONES, "valid"
    )
    return float(np.abs(tones - smooth).sum()) / 2


def _noise(reduced: Numbers) -> float:
    rest = reduced - cv2.GaussianBlur(reduced, (3, 3), 0)
    rows, columns = (side // _NOISE_TILE * _NOISE_TILE for side in reduced.shape)
    if not rows or not columns:
        return 0.0
    tiled = (rows // _NOISE_TILE, _NOISE_TILE, columns // _NOISE_TILE, _NOISE_TILE)
    spread = rest[:rows, :columns].reshape(tiled).std(axis=(1, 3))
    light = reduced[:rows, :columns].reshape(tiled).mean(axis=(1, 3))
    honest = spread[(light > _BRIGHT_ENOUGH) & (light < _TOO_BRIGHT)]
    if not honest.size:
        return 0.0
    return float(np.percentile(honest, _CALMEST)) / 255.0


def _blockiness(luma: Pixels) -> float:
    picture = luma.astype(np.int16)
    shares = []
    for steps in (np.abs(np.diff(picture, axis=1)), np.abs(np.diff(picture, axis=0)).T):
        profile = steps.mean(axis=0, dtype=np.float64)
        on_grid = np.arange(1, len(profile) + 1) % _BLOCK == 0
        if not on_grid.any():
            return 0.0
        on, off = float(profile[on_grid].mean()), float(profile[~on_grid].mean())
        shares.append(max(0.0, on - off) / (off + 1.0))
    return float(np.mean(shares))


def _unevenness(profile: Numbers) -> float:
    """Return how much of the steps stands on the busiest rows, 0 when spread evenly."""
    total = float(profile.sum())
    if total <= 0 or len(profile) < 8:
        return 0.0
    top = np.sort(profile)[-round(len(profile) * _TOP_SHARE) :]
    return (float(top.sum()) / total - _TOP_SHARE) / (1 - _TOP_SHARE)
