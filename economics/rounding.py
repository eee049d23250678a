"""The one rounding rule: to the nearest whole unit, halves up.

Rounding always up would be the safer-looking choice, but then the sum of what jobs cost grows past
what the fleet cost by half a unit a booking. To the nearest, the errors cancel.
"""

from __future__ import annotations

import math


def divide(numerator: int, denominator: int) -> int:
    """Return the nearest integer to the quotient, halves up.

    >>> divide(5, 2), divide(-5, 2), divide(7, 3)
    (3, -2, 2)
    """
    return (2 * numerator + denominator) // (2 * denominator)


def whole(value: float) -> int:
    """Return the nearest integer to a measured value, halves up.

    >>> whole(0.5), whole(1.49)
    (1, 1)
    """
    return math.floor(value + 0.5)
