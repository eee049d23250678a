"""How the camera moves, and what moves before it.

Between two frames the camera is fitted as a shift, a zoom and a turn to dense flow, again and again
with less weight for what does not follow: that is the subject.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from media.frames import Footage, Numbers, Pixels
from media.motion import Flow

PAIRS: Final = 14
"""Neighbouring frames of a shot that are looked at."""
_EVERY: Final = 4
_SOFT: Final = (1.0, 0.5, 0.25, 0.12, 0.06, 0.06)
"""Pixels of the small frame that a point may be off before it loses weight, round by round."""
_STRUCTURE: Final = 6.0
"""Least slope of the picture at which flow can be believed."""
_LEAST_POINTS: Final = 40
_STILL: Final = 0.013
"""Picture widths a second that a mounted camera seems to move."""
_STILL_ZOOM: Final = 0.018
"""Growth of the picture a second, as a logarithm."""
_STILL_TURN: Final = 0.02
"""Radians a second."""
_SHAKY: Final = 1.0
"""Restlessness against the steady move from which on a camera is held by hand."""
_LEAST_SHAKE: Final = 0.02
_CLEAR: Final = 0.2
_HALF_EDGE: Final = 0.25
"""Mean distance of the points from the middle, in widths: what a zoom moves them by."""
_MOVING: Final = 0.35
"""Pixels of the small frame that a subject moves beyond the camera's move, from frame to frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """Of one shot, a second."""

    speed: float
    """Mean of everything, in picture widths."""
    pan: float
    """Of the camera to the right, in picture widths; left is negative."""
    tilt: float
    """Of the camera downwards, in picture widths; up is negative."""
    zoom: float
    """Growth of the picture, as a logarithm; negative when it shrinks."""
    turn: float
    """Radians."""
    shake: float
    """What the camera moves around its steady move, in picture widths."""
    subject: float
    """Mean speed of what does not follow the camera, over the whole picture, in widths."""
    subject_share: float
    """Share of the picture that does not follow the camera."""

    @property
    def camera(self) -> str:
        """Return the move in one word; direction included."""
        steady = {
            "pan_right" if self.pan > 0 else "pan_left": abs(self.pan) / _STILL,
            "tilt_down" if self.tilt > 0 else "tilt_up": abs(self.tilt) / _STILL,
            "zoom_in" if self.zoom > 0 else "zoom_out": abs(self.zoom) / _STILL_ZOOM,
            "roll": abs(self.turn) / _STILL_TURN,
        }
        name, most = max(steady.items(), key=lambda each: each[1])
        steps = np.hypot(self.pan, self.tilt) + abs(self.zoom) * _HALF_EDGE
        # a subject that fills the picture shakes the fit, not the camera
        clear = self.subject_share < _CLEAR
        if clear and self.shake > _LEAST_SHAKE and self.shake > _SHAKY * steps:
            return "handheld"
        return name if most >= 1 else "static"


STILL: Final = Movement(
    speed=0.0, pan=0.0, tilt=0.0, zoom=0.0, turn=0.0, shake=0.0, subject=0.0, subject_share=0.0
)


def movement(footage: Footage, first: int, end: int) -> Movement:
    """Measure the frames from ``first`` up to ``end``, not included."""
    if end - first < 2:
        return STILL
    flow = Flow()
    found = []
    for at in np.unique(np.linspace(first, end - 2, PAIRS).astype(int)).tolist():
        one, other = (_grey(footage.small[index]) for index in (at, at + 1))
        found.append(_step(one, flow.between(one, other)))
    return _together(np.asarray(found), footage.fps, footage.small.shape[2])


def _grey(frame: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def _step(grey: Pixels, flow: Numbers) -> tuple[float, ...]:
    """Return speed, shift across and down, zoom, turn, and the subject's speed and share."""
    speed = float(np.linalg.norm(flow, axis=2).mean())
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *way) / 4 for way in ((1, 0), (0, 1)))
    slope = cv2.blur(cv2.magnitude(across, down), (5, 5))[::_EVERY, ::_EVERY].ravel()
    rows, columns = grey.shape
    place = np.mgrid[0:rows:_EVERY, 0:columns:_EVERY].astype(np.float64)
    x, y = (place[1] - columns / 2).ravel(), (place[0] - rows / 2).ravel()
    moved = flow[::_EVERY, ::_EVERY].reshape(-1, 2).astype(np.float64)
    seen = slope > _STRUCTURE
    if int(seen.sum()) < _LEAST_POINTS:
        return speed, 0.0, 0.0, 0.0, 0.0, speed, 0.0
    camera = _fit(x[seen], y[seen], moved[seen])
    apart = moved - _flow_of(camera, x, y)
    rest: NDArray[np.float64] = np.hypot(apart[:, 0], apart[:, 1])
    beyond = np.where(seen & (rest > _MOVING), rest, 0.0)
    return speed, *camera, float(beyond.mean()), float((beyond > 0).mean())


def _fit(
    x: NDArray[np.float64], y: NDArray[np.float64], moved: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Return shift across and down, zoom and turn, by reweighted least squares."""
    one, none = np.ones_like(x), np.zeros_like(x)
    design = np.concatenate(
        (np.stack((one, none, x, -y), axis=1), np.stack((none, one, y, x), axis=1))
    )
    target = np.concatenate((moved[:, 0], moved[:, 1]))
    # the median is where most points agree before any is left out
    found = np.array([np.median(moved[:, 0]), np.median(moved[:, 1]), 0.0, 0.0])
    for soft in _SOFT:
        off = (target - design @ found).reshape(2, -1)
        weight = (1 + (np.hypot(*off) / soft) ** 2) ** -2.0
        both = np.concatenate((weight, weight))[:, None] * design
        found = np.linalg.lstsq(both.T @ design, both.T @ target, rcond=None)[0]
    across, down, zoom, turn = found.tolist()
    return across, down, zoom, turn


def _flow_of(
    camera: tuple[float, float, float, float], x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    across, down, zoom, turn = camera
    return np.stack((across + zoom * x - turn * y, down + turn * x + zoom * y), axis=1)


def _together(steps: NDArray[np.float64], fps: float, width: int) -> Movement:
    speed, across, down, zoom, turn, subject, share = np.median(steps, axis=0)
    unsteady = np.hypot(steps[:, 1] - across, steps[:, 2] - down)
    return Movement(
        speed=float(speed * fps / width),
        # the picture goes left when the camera goes right
        pan=float(-across * fps / width),
        tilt=float(-down * fps / width),
        zoom=float(zoom * fps),
        turn=float(turn * fps),
        shake=float(np.median(unsteady) * fps / width),
        subject=float(subject * fps / width),
        subject_share=float(share),
    )
