"""The camera's move and the subject's are told apart."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from media.camera import movement
from tests.unit.media_analysis.clips import Frame, footage, textured

SIZE = (240, 136)
COUNT = 20


def seen_through(
    *, pan: float = 0, tilt: float = 0, zoom: float = 1.0, turn: float = 0, shake: float = 0
) -> list[Frame]:
    """Return a camera's view of a large picture, so many pixels and degrees a frame."""
    world = textured(1, size=(720, 410))
    dice = np.random.default_rng(1)
    frames = []
    for at in range(COUNT):
        jolt = dice.normal(0, shake, 2) if shake else np.zeros(2)
        middle = (360 + pan * at + jolt[0], 205 + tilt * at + jolt[1])
        matrix = cv2.getRotationMatrix2D(middle, turn * at, zoom**at)
        matrix[:, 2] += np.array(SIZE) / 2 - middle
        frames.append(np.asarray(cv2.warpAffine(world, matrix, SIZE), np.uint8))
    return frames


def camera(frames: Sequence[Frame]) -> str:
    """Return the move in one word."""
    return movement(footage(frames), 0, len(frames)).camera


@pytest.mark.parametrize(
    ("move", "name"),
    [
        ({"pan": 1.5}, "pan_right"),
        ({"pan": -1.5}, "pan_left"),
        ({"tilt": 1.2}, "tilt_down"),
        ({"tilt": -1.2}, "tilt_up"),
        ({"zoom": 1.01}, "zoom_in"),
        ({"zoom": 0.99}, "zoom_out"),
        ({"turn": 0.5}, "roll"),
        ({"shake": 1.5}, "handheld"),
        ({}, "static"),
    ],
)
def test_each_move_has_its_name(move: dict[str, float], name: str) -> None:
    """The picture goes the other way than the camera."""
    assert camera(seen_through(**move)) == name


def test_numbers_are_widths_and_shares_a_second() -> None:
    """They do not depend on size or rate of the clip."""
    moved = movement(footage(seen_through(pan=1.5), fps=25), 0, COUNT)
    grown = movement(footage(seen_through(zoom=1.01), fps=25), 0, COUNT)

    assert moved.pan == pytest.approx(1.5 * 25 / SIZE[0], rel=0.15)
    assert moved.subject < 0.05 * moved.speed
    assert grown.zoom == pytest.approx(np.log(1.01) * 25, rel=0.2)


@pytest.mark.parametrize("pan", [0.0, 1.2])
def test_a_subject_moves_against_a_camera_that_does_not_or_does(pan: float) -> None:
    """A car that drives by is no pan."""
    empty, frames = seen_through(pan=pan), seen_through(pan=pan)
    for at, frame in enumerate(frames):
        left = 20 + 5 * at
        frame[40:90, left : left + 60] = textured(9, size=(60, 50))

    driven, calm = (movement(footage(each), 0, COUNT) for each in (frames, empty))

    assert driven.camera == ("static" if pan == 0 else "pan_right")
    assert driven.pan == pytest.approx(calm.pan, abs=0.02)
    assert driven.subject > 10 * calm.subject + 0.01
    assert 0.05 < driven.subject_share < 0.4


@pytest.mark.parametrize("count", [1, 2])
def test_very_short_shots_have_an_answer(count: int) -> None:
    """One frame does not move."""
    moved = movement(footage(seen_through(pan=1.5)[:count]), 0, count)

    assert moved.camera == ("static" if count == 1 else "pan_right")


def test_a_picture_without_structure_does_not_move() -> None:
    """There is nothing to tell it by."""
    grey = [np.full((90, 160, 3), 120 + at % 2, np.uint8) for at in range(COUNT)]

    assert camera(grey) == "static"
