"""Time: how a result moves, against how its input does, frame by frame.

Every measure is relative to the input's own motion. On the result alone each of them would pay for
frozen, blurred or dropped frames.

warp      error after motion compensation along the *input's* flow, without the finest detail and
          in units of the clip's own edges, so that blur, halos and grain hardly move it; after Lai
          et al., "Learning blind video temporal consistency" (ECCV 2018), which uses the result's
          own flow
apart     distance of the two flows (DIS: Kroeger et al., ECCV 2016) where there is something to
          see, against the input's speed
along     how far the two flows point the same way; backwards they do not
flicker   second difference in time of the light of coarse cells
smeared   first difference in time of finer cells: what is mixed from several frames changes less
jerk      how long a moving picture is held, after Borer, "A model of jerkiness for temporal
          impairments in video transmission" (QoMEX 2010): a long stop is worse than many short
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from media.frames import Numbers, Pixels
from media.motion import Flow, carry_back

Values = NDArray[np.float64]

_MOVING: Final = 0.35
"""Grey levels from frame to frame above which a clip moves."""
_FROZEN: Final = 0.12
"""Share of the input's change below which a moving pair counts as frozen."""
_HOLD_MS: Final = 100.0
"""A hold of this length is felt as two thirds of a stop."""
_COARSE: Final = (10, 6)
_FINE: Final = (20, 12)
_FINEST: Final = 1.5
"""Detail of so many pixels is left out where only motion matters."""
_EDGE_FLOOR: Final = 0.5
_MOST_PAIRS: Final = 300
"""Most pairs between which flow is measured; in a longer clip they are spread over it."""


@dataclass(frozen=True, slots=True)
class Motion:
    """How a clip moves: what of it does not depend on what it is compared with."""

    grey: Pixels
    flow: dict[int, Numbers]
    change: Values
    """Mean change of each frame to the next."""
    coarse: Numbers
    fine: Numbers


@dataclass(frozen=True, slots=True)
class Moved:
    """Series over the pairs of neighbours ``starts``; not a number where nothing can be said."""

    warp_in: Values
    warp_out: Values
    apart: Values
    speed: Values
    along: Values
    """Product of the two flows, and of their lengths: its cosine says where they point."""
    lengths: Values
    flicker_in: Values
    flicker_out: Values
    change_in: Values
    change_out: Values
    jerk: Values
    frozen: Values


def motion(grey: Pixels, starts: list[int]) -> Motion:
    """Measure grey frames; flow only from the frames ``starts``, as many as it takes."""
    flow = Flow()
    picked = starts[:: max(1, -(-len(starts) // _MOST_PAIRS))]
    steps = [float(np.mean(cv2.absdiff(a, b))) for a, b in zip(grey[1:], grey[:-1], strict=True)]
    return Motion(
        grey=grey,
        flow={i: flow.between(grey[i], grey[i + 1]) for i in picked},
        change=np.asarray(steps),
        coarse=_cells(grey, _COARSE),
        fine=_cells(grey, _FINE),
    )


def edge_strength(grey: Pixels | Numbers) -> Numbers:
    """Return the strength of the edges at every pixel, in grey levels a pixel."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (3, 3), 0)
    return np.asarray(
        cv2.magnitude(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))
        / np.float32(8.0),
        dtype=np.float32,
    )


def moved(before: Motion, after: Motion, times_ms: Values, starts: list[int]) -> Moved:
    """Compare two clips whose frames match, from each of ``starts`` to its neighbour."""
    pairs = len(before.change)
    usable = np.zeros(pairs, dtype=bool)
    usable[starts] = True
    contrast = _contrast(before.coarse, after.coarse)
    moving = usable & (before.change > _MOVING)
    still = moving & (after.change < _FROZEN * before.change * min(contrast, 1.0))
    # after a hold comes a leap; it is counted as a hold, not as wrong motion too
    steady = usable & ~still & ~np.concatenate(([False], still[:-1]))
    warp_in, warp_out, apart, speed, along, lengths = (np.full(pairs, np.nan) for _ in range(6))
    for i, wanted in before.flow.items():
        if not steady[i]:
            continue
        got = after.flow[i]
        weight = edge_strength(before.grey[i]) + np.float32(0.05)
        weight /= weight.sum()
        warp_in[i] = _warp_error(before, i, wanted, weight)
        warp_out[i] = _warp_error(after, i, wanted, weight)
        apart[i] = float((np.linalg.norm(got - wanted, axis=2) * weight).sum())
        length = np.linalg.norm(wanted, axis=2)
        speed[i] = float((length * weight).sum())
        along[i] = float(((got * wanted).sum(axis=2) * weight).sum())
        lengths[i] = float((np.linalg.norm(got, axis=2) * length * weight).sum())
    following = np.concatenate((steady[:-1] & steady[1:], [False])) if pairs else steady
    return Moved(
        warp_in=warp_in,
        warp_out=warp_out,
        apart=apart,
        speed=speed,
        along=along,
        lengths=lengths,
        flicker_in=_where(following, _second(before.coarse)),
        flicker_out=_where(following, _second(after.coarse) / contrast),
        change_in=_where(steady, _first(before.fine)),
        change_out=_where(steady, _first(after.fine) / _contrast(before.fine, after.fine)),
        jerk=_where(moving, _jerk(still, times_ms)),
        frozen=_where(moving, still.astype(np.float64)),
    )


def _warp_error(clip: Motion, i: int, flow: Numbers, weight: Numbers) -> float:
    """Return the error where the input has edges: elsewhere no flow can be told."""
    first, second = _smooth(clip.grey[i]), _smooth(clip.grey[i + 1])
    error = np.abs(carry_back(second, flow) - first)
    edges = float((edge_strength(first) * weight).sum())
    return float((error * weight).sum()) / (edges + _EDGE_FLOOR)


def _smooth(grey: Pixels) -> Numbers:
    """Return a frame without its finest detail."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _FINEST)
    return np.asarray(smooth, dtype=np.float32)


def _contrast(before: Numbers, after: Numbers) -> float:
    """Return how much stronger the large shapes became, within what can be measured."""
    spread = float(before.std(axis=(1, 2)).mean()), float(after.std(axis=(1, 2)).mean())
    return min(max((spread[1] + 0.5) / (spread[0] + 0.5), 0.1), 4.0)


def _cells(grey: Pixels, size: tuple[int, int]) -> Numbers:
    return np.stack(
        [cv2.resize(f.astype(np.float32), size, interpolation=cv2.INTER_AREA) for f in grey]
    )


def _first(cells: Numbers) -> Values:
    change: Values = np.abs(np.diff(cells, axis=0)).mean(axis=(1, 2)).astype(np.float64)
    return change


def _second(cells: Numbers) -> Values:
    """Return the second difference from each frame on; the last pair has none."""
    if len(cells) < 3:
        return np.zeros(max(0, len(cells) - 1))
    jumps = np.abs(cells[2:] - 2 * cells[1:-1] + cells[:-2]).mean(axis=(1, 2))
    return np.concatenate((jumps, [0.0])).astype(np.float64)


def _jerk(still: NDArray[np.bool_], times_ms: Values) -> Values:
    """Return for each held pair how bad its hold is, by how long it lasts."""
    found = np.zeros(len(still))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], still.astype(np.int8), [0]))))
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        held = float(times_ms[last] - times_ms[first])
        found[first:last] = 1.0 - np.exp(-held / _HOLD_MS)
    return found


def _where(told: NDArray[np.bool_], values: Values) -> Values:
    return np.where(told, values, np.nan)
