"""What the normalised clip looks like: its size and its rate, decided from the source's.

Pure arithmetic, no pixels. ``media.normalize`` carries it out.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from msgspec import Struct

LONG_SIDE: Final = 1920
SHORT_SIDE: Final = 1080
MAX_ASPECT: Final = 4
"""A pixel more oblong than this is a wrong header, not a lens."""

STANDARD_RATES: Final = (
    Fraction(24000, 1001),
    Fraction(24),
    Fraction(25),
    Fraction(30000, 1001),
    Fraction(30),
    Fraction(50),
    Fraction(60000, 1001),
    Fraction(60),
)
_SLOWEST: Final = Fraction(47, 2)
"""Anything slower is shown several times a picture, so that its rhythm stays even."""


class Frame(Struct, frozen=True, kw_only=True):
    """The picture area of the mezzanine, upright.

    ``width`` and ``height`` are what comes out; a picture is first scaled to ``scale_width`` and
    ``scale_height``, then the odd row or column is cut off.
    """

    width: int
    height: int
    scale_width: int
    scale_height: int


def standard_rate(pace: Fraction) -> Fraction:
    """Return the standard frame rate for a clip of this many pictures a second.

    >>> [str(standard_rate(Fraction(pace))) for pace in ("10000/407", "15", "29.96", "240")]
    ['25', '30', '30000/1001', '60']
    """
    wanted = pace
    if pace < _SLOWEST:
        wanted = pace * -(-_SLOWEST // pace)
    return min(STANDARD_RATES, key=lambda rate: max(rate / wanted, wanted / rate))


def fitted(width: int, height: int, *, aspect: Fraction, turned: bool) -> Frame:
    """Return the frame for pictures of this size: square pixels, even sides, within the limits.

    ``aspect`` is the width of a stored pixel over its height; ``turned`` says that the picture is
    shown a quarter turn from how it is stored. Nothing is ever enlarged beyond squaring pixels.

    >>> fitted(720, 405, aspect=Fraction(1), turned=False)
    Frame(width=720, height=404, scale_width=720, scale_height=405)
    """
    wide, high = Fraction(width), Fraction(height)
    if not Fraction(1, MAX_ASPECT) <= aspect <= MAX_ASPECT:
        aspect = Fraction(1)
    if aspect >= 1:
        wide *= aspect
    else:
        high /= aspect
    if turned:
        wide, high = high, wide
    shrink = min(Fraction(1), LONG_SIDE / max(wide, high), SHORT_SIDE / min(wide, high))
    if shrink == 1 and wide.denominator == high.denominator == 1:
        scaled = int(wide), int(high)
        return Frame(
            width=_even(scaled[0]),
            height=_even(scaled[1]),
            scale_width=scaled[0],
            scale_height=scaled[1],
        )
    even = _even(round(wide * shrink)), _even(round(high * shrink))
    return Frame(width=even[0], height=even[1], scale_width=even[0], scale_height=even[1])


def _even(side: int) -> int:
    return max(2, side - side % 2)


class Pace:
    """Spreads pictures over evenly spaced slots: the nearest picture, repeated or left out.

    Each picture fills the slots up to the next one; of two that meet in a slot the later is shown.

    >>> pace = Pace(start=Fraction(0), rate=Fraction(25), total=4)
    >>> [list(pace.until(Fraction(at, 100))) for at in (0, 4, 12)], list(pace.rest())
    ([[], [0], [1, 2]], [3])
    """

    def __init__(self, *, start: Fraction, rate: Fraction, total: int) -> None:
        self._start = start
        self._rate = rate
        self._total = total
        self._next = 0

    def until(self, at: Fraction) -> range:
        """Return the slots that the previous picture fills before one shown at ``at``."""
        return self._fill(round((at - self._start) * self._rate))

    def rest(self) -> range:
        """Return the slots that the last picture fills."""
        return self._fill(self._total)

    def _fill(self, slot: int) -> range:
        slots = range(self._next, max(self._next, min(slot, self._total)))
        self._next = slots.stop
        return slots
