"""What a clip looks like in 64 bytes: near duplicates have near fingerprints.

A perceptual hash (the pHash of Zauner, 2010) of eight pictures: the low frequencies of each one's
cosine transform, compared with their median. Survives another size, rate, codec and container.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

PICTURES: Final = 8
SIDE: Final = 32
"""Each picture is looked at as so many rows and columns of grey."""
_KEPT: Final = 8
_HEX_DIGITS: Final = _KEPT * _KEPT // 4
_FLAT: Final = 4.0
"""Below this spread of grey there is nothing to recognise a picture by."""
_ENOUGH: Final = PICTURES // 2

_STEPS: Final = np.arange(SIDE)
_COSINES: Final = np.cos(np.pi / SIDE * np.outer(np.arange(_KEPT), _STEPS + 0.5))


def picture_hash(grey: NDArray[np.uint8]) -> str:
    """Return the hash of one picture, 16 hexadecimal digits; empty for a flat one."""
    if float(grey.std()) < _FLAT:
        return ""
    waves = _COSINES @ grey.astype(np.float64) @ _COSINES.T
    flat = waves.ravel()
    # the first wave is the brightness, which says nothing of the shapes
    bits = flat > np.median(flat[1:])
    return np.packbits(bits).tobytes().hex()


def fingerprint(pictures: list[NDArray[np.uint8]]) -> str:
    """Return the fingerprint of a clip; empty when most of its pictures are flat."""
    hashes = [picture_hash(grey) for grey in pictures]
    if len(hashes) != PICTURES or sum(map(bool, hashes)) < _ENOUGH:
        return ""
    return "".join(each or "0" * _HEX_DIGITS for each in hashes)
