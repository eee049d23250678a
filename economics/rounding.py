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


def significant(value: float, digits: int = 3) -> int:
    """Return the nearest integer with so many digits, and nothing after them but zeros.

    What is published of a measured value: more digits would make a new manifest of every sample.

    >>> significant(123_456.0), significant(0.4)
    (123000, 0)
    """
    exact = whole(value)
    unit: int = 10 ** max(0, len(str(exact)) - digits)
    return divide(exact, unit) * unit


def whole(value: float) -> int:
    """Return the nearest integer to a measured value, halves up.

    >>> whole(0.5), whole(1.49)
    (1, 1)
    """
    return math.floor(value + 0.5)
