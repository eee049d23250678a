"""Where one shot becomes another little by little: dissolves, wipes, and fades through a plain
picture.

In a dissolve or a wipe every cell goes from its old colour straight to its new one and not back,
which no camera move does for long. A fade is a plain picture with another place on each side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.scenes_alike import Views

SAME_PLACE: Final = 0.4
"""Frames that are more alike than this show the same place."""
_LENGTHS: Final = (4, 6, 9, 13, 18, 25, 34, 46, 62)
"""Frames of a window from old to new; a shorter window in a longer transition does too."""
_LEAST_APART: Final = 14.0
_MOST_STRAY: Final = 0.4
_MOST_BACK: Final = 0.6
_MOST_STEP: Final = 0.5
_MOST_DETOUR: Final = 3.0
_STILL: Final = 14
"""Frames before and after, in which each shot should stay like itself."""
_BEYOND: Final = ((0, 6), (3, 6), (0, 12), (3, 12))
"""Frames before and after, which should not be like each other."""
_LIVELY: Final = 10.0
"""Contrast of a picture that is there in full."""
_GROWS: Final = 0.02
_FADE_REACH: Final = 40
_GAP: Final = 3
_MOST_BLINK: Final = 15
"""Frames; a longer darkness separates even shots of one place."""
_AROUND_DARK: Final = tuple((one, two) for one in (0, 4) for two in (0, 4, 10))


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Frames in which both shots, or neither, are seen; ``middle`` is the first of the new half."""

    first: int
    middle: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How a window of frames gets from its first picture to its last."""

    stray: float
    """How far cells leave the straight way, relative to its length."""
    back: float
    """Share of the way that is gone back again."""
    step: float
    """The largest share of the way gone in one frame."""
    detour: float
    """All that changes from frame to frame, relative to the change in all."""
    share: NDArray[np.float64]
    """How much of the way is gone, frame by frame."""


def course(grid: NDArray[np.float32]) -> Course:
    """Follow each cell of a window from where it starts to where it ends."""
    way = grid[-1] - grid[0]
    energy = (way * way).sum(axis=-1)
    gone = ((grid - grid[0]) * way).sum(axis=-1) / (energy + 1.0)
    off = grid - grid[0] - np.clip(gone, 0, 1)[..., None] * way
    weight = energy / (energy.sum() + 1e-6)
    share = (np.clip(gone, -0.5, 1.5) * weight).sum(axis=(1, 2))
    back = np.clip(-np.diff(np.clip(gone, -0.5, 1.5), axis=0), 0, None).sum(axis=0)
    steps = np.abs(np.diff(grid, axis=0)).sum()
    return Course(
        stray=float(np.sqrt((off * off).sum() / (len(grid) * energy.sum() + 1e-6))),
        back=float((back * weight).sum()),
        step=float(np.diff(share).max()),
        detour=float(steps / (np.abs(way).sum() + 1e-6)),
        share=share.astype(np.float64),
    )


def mixed(views: Views, barred: NDArray[np.bool_]) -> list[Passage]:
    """Return dissolves and wipes, in order. Frames after a ``barred`` step are in no window."""
    found: list[tuple[float, Passage]] = []
    # quick ones stay quick at any rate
    lengths = {length * views.pace for length in _LENGTHS} | set(_LENGTHS)
    for length in sorted(lengths):
        for first in range(0, len(views) - length, max(1, length // 6)):
            passed = _weighed(views, barred, first, first + length)
            if passed is not None:
                found.append(passed)
    kept: list[Passage] = []
    for _, passage in sorted(found, key=lambda each: each[0]):
        if not any(_near(passage, other) for other in kept):
            kept.append(passage)
    return sorted(kept, key=lambda each: each.first)


def _near(one: Passage, other: Passage) -> bool:
    reach = (other.end - other.first) // 2
    return one.end > other.first - reach and one.first < other.end + reach


def _weighed(
    views: Views, barred: NDArray[np.bool_], first: int, end: int
) -> tuple[float, Passage] | None:
    """Return a passage and how little it is like one, or nothing when it is none."""
    if barred[first + 1 : end + 1].any() or views.apart(first, end) < _LEAST_APART:
        return None
    if views.flat[first] or views.flat[end]:
        return None
    seen = course(views.grid[first : end + 1])
    if seen.stray > _MOST_STRAY or seen.back > _MOST_BACK or seen.step > _MOST_STEP:
        return None
    if views.alike(first, end) > SAME_PLACE:
        return None
    middle = first + int(np.argmax(seen.share >= 0.5))
    margin = _margin(views, barred, seen, first, middle, end)
    if margin < 0:
        return None
    return -margin, Passage(first=first + 1, middle=middle, end=end)


def _margin(
    views: Views, barred: NDArray[np.bool_], seen: Course, first: int, middle: int, end: int
) -> float:
    """Weigh what speaks for two shots that mix against what speaks for one that moves.

    The weights are those of a logistic regression over windows of composed and of real clips; the
    constant leans towards saying nothing.
    """
    still = min(end - first, _STILL * views.pace)
    # only as far as the same shot goes
    before = _until(barred[max(0, first - still) : first + 1][::-1], still)
    after = _until(barred[end + 1 : end + 1 + still], still)
    calm = min(views.alike(first - before, first), views.alike(end, end + after))
    linked = views.alike(first, middle) + views.alike(middle, end)
    # what passes by does not stay: the old place comes back
    back_again = max(
        views.alike(first - views.pace * before, end + views.pace * on) for before, on in _BEYOND
    )
    return (
        14.4
        - 17.3 * seen.stray
        - 15.3 * seen.step
        - 10.0 * views.alike(first, end)
        + 6.5 * calm
        - 2.6 * linked
        - 12.1 * back_again
        - 3.25 * min(seen.detour, _MOST_DETOUR)
    )


def _until(barred: NDArray[np.bool_], most: int) -> int:
    found = np.flatnonzero(barred)
    return int(found[0]) if found.size else most


def fades(views: Views) -> list[Passage]:
    """Return passages through black, white or another plain picture, in order."""
    found: list[Passage] = []
    plain = np.flatnonzero(views.plain)
    if not plain.size:
        return found
    for run in np.split(plain, np.flatnonzero(np.diff(plain) > _GAP) + 1):
        passage = _through(views, int(run[0]), int(run[-1]))
        if passage is not None:
            found.append(passage)
    return found


def _through(views: Views, first: int, last: int) -> Passage | None:
    reach = _FADE_REACH * views.pace
    before = _full(views.contrast[max(0, first - reach) : first][::-1])
    after = _full(views.contrast[last + 1 : last + 1 + reach])
    if before is None or after is None:
        return None
    start, end = first - 1 - before, last + 1 + after
    blink = last - first < _MOST_BLINK * views.pace
    if blink and any(views.alike(start - one, end + two) > SAME_PLACE for one, two in _AROUND_DARK):
        return None
    return Passage(first=start + 1, middle=(start + 1 + end) // 2, end=end)


def _full(contrast: NDArray[np.float64]) -> int | None:
    """Return after how many frames the picture is there in full, or nothing."""
    if not len(contrast) or contrast.max() < _LIVELY:
        return None
    grows = np.flatnonzero(np.diff(contrast) <= _GROWS * contrast.max())
    top = int(grows[0]) if grows.size else len(contrast) - 1
    enough = np.flatnonzero(contrast >= _LIVELY)
    return max(top, int(enough[0]))
