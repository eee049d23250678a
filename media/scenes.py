"""Where the shots of a clip begin.

A cut is a frame that shows another place than the one before, while the frames around each of the
two stay with it: a flash or a passing object returns to what was there, a whip of the camera
changes frame after frame, a new shot does neither. Gradual transitions are in ``scenes_gradual``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from media.frames import Footage
from media.scenes_alike import Views
from media.scenes_gradual import SAME_PLACE, fades, mixed

Kind = Literal["cut", "dissolve", "fade"]

MIN_SCENE_FRAMES: Final = 8
_LEAST_CHANGE: Final = 5.0
_RATIO: Final = 1.8
_CALM: Final = 0.5
"""Added to the neighbours' change, so that a still clip has no cut at every tremor."""
_WINDOW: Final = 3
"""Neighbours on each side that a change is compared with."""
_RETURNS: Final = ((0, 3), (3, 0), (2, 2), (0, 6), (6, 0), (0, 12), (12, 0), (6, 6))
"""How many frames before and after a cut are compared too: none may show one place."""
_WHIP_REACH: Final = 5
_WHIP_STEPS: Final = 2
"""With so many other steps to another place nearby, it is the camera that swings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One shot becomes the next. ``first`` to ``end`` are the frames in which neither is alone.

    In a cut there are none. ``at`` is where the next shot begins: the middle.
    """

    kind: Kind
    first: int
    at: int
    end: int


def transitions(footage: Footage) -> tuple[Transition, ...]:
    """Return every cut, dissolve or wipe, and fade, in order."""
    if len(footage) < 2 * MIN_SCENE_FRAMES:
        return ()
    views = Views(footage)
    faded = [
        Transition(kind="fade", first=each.first, at=each.middle, end=each.end)
        for each in fades(views)
    ]
    sharp = [
        Transition(kind="cut", first=at, at=at, end=at)
        for at in _cuts(views)
        # darkness is another place than either shot, twice
        if not any(fade.first - 1 <= at <= fade.end + 1 for fade in faded)
    ]
    known = _spaced([], (*faded, *sharp), len(footage))
    barred = np.zeros(len(footage), dtype=bool)
    for each in known:
        barred[each.first : each.end + 1] = True
    slow = [
        Transition(kind="dissolve", first=each.first, at=each.middle, end=each.end)
        for each in mixed(views, barred)
    ]
    return tuple(_spaced(known, slow, len(footage)))


def cuts(footage: Footage) -> tuple[int, ...]:
    """Return the index of the first frame of every shot but the first."""
    return tuple(each.at for each in transitions(footage))


def spans(footage: Footage) -> tuple[tuple[int, int], ...]:
    """Return first and last-plus-one frame of every shot; together they are the whole clip."""
    edges = (0, *cuts(footage), len(footage))
    return tuple(pairwise(edges))


def _spaced(
    known: Sequence[Transition], more: Sequence[Transition], frames: int
) -> list[Transition]:
    """Add those that leave each shot its least length; what is known stays."""
    kept = list(known)
    for each in more:
        edges = (0, frames, *(other.at for other in kept))
        if min(abs(each.at - edge) for edge in edges) >= MIN_SCENE_FRAMES:
            kept.append(each)
    return sorted(kept, key=lambda each: each.at)


def _cuts(views: Views) -> list[int]:
    change = np.abs(np.diff(views.grid, axis=0)).mean(axis=(1, 2)).sum(axis=-1)
    change = np.concatenate(([0.0], change)).astype(np.float64)
    return [
        int(at)
        for at in np.flatnonzero(change >= _LEAST_CHANGE)
        if _stands_out(change, int(at)) and _another_place(views, int(at))
    ]


def _stands_out(change: NDArray[np.float64], at: int) -> bool:
    around = np.concatenate((change[max(1, at - _WINDOW) : at], change[at + 1 : at + 1 + _WINDOW]))
    return bool(change[at] >= _RATIO * (float(np.median(around)) + _CALM))


def _another_place(views: Views, at: int) -> bool:
    before = at - 1
    if views.plain[before] or views.plain[at]:
        return False
    if views.alike(before, at) > SAME_PLACE:
        return False
    pace = views.pace
    if any(views.alike(before - pace * one, at + pace * two) > SAME_PLACE for one, two in _RETURNS):
        return False
    reach = _WHIP_REACH * pace
    near = range(max(1, at - reach), min(len(views), at + reach + 1))
    others = [step for step in near if step != at and views.alike(step - 1, step) < SAME_PLACE]
    return len(others) < _WHIP_STEPS
