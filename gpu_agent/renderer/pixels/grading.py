"""Moving the colours of one image towards another's, in CIE Lab or by histograms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Self, TypeAlias

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
# a dozen such arrays live at once while a block is moved, and stay in the cache
_BLOCK_SAMPLES: Final = 1 << 15


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


class Stats(ABC):
    """What is known of the colours of some images, of none at first; more may be added."""

    def __init__(self, image: Pixels | None = None) -> None:
        for block in () if image is None else _blocks(image):
            self._add(block)

    @abstractmethod
    def _add(self, block: Pixels) -> None:
        """Add a part of an image."""

    @abstractmethod
    def __iadd__(self, other: Self) -> Self: ...

    @abstractmethod
    def towards(self, wanted: Self) -> Transfer:
        """Return what moves images with these colours to ``wanted`` ones."""


class _Lab(Stats):
    """Sums over all pixels in Lab, from which mean and covariance follow."""

    def __init__(self, image: Pixels | None = None) -> None:
        self._count = 0
        self._sum = np.zeros(3)
        self._products = np.zeros((3, 3))
        super().__init__(image)

    def _add(self, block: Pixels) -> None:
        flat = to_lab(block).reshape(-1, 3).astype(np.float64)
        self._count += len(flat)
        self._sum += flat.sum(axis=0)
        self._products += flat.T @ flat

    def __iadd__(self, other: Self) -> Self:
        self._count += other._count
        self._sum += other._sum
        self._products += other._products
        return self

    @property
    def mean(self) -> Pixels:
        """Return the mean of each channel."""
        return (self._sum / self._count).astype(np.float32)

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Return the covariance of the channels, as of a sample."""
        outer = np.outer(self._sum, self._sum) / self._count
        covariance: NDArray[np.float64] = (self._products - outer) / max(1, self._count - 1)
        return covariance


class Reinhard(_Lab):
    """Match mean and spread of each Lab channel (Reinhard et al. 2001)."""

    def towards(self, wanted: Self) -> Transfer:
        """Return a shift and a scale for each channel."""
        mean, target_mean = self.mean, wanted.mean
        spread, target_spread = (
            np.sqrt(np.maximum(np.diag(stats.covariance), 0)) for stats in (self, wanted)
        )
        scale = (target_spread / np.maximum(spread, _EPSILON)).astype(np.float32)

        def move(image: Pixels, strength: float) -> Pixels:
            lab = to_lab(image)
            moved = np.asarray((lab - mean) * scale + target_mean, np.float32)
            return from_lab(_between(lab, moved, strength))

        return move


class MongeKantorovich(_Lab):
    """Match mean and covariance in Lab by the cheapest linear map (Pitie and Kokaram 2007)."""

    def towards(self, wanted: Self) -> Transfer:
        """Return a shift and a linear map."""
        mean, target_mean = self.mean, wanted.mean
        own, target = (stats.covariance + np.eye(3) * _EPSILON for stats in (self, wanted))
        root = _root(own)
        inverse = np.linalg.inv(root)
        turn = (inverse @ _root(root @ target @ root) @ inverse).astype(np.float32)

        def move(image: Pixels, strength: float) -> Pixels:
            lab = to_lab(image)
            moved = np.asarray((lab - mean) @ turn.T + target_mean, np.float32)
            return from_lab(_between(lab, moved, strength))

        return move


class Histogram(Stats):
    """Match the cumulative histogram of each RGB channel."""

    def __init__(self, image: Pixels | None = None) -> None:
        self.counts = np.zeros((3, _HISTOGRAM_BINS), np.int64)
        super().__init__(image)

    def _add(self, block: Pixels) -> None:
        for channel in range(3):
            bins = _bin(block[..., channel]).ravel()
            self.counts[channel] += np.bincount(bins, minlength=_HISTOGRAM_BINS)

    def __iadd__(self, other: Self) -> Self:
        self.counts += other.counts
        return self

    def towards(self, wanted: Self) -> Transfer:
        """Return a table for each channel."""
        shares, target = (
            np.cumsum(stats.counts, axis=1) / stats.counts.sum(axis=1, keepdims=True)
            for stats in (self, wanted)
        )
        top = np.float32(_HISTOGRAM_BINS - 1)
        tables = [
            (np.searchsorted(target[c], shares[c]).clip(0, _HISTOGRAM_BINS - 1) / top).astype(
                np.float32
            )
            for c in range(3)
        ]

        def move(image: Pixels, strength: float) -> Pixels:
            moved = np.stack([tables[c][_bin(image[..., c])] for c in range(3)], axis=-1)
            return np.clip(_between(image, moved, strength), 0, 1)

        return move


METHODS: Final[Mapping[str, type[Stats]]] = {
    "reinhard_lab": Reinhard,
    "mkl_lab": MongeKantorovich,
    "histogram": Histogram,
}


def moved(image: Pixels, move: Transfer, strength: float) -> Pixels:
    """Return an image with its colours moved, worked in blocks of rows."""
    out = np.empty_like(image)
    top = 0
    for block in _blocks(image):
        out[top : top + len(block)] = move(block, strength)
        top += len(block)
    return out


def _blocks(image: Pixels) -> Iterator[Pixels]:
    rows = max(1, _BLOCK_SAMPLES // max(1, image[0].size))
    for top in range(0, len(image), rows):
        yield image[top : top + rows]


def _between(image: Pixels, moved: Pixels, strength: float) -> Pixels:
    return moved if strength == 1 else image + (moved - image) * np.float32(strength)


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = vectors @ np.diag(np.sqrt(np.maximum(values, _EPSILON))) @ vectors.T
    return root


def _bin(channel: Pixels) -> NDArray[np.intp]:
    scaled = np.clip(channel, 0, 1) * np.float32(_HISTOGRAM_BINS - 1)
    return scaled.astype(np.intp)
