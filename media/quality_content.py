"""Content: is it still the same clip, whatever it looks like now?

structure  rank correlation (Spearman) of edge strength on a coarse grid. A look changes how strong
           edges are and hardly which are stronger: the same content gives 0.5 to 1 over fourteen
           looks, other content less than 0.2.
distance   of perceptual hashes: the signs of the lowest frequencies of a cosine transform, after
           Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010).
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from media.frames import Numbers, Pixels

_GRID: Final = (80, 45)


def edge_grid(grey: Pixels) -> Numbers:
    """Return the strength of the edges in the cells of a grid."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (3, 3), 0)
    strength = cv2.magnitude(
        cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    )
    return cv2.resize(strength, _GRID, interpolation=cv2.INTER_AREA).ravel().astype(np.float32)


def rank_correlation(one: Numbers, other: Numbers) -> float:
    """Return Spearman's correlation, 0 when one of them is constant."""
    if float(np.ptp(one)) == 0.0 or float(np.ptp(other)) == 0.0:
        return 0.0
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: Numbers) -> NDArray[np.float64]:
    """Return ranks, the same for equal values."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: NDArray[np.float64] = (np.cumsum(counts) - counts / 2.0)[inverse]
    return ranks


def perceptual_hash(grey: Pixels) -> NDArray[np.bool_]:
    """Return the 63 signs of the lowest frequencies, as pHash takes them."""
    tiny = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    lowest = cv2.dct(tiny)[:8, :8].ravel()[1:]
    return np.asarray(lowest > np.median(lowest))


def hash_distance(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the share of signs that differ."""
    return float((one != other).mean())
