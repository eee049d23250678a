"""People are found by faces, on which two detectors and the colour of skin must agree."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from effectmesh.clips import find_clip
from media.faces import LEAST, FaceFinder, people
from tests.unit.media_analysis.clips import Frame, read_frames, textured


@pytest.fixture
def finder() -> FaceFinder:
    """Return the real detectors."""
    return FaceFinder()


def grey(frame: Frame) -> Frame:
    """Return the luma of a frame."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)


def seen(finder: FaceFinder, frames: list[Frame]) -> float:
    """Return how sure it is that somebody is in the frames."""
    return people([finder.confidence(grey(frame), frame) for frame in frames])


def test_a_talking_head_is_a_person(finder: FaceFinder) -> None:
    """He looks away in some frames; that takes nothing away."""
    clip = find_clip("carphone_pristine.mp4")

    assert seen(finder, read_frames(clip, size=(352, 288), first=0, count=100)[::20]) >= 0.6


def test_a_grade_does_not_hide_a_face(finder: FaceFinder) -> None:
    """A warm, a cold and a grey picture of somebody show somebody."""
    clip = find_clip("carphone_pristine.mp4")
    [shown] = read_frames(clip, size=(352, 288), first=0, count=1)
    cold = np.clip(shown + np.array([30.0, 0.0, -25.0]), 0, 255).astype(np.uint8)
    without = np.repeat(grey(shown)[..., None], 3, axis=2)

    for graded in (shown, cold, without):
        assert finder.finds(grey(graded), graded)


def test_a_cartoon_with_a_face_is_no_person(finder: FaceFinder) -> None:
    """Both detectors see the face of this rabbit, which is as grey as the rest of it."""
    clip = find_clip("bigbuckbunny.mp4")
    frames = read_frames(clip, size=(640, 360), first=36, count=14)[::3]
    fooled = [finder.confidence(grey(frame)) for frame in frames]

    assert max(fooled) >= LEAST
    assert seen(finder, frames) < LEAST


@pytest.mark.parametrize("clip", ["cityCC0.mpg", "world.mp4"])
def test_where_nobody_is_nobody_is_seen(finder: FaceFinder, clip: str) -> None:
    """Windows and clouds have faces for one detector alone."""
    frames = read_frames(find_clip(clip), size=(640, 360), first=0, count=150)[::30]

    assert seen(finder, frames) == 0.0


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (31, 31), (2000, 40)])
def test_any_size_is_looked_at(finder: FaceFinder, size: tuple[int, int]) -> None:
    """The detectors stop at pictures smaller than the face they look for."""
    assert finder.confidence(grey(textured(1, size=size))) == 0.0


def test_more_frames_with_a_face_are_surer_but_never_certain() -> None:
    """Frames that are in doubt confirm nothing."""
    assert people([]) == people([0.0, 0.0]) == 0.0
    assert people([0.6, 0.0]) == 0.6
    assert people([0.6, 0.44]) == 0.6
    assert people([0.6, 0.55, 0.0, 0.5]) == 0.8
    assert people([0.7] * 9) == 0.95
