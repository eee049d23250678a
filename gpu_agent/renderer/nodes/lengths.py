"""How many frames a batch has: often known, else found out by reading on, at worst by counting."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class Length(Protocol):
    """The number of frames of a batch that may not have been read yet."""

    @property
    def hint(self) -> int:
        """Return a guess that costs nothing."""
        ...

    def has(self, index: int) -> bool:
        """Say whether there is such a frame; costs no more than reading it."""
        ...

    def total(self) -> int:
        """Return the number; costs a pass over the clip where nobody has reached its end yet."""
        ...


class Count(Struct, frozen=True):
    """A number that is known."""

    number: int

    @property
    def hint(self) -> int:
        """Return the number."""
        return self.number

    def has(self, index: int) -> bool:
        """Compare with the number."""
        return index < self.number

    def total(self) -> int:
        """Return the number."""
        return self.number


class Cut(Struct, frozen=True):
    """A part of a batch, from ``start`` on and no longer than ``most``."""

    whole: Length
    start: int
    most: int

    @property
    def hint(self) -> int:
        """Return what the guess of the whole leaves."""
        return max(1, min(self.most, self.whole.hint - self.start))

    def has(self, index: int) -> bool:
        """Look at the whole."""
        return index < self.most and self.whole.has(self.start + index)

    def total(self) -> int:
        """Return what the whole leaves, and count it only where it is shorter than asked for."""
        if self.has(self.most - 1):
            return self.most
        return max(0, self.whole.total() - self.start)


class Loop(Struct, frozen=True):
    """A batch over and over."""

    once: Length
    times: int

    @property
    def hint(self) -> int:
        """Return so many times the guess."""
        return self.once.hint * self.times

    def has(self, index: int) -> bool:
        """Count the batch only where its end was reached."""
        return self.once.has(index) or index < self.total()

    def total(self) -> int:
        """Return so many times the number."""
        return self.once.total() * self.times


class Joined(Struct, frozen=True):
    """One batch after another."""

    first: Length
    second: Length

    @property
    def hint(self) -> int:
        """Return both guesses together."""
        return self.first.hint + self.second.hint

    def has(self, index: int) -> bool:
        """Look at the second where the first has ended."""
        return self.first.has(index) or self.second.has(index - self.first.total())

    def total(self) -> int:
        """Return both numbers together."""
        return self.first.total() + self.second.total()


class Longest(Struct, frozen=True):
    """As long as the longer of two."""

    one: Length
    other: Length

    @property
    def hint(self) -> int:
        """Return the larger guess."""
        return max(self.one.hint, self.other.hint)

    def has(self, index: int) -> bool:
        """Say whether either has it."""
        return self.one.has(index) or self.other.has(index)

    def total(self) -> int:
        """Return the larger number."""
        return max(self.one.total(), self.other.total())


class Shortest(Struct, frozen=True):
    """As long as the shortest of some."""

    some: tuple[Length, ...]

    @property
    def hint(self) -> int:
        """Return the smallest guess."""
        return min(each.hint for each in self.some)

    def has(self, index: int) -> bool:
        """Say whether all have it."""
        return all(each.has(index) for each in self.some)

    def total(self) -> int:
        """Return the smallest number."""
        return min(each.total() for each in self.some)
