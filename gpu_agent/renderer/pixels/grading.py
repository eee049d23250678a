"""Moving the colours of one image towards another's, in CIE Lab or by histograms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gpu_agent.renderer.nodes.values import Pixels

Transfer: TypeAlias = Callable[[Pixels, float], Pixels]
"""Moves one image, whatever its own colours are, by a strength; above 1 it goes beyond."""

_TO_XYZ: Final = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ],
    np.float32,
)
_FROM_XYZ: Final = np.array(
    [
        [3.2404813432005266, -1.5371515162713185, -0.4985363261688878],
        [-0.9692549499965682, 1.8759900014898907, 0.0415559265582928],
        [0.0556466391351772, -0.2040413383665112, 1.0573110696453443],
    ],
    np.float32,
)
_WHITE: Final = np.array([0.95047, 1.0, 1.08883], np.float32)
_EPSILON: Final = 1e-6
_HISTOGRAM_BINS: Final = 256


def to_lab(image: Pixels) -> Pixels:
    """Return an sRGB image in CIE Lab (D65)."""
    linear = np.where(
        image > 0.04045,
        np.power((np.maximum(image, 0) + np.float32(0.055)) / np.float32(1.055), np.float32(2.4)),
        image / np.float32(12.92),
    )
    xyz = linear @ _TO_XYZ.T / _WHITE
    root = np.cbrt(np.maximum(xyz, np.float32(0.008856)))
    f = np.where(xyz > 0.008856, root, np.float32(7.787) * xyz + np.float32(4 / 29))
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def from_lab(lab: Pixels) -> Pixels:
    """Return a Lab image in sRGB, clamped."""
    y = (lab[..., 0] + 16) / 116
    x = lab[..., 1] / 500 + y
    z = np.maximum(y - lab[..., 2] / 200, 0)
    f = np.stack([x, y, z], axis=-1)
    xyz = np.where(f > 0.2068966, f**3, (f - np.float32(4 / 29)) / np.float32(7.787)) * _WHITE
    linear = xyz @ _FROM_XYZ.T
    curved = np.power(np.maximum(linear, np.float32(0.0031308)), np.float32(1 / 2.4))
    srgb = np.where(
        linear > 0.0031308,
        np.float32(1.055) * curved - np.float32(0.055),
        np.float32(12.92) * linear,
    )
    return np.clip(srgb, 0, 1, out=srgb)


def reinhard(source: Pixels, reference: Pixels) -> Transfer:
    """Match mean and spread of each Lab channel (Reinhard et al. 2001)."""
    mean, spread = _moments(source)
    target_mean, target_spread = _moments(reference)
    scale = (target_spread / np.maximum(spread, _EPSILON)).astype(np.float32)

    def move(image: Pixels, strength: float) -> Pixels:
        lab = to_lab(image)
        moved = np.asarray((lab - mean) * scale + target_mean, np.float32)
        return from_lab(_towards(lab, moved, strength))

    return move


def monge_kantorovich(source: Pixels, reference: Pixels) -> Transfer:
    """Match mean and covariance in Lab by the cheapest linear map (Pitie and Kokaram 2007)."""
    mean, covariance = _covariance(source)
    target_mean, target_covariance = _covariance(reference)
    root = _root(covariance)
    inverse = np.linalg.inv(root)
    turn = (inverse @ _root(root @ target_covariance @ root) @ inverse).astype(np.float32)

    def move(image: Pixels, strength: float) -> Pixels:
        lab = to_lab(image)
        moved = np.asarray((lab - mean) @ turn.T + target_mean, np.float32)
        return from_lab(_towards(lab, moved, strength))

    return move


def histogram(source: Pixels, reference: Pixels) -> Transfer:
    """Match the cumulative histogram of each RGB channel."""
    tables = [_matched(source[..., c], reference[..., c]) for c in range(3)]

    def move(image: Pixels, strength: float) -> Pixels:
        moved = np.stack([tables[c][_bin(image[..., c])] for c in range(3)], axis=-1)
        return np.clip(_towards(image, moved, strength), 0, 1)

    return move


METHODS: Final = {
    "reinhard_lab": reinhard,
    "mkl_lab": monge_kantorovich,
    "histogram": histogram,
}


def _towards(image: Pixels, moved: Pixels, strength: float) -> Pixels:
    return moved if strength == 1 else image + (moved - image) * np.float32(strength)


def _moments(image: Pixels) -> tuple[Pixels, Pixels]:
    flat = to_lab(image).reshape(-1, 3)
    return flat.mean(axis=0), flat.std(axis=0, ddof=1)


def _covariance(image: Pixels) -> tuple[Pixels, NDArray[np.float64]]:
    flat = to_lab(image).reshape(-1, 3)
    return flat.mean(axis=0), np.cov(flat.T.astype(np.float64)) + np.eye(3) * _EPSILON


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = vectors @ np.diag(np.sqrt(np.maximum(values, _EPSILON))) @ vectors.T
    return root


def _bin(channel: Pixels) -> NDArray[np.intp]:
    scaled = np.clip(channel, 0, 1) * np.float32(_HISTOGRAM_BINS - 1)
    return scaled.astype(np.intp)


def _matched(source: Pixels, reference: Pixels) -> Pixels:
    shares = [
        np.cumsum(np.bincount(_bin(channel).ravel(), minlength=_HISTOGRAM_BINS)) / channel.size
        for channel in (source, reference)
    ]
    index = np.searchsorted(shares[1], shares[0]).clip(0, _HISTOGRAM_BINS - 1)
    return (index / np.float32(_HISTOGRAM_BINS - 1)).astype(np.float32)
