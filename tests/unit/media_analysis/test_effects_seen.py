"""Effects that were put on real frames are seen, and none in frames as they were."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from media import analysis
from media.effects_seen import RULES
from tests.effects_made import EFFECTS, LOOKS, STRENGTHS
from tests.unit.media_analysis.clips import Frame, footage, plain_frame

AS_IT_WAS = ("color_grade_cool",)
"""What a person sees in the untouched frames: a blue night."""
NEVER_HERE = {"bloom", "color_grade_warm", "teal_orange"}
"""Not looked for, or not to be seen on footage as blue as this one."""


@pytest.fixture(scope="module")
def short(city: list[Frame]) -> list[Frame]:
    """Return a second of towers at night, larger."""
    return [
        np.asarray(cv2.resize(frame, (480, 270), interpolation=cv2.INTER_CUBIC), np.uint8)
        for frame in city
    ]


def seen(frames: list[Frame]) -> tuple[str, ...]:
    """Return the names of the effects in a clip."""
    return analysis.describe(footage(frames)).effects


def test_untouched_footage_has_only_what_it_has(city: list[Frame]) -> None:
    """A false alarm changes what a prompt asks for."""
    assert seen(city) == AS_IT_WAS


@pytest.mark.parametrize("name", sorted(EFFECTS.keys() - NEVER_HERE))
def test_a_strong_effect_is_seen(name: str, short: list[Frame]) -> None:
    """Each rule answers to what it is named after."""
    assert name in RULES
    assert name in seen(EFFECTS[name](short, STRENGTHS - 1))


def test_more_of_an_effect_is_surer(city: list[Frame]) -> None:
    """Confidence means something."""
    weak, strong = (
        analysis.describe(footage(EFFECTS["letterbox"](city, strength))).effect_confidence
        for strength in (0, 2)
    )

    assert 0.5 < weak["letterbox"] < strong["letterbox"] <= 0.95


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (0, 0, 255)])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_an_empty_picture_has_no_surface(colour: tuple[int, int, int], count: int) -> None:
    """Nothing divides by what is not there."""
    found = set(seen([plain_frame(colour)] * count))

    assert found <= {"monochrome", "sepia", "color_grade_warm", "color_grade_cool"}


def test_a_still_is_no_freeze_and_repeats_no_frame(city: list[Frame]) -> None:
    """A photograph stands still by nature."""
    assert not {"freeze", "duplicated_frames"} & set(seen([city[0]] * 30))


def test_no_look_breaks_the_analysis(city: list[Frame]) -> None:
    """Whatever was done to a clip, there is an answer."""
    for look in LOOKS:
        assert analysis.describe(footage([look(frame, 1.4) for frame in city[:6]])).style.name
