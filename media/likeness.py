"""How alike two fingerprints are. Imports no decoder, so an actor can use it."""

from __future__ import annotations

import re
from typing import Final

NEAR: Final = 0.1
"""At most this share of the bits differs between two copies of one clip."""
FINGERPRINT: Final = re.compile(r"[0-9a-f]{128}")
_BITS_A_DIGIT: Final = 4


def distance(one: str, other: str) -> float:
    """Return the share of bits in which two fingerprints differ; 1 when one is not known.

    >>> distance("0" * 128, "0" * 127 + "1")
    0.001953125
    """
    if not (FINGERPRINT.fullmatch(one) and FINGERPRINT.fullmatch(other)):
        return 1.0
    return (int(one, 16) ^ int(other, 16)).bit_count() / (_BITS_A_DIGIT * len(one))
