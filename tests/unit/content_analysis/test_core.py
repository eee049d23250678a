"""Words follow from numbers by fixed rules."""

from __future__ import annotations

import pytest

from actors.content_analysis import core
from media.analysis import Shot, Sighting
from media.palette import Light


def light(**changes: float) -> Light:
    """Return ordinary daylight."""
    known = {"brightness": 0.5, "contrast": 0.2, "chroma": 0.2, "warmth": 0.0}
    return Light(**(known | changes))


def sighting(
    *, speed: float = 0.05, frames: int = 100, face: bool = False, **lit: float
) -> Sighting:
    """Return a clip of one shot."""
    seen = light(**lit)
    shot = Shot(
        start_ms=0, end_ms=4000, light=seen, colours=("blue", "orange"), speed=speed, face=face
    )
    return Sighting(
        shots=(shot,),
        duration_ms=4000,
        frames=frames,
        light=seen,
        speed=speed,
        detail=0.4,
        effects=("letterbox",),
    )


@pytest.mark.parametrize(
    ("lit", "style"),
    [
        ({"chroma": 0.01}, "monochrome"),
        ({"brightness": 0.1}, "low_key"),
        ({"brightness": 0.9}, "high_key"),
        ({"chroma": 0.5}, "vivid"),
        ({"warmth": 0.15}, "cinematic_warm"),
        ({"warmth": -0.15}, "cool"),
        ({"chroma": 0.08}, "muted"),
        ({}, "natural"),
    ],
)
def test_style_follows_from_light_and_colour(lit: dict[str, float], style: str) -> None:
    """The names are the ones that templates adjust their strength by."""
    assert core.describe(sighting(**lit)).dominant_style == style


def test_farther_past_the_limit_is_surer_and_never_sure() -> None:
    """A heuristic may not claim what only a model could."""
    _, barely = core.style_of(light(warmth=0.065))
    _, clearly = core.style_of(light(warmth=0.3))

    assert barely < clearly <= 0.75


@pytest.mark.parametrize(
    ("speed", "pattern"),
    [
        (0.0, "static"),
        (0.02, "low_movement"),
        (0.05, "moderate_movement"),
        (0.3, "high_movement"),
    ],
)
def test_motion_has_four_names(speed: float, pattern: str) -> None:
    """Routing and templates know these four."""
    assert core.motion_pattern(speed) == pattern


def test_the_sentence_says_only_what_was_measured() -> None:
    """Light, colours, motion, and a face where one was seen."""
    [plain] = core.describe(sighting(speed=0.3, brightness=0.1)).scenes
    [portrait] = core.describe(sighting(face=True)).scenes

    assert plain.description == "dark, mostly blue and orange, fast motion"
    assert plain.objects == ()
    assert portrait.objects == ("person",)
    assert portrait.description.endswith("a face in view")


def test_effects_are_offered_where_they_make_sense() -> None:
    """A still cannot get smoother motion, a black clip cannot get a style."""
    moving = core.describe(sighting()).eligible_effect_types
    still = core.describe(sighting(speed=0.0)).eligible_effect_types
    black = core.describe(sighting(brightness=0.0)).eligible_effect_types
    short = core.describe(sighting(frames=3)).eligible_effect_types

    anything = {"color_correction", "framing", "text_overlay"}

    assert moving[:3] == ("color_correction", "style_transfer", "motion_enhancement")
    assert set(moving[3:]) == anything - {"color_correction"} | {"detail_enhancement", "upscale"}
    assert set(still) == set(moving) - {"motion_enhancement"}
    assert set(short) == anything | {"detail_enhancement", "upscale"}
    assert set(black) == anything


def test_without_an_object_model_the_answer_is_marked() -> None:
    """Whoever reads it must know that no object was looked for."""
    seen = core.describe(sighting())

    assert seen.degraded
    assert seen.analyzer_version
    assert seen.detected_effects == ("letterbox",)
