"""Which jobs explore, and with which provider: exact, unpredictable, and the same for ever.

Drawing each job with 5 % gives between 0 and 12 explorations in a hundred. Here every block of
twenty jobs of one effect type has one explored slot, placed by a keyed hash: five in each aligned
hundred, and nobody without the key can tell which. A retry or a replay of the same job number gives
the same answer, so the decision needs no memory.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final, TypeVar

from msgspec import Struct

BLOCK: Final = 20
"""Jobs in a block, one of them explored: 5 %."""

_RANGE_BITS: Final = 64

Arm = TypeVar("Arm", bound=str)


class Slot(Struct, frozen=True, kw_only=True):
    """A job's place in its block."""

    block: int
    place: int
    explores: bool


def slot_of(*, effect_type: str, number: int, key: bytes, size: int = BLOCK) -> Slot:
    """Return the place of the job with this running number of its effect type.

    >>> slots = [slot_of(effect_type="upscale", number=n, key=b"k") for n in range(100)]
    >>> sum(slot.explores for slot in slots)
    5
    """
    block, place = divmod(number, size)
    chosen = _draw(key, "slot", effect_type, str(block)) * size >> _RANGE_BITS
    return Slot(block=block, place=place, explores=place == chosen)


def arm_of(
    weights: Mapping[Arm, float], *, effect_type: str, number: int, key: bytes
) -> Arm | None:
    """Return the arm this job explores, each as likely as its weight; ``None`` without any.

    The arms are taken in the order of their names, so that the mapping's own order is no matter.
    """
    total = sum(weights.values())
    if total <= 0.0:
        return None
    left = _draw(key, "arm", effect_type, str(number)) / (1 << _RANGE_BITS) * total
    names = sorted(name for name, weight in weights.items() if weight > 0.0)
    for name in names[:-1]:
        left -= weights[name]
        if left < 0.0:
            return name
    return names[-1]


def _draw(key: bytes, *parts: str) -> int:
    digest = hmac.new(key, "\x1f".join(parts).encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[: _RANGE_BITS // 8], "big")
