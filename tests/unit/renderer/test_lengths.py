"""How long batches are that were cut, repeated, joined, without counting more than needed."""

from __future__ import annotations

import pytest

from gpu_agent.renderer.nodes.lengths import Count, Cut, Joined, Length, Longest, Loop, Shortest


class Unknown:
    """A clip whose end was not reached yet; counting it is what must be avoided."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.counted = 0

    @property
    def hint(self) -> int:
        """Guess wrongly."""
        return 1000

    def has(self, index: int) -> bool:
        """Read on."""
        return index < self._number

    def total(self) -> int:
        """Count."""
        self.counted += 1
        return self._number


def lengths(clip: Length) -> dict[str, tuple[Length, int]]:
    """Return every kind of length over a clip of ten frames, with what it must be."""
    return {
        "cut": (Cut(clip, 4, 3), 3),
        "cut at the end": (Cut(clip, 8, 5), 2),
        "cut beyond the end": (Cut(clip, 12, 5), 0),
        "loop": (Loop(clip, 3), 30),
        "joined": (Joined(clip, Count(4)), 14),
        "longest": (Longest(clip, Count(12)), 12),
        "shortest": (Shortest((clip, Count(12))), 10),
    }


@pytest.mark.parametrize("clip", [Count(10), Unknown(10)], ids=["known", "unknown"])
@pytest.mark.parametrize("name", list(lengths(Count(10))))
def test_a_length_is_the_same_asked_frame_by_frame_or_as_a_number(name: str, clip: Length) -> None:
    """An encoder asks frame by frame, a node that repeats wants the number."""
    length, wanted = lengths(clip)[name]

    assert length.total() == wanted
    assert [length.has(index) for index in range(32)] == [index < wanted for index in range(32)]


def test_a_part_from_the_front_of_a_clip_costs_no_count() -> None:
    """Twelve frames of an hour must not decode the hour."""
    clip = Unknown(90_000)
    part = Cut(clip, 0, 12)

    assert part.total() == 12
    assert not part.has(12)
    assert clip.counted == 0
    assert part.hint == 12
