"""Every effect type is judged, and every judgement has a reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actors.content_analysis import core
from actors.content_analysis.fitting import EFFECT_TYPES, eligibility
from tests.unit.content_analysis.test_core import sighting


def reasons(seen: object, pattern: str = "low_movement") -> dict[str, tuple[bool, str]]:
    """Return judgement and reason by effect type."""
    told = eligibility(seen, pattern)  # type: ignore[arg-type]  # whichever sighting the test has
    return {each.effect_type: (each.eligible, each.reason) for each in told}


@pytest.mark.parametrize("frames", [1, 100])
@pytest.mark.parametrize("brightness", [0.0, 0.5])
@pytest.mark.parametrize("pattern", ["static", "high_movement"])
def test_every_effect_type_has_a_reason(frames: int, brightness: float, pattern: str) -> None:
    """Also the ones that do not fit: a user wants to know why."""
    told = eligibility(sighting(frames=frames, brightness=brightness), pattern)

    assert [each.effect_type for each in told] == list(EFFECT_TYPES)
    assert all(len(each.reason) > 10 for each in told)


def test_a_refusal_says_what_is_missing() -> None:
    """And not merely that it is one."""
    black = reasons(sighting(brightness=0.0))
    short = reasons(sighting(frames=3))
    still = reasons(sighting(), "static")

    assert black["style_transfer"] == (
        False,
        "the clip is almost black, a style would have nothing to show on",
    )
    assert short["style_transfer"][0] is False
    assert "there are 3" in short["style_transfer"][1]
    assert still["motion_enhancement"] == (
        False,
        "nothing moves, so no movement can be made smoother",
    )


def test_reasons_name_what_was_seen() -> None:
    """A soft clip is a better candidate for detail than any clip."""
    soft = reasons(replace(sighting(), effects=("soft_focus", "duplicated_frames")))

    assert "soft" in soft["detail_enhancement"][1]
    assert "repeated" in soft["motion_enhancement"][1]


def test_the_list_and_the_reasons_agree() -> None:
    """Two answers to one question must not differ."""
    said = core.describe(sighting(brightness=0.0))

    assert said.eligible_effect_types == tuple(
        each.effect_type for each in said.eligibility if each.eligible
    )
