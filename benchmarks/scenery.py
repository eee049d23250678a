"""Shots to put clips together from: painted pictures a camera moves over, and real footage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.unit.media_analysis.clips import clipped as clipped
from tests.unit.media_analysis.clips import read_frames

Frame = NDArray[np.uint8]
Frames = Sequence[Frame]
Dice = np.random.Generator
Source = Callable[[Dice, int], list[Frame]]
"""Gives as many frames of one shot as asked for."""

SIZE: Final = (320, 180)
_WORLD: Final = (560, 320)
"""How large a picture the camera may look at."""


def painted(kind: str) -> Source:
    """Return a source that paints another picture of a kind each time and moves over it."""
    return partial(_painted, PAINTINGS[kind])


def still(picture: Frame) -> Source:
    """Return a source that moves over one picture."""
    width, height = _WORLD
    scale = max(width / picture.shape[1], height / picture.shape[0])
    grown = cv2.resize(
        picture, None, fx=scale * 1.01, fy=scale * 1.01, interpolation=cv2.INTER_AREA
    )
    top, left = (grown.shape[0] - height) // 2, (grown.shape[1] - width) // 2
    return partial(_moved_over, grown[top : top + height, left : left + width])


def filmed(path: Path, *, first: int, end: int) -> Source:
    """Return a source that plays a part of a shot of a file, forwards and backwards."""
    return partial(_played, read_frames(path, size=SIZE, first=first, count=end - first))


def _painted(paint: Callable[[Dice], Frame], dice: Dice, count: int) -> list[Frame]:
    return _moved_over(paint(dice), dice, count)


def _played(frames: Frames, dice: Dice, count: int) -> list[Frame]:
    start = int(dice.integers(0, max(1, len(frames) - count)))
    there = list(frames[start:])
    both = [*there, *there[-2:0:-1]] or there
    return [both[at % len(both)].copy() for at in range(count)]


def _moved_over(world: Frame, dice: Dice, count: int) -> list[Frame]:
    """Pan, zoom, turn a little, shake, and let one or two things move in front."""
    calm = dice.random() < 0.3
    speed = 0.0 if calm else float(dice.choice([0.3, 0.8, 1.6, 3.0]))
    heading = dice.uniform(0, 2 * np.pi)
    zoom = 0.0 if calm else float(dice.uniform(-0.004, 0.006))
    turn = float(dice.uniform(-0.1, 0.1)) if dice.random() < 0.2 else 0.0
    shake = float(dice.uniform(0.3, 1.2)) if dice.random() < 0.4 else 0.0
    grain = float(dice.uniform(0, 5)) if dice.random() < 0.5 else 0.0
    middle = np.array([_WORLD[0] / 2, _WORLD[1] / 2]) - speed * count / 2 * _unit(heading)
    things = [_thing(dice) for _ in range(int(dice.integers(0, 3)))]
    frames = []
    for at in range(count):
        place = middle + speed * at * _unit(heading) + dice.normal(0, shake + 1e-9, 2)
        matrix = cv2.getRotationMatrix2D(
            (float(place[0]), float(place[1])), turn * at, 1.0 + zoom * at
        )
        matrix[:, 2] += np.array(SIZE) / 2 - place
        shown = cv2.warpAffine(world, matrix, SIZE, borderMode=cv2.BORDER_REFLECT)
        for thing in things:
            thing(shown, at)
        if grain:
            shown = clipped(shown + dice.normal(0, grain, shown.shape))
        frames.append(shown)
    return frames


def _unit(angle: float) -> NDArray[np.float64]:
    return np.array([np.cos(angle), np.sin(angle)])


def _thing(dice: Dice) -> Callable[[Frame, int], None]:
    start = dice.uniform(0, 1, 2) * SIZE
    step = _unit(dice.uniform(0, 2 * np.pi)) * dice.uniform(0.5, 4.0)
    return partial(
        _show_thing,
        start=start,
        step=step,
        radius=int(dice.integers(10, 40)),
        colour=[int(each) for each in dice.integers(0, 255, 3)],
    )


def _show_thing(
    shown: Frame,
    at: int,
    *,
    start: NDArray[np.float64],
    step: NDArray[np.float64],
    radius: int,
    colour: list[int],
) -> None:
    x, y = (start + step * at) % (np.array(SIZE) + 2 * radius) - radius
    cv2.circle(shown, (int(x), int(y)), radius, colour, -1)
    cv2.circle(shown, (int(x), int(y)), radius // 2, [255 - each for each in colour], -1)


def _clouds(dice: Dice) -> Frame:
    width, height = _WORLD
    picture = np.zeros((height, width, 3))
    for cells in (3, 8, 20, 60):
        coarse = dice.uniform(-1, 1, (cells, cells * 2, 3))
        picture += cv2.resize(coarse, _WORLD, interpolation=cv2.INTER_CUBIC) / cells**0.6
    return _graded(picture, dice)


def _graded(picture: NDArray[np.float64], dice: Dice) -> Frame:
    """Give a picture a light and a contrast of its own."""
    spread = (picture - picture.mean()) / (picture.std() + 1e-9)
    return clipped(spread * dice.uniform(22, 60) + dice.uniform(50, 180, 3))


def _shapes(dice: Dice) -> Frame:
    picture = np.full((_WORLD[1], _WORLD[0], 3), dice.uniform(20, 220, 3), np.uint8)
    for _ in range(int(dice.integers(12, 50))):
        corners = (dice.uniform(0, 1, 2) * _WORLD + dice.normal(0, 60, (4, 2))).astype(np.int32)
        cv2.fillPoly(picture, [corners], [int(each) for each in dice.integers(0, 255, 3)])
    return picture


def _towers(dice: Dice) -> Frame:
    """Paint houses with windows under a sky."""
    sky = np.linspace(dice.uniform(100, 250, 3), dice.uniform(30, 200, 3), _WORLD[1])
    picture = clipped(np.repeat(sky[:, None], _WORLD[0], axis=1)).copy()
    left = 0
    while left < _WORLD[0]:
        wide, tall = int(dice.integers(25, 80)), int(dice.integers(60, 280))
        top = _WORLD[1] - tall
        wall = [int(each) for each in dice.integers(20, 160, 3)]
        cv2.rectangle(picture, (left, top), (left + wide, _WORLD[1]), wall, -1)
        lit = [int(each) for each in dice.integers(120, 255, 3)]
        for y in range(top + 6, _WORLD[1], 14):
            for x in range(left + 5, left + wide - 6, 12):
                if dice.random() < 0.6:
                    cv2.rectangle(picture, (x, y), (x + 5, y + 7), lit, -1)
        left += wide
    return picture


def _leaves(dice: Dice) -> Frame:
    """Paint very many small strokes of few colours."""
    ground = dice.uniform(20, 140, 3)
    picture = np.full((_WORLD[1], _WORLD[0], 3), ground, np.uint8)
    for _ in range(1500):
        x, y = (dice.uniform(0, 1, 2) * _WORLD).astype(int)
        axes = (int(dice.integers(2, 14)), int(dice.integers(1, 5)))
        shade = clipped(ground + dice.normal(20, 45, 3))
        angle = float(dice.uniform(0, 180))
        cv2.ellipse(picture, (int(x), int(y)), axes, angle, 0, 360, shade.tolist(), -1)
    return picture


def _rooms(dice: Dice) -> Frame:
    """Paint smooth walls with few edges and a lamp."""
    across, down = np.meshgrid(np.linspace(0, 1, _WORLD[0]), np.linspace(0, 1, _WORLD[1]))
    lamp = np.exp(-(((across - dice.random()) ** 2 + (down - dice.random()) ** 2) / 0.1))
    picture = lamp[..., None] * dice.uniform(20, 140, 3) + dice.uniform(10, 120, 3)
    for _ in range(int(dice.integers(3, 8))):
        corner = (dice.uniform(0, 1, 2) * _WORLD).astype(int)
        size = dice.integers(40, 200, 2)
        picture[corner[1] : corner[1] + size[1], corner[0] : corner[0] + size[0]] *= dice.uniform(
            0.5, 1.4, 3
        )
    return clipped(picture)


def _cells(dice: Dice) -> Frame:
    """Paint regions around random points, each shaded."""
    points = dice.uniform(0, 1, (int(dice.integers(15, 60)), 2)) * _WORLD
    across, down = np.meshgrid(np.arange(_WORLD[0]), np.arange(_WORLD[1]))
    apart = np.hypot(across[..., None] - points[:, 0], down[..., None] - points[:, 1])
    colours = dice.uniform(0, 255, (len(points), 3))
    shade = 1 - 0.5 * apart.min(axis=-1) / apart.min(axis=-1).max()
    return clipped(colours[apart.argmin(axis=-1)] * shade[..., None])


def _pages(dice: Dice) -> Frame:
    """Paint lines of words on paper or on a screen."""
    paper = dice.uniform(180, 250, 3) if dice.random() < 0.6 else dice.uniform(5, 60, 3)
    ink = clipped(255 - paper + dice.normal(0, 25, 3)).tolist()
    picture = np.full((_WORLD[1], _WORLD[0], 3), paper, np.uint8)
    scale = float(dice.uniform(0.35, 0.9))
    for y in range(16, _WORLD[1], int(34 * scale) + 4):
        words = "".join(dice.choice(list("abcdefghiklmnoprstuvw    "), int(dice.integers(20, 70))))
        cv2.putText(picture, words, (10, y), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)
    return picture


PAINTINGS: Final[Mapping[str, Callable[[Dice], Frame]]] = {
    "clouds": _clouds,
    "shapes": _shapes,
    "towers": _towers,
    "leaves": _leaves,
    "rooms": _rooms,
    "cells": _cells,
    "pages": _pages,
}
