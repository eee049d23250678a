"""Numbers follow from the clip, each way that is claimed, and stay within bounds."""

from __future__ import annotations

import pytest

from actors.prompt_generation import core, parameters
from actors.prompt_generation.parameters import HOUSE, SIGNS, Shift, shifted, signs
from schemas.base import JobId
from schemas.video import Analysis, Scene
from tests.builders import analysis
from tests.unit.prompt_generation.world import TEMPLATES, template


def clip(
    *, length: int = 4_000, scenes: int = 1, light: float = 0.45, **changes: object
) -> Analysis:
    """Return a clip that shows nothing special."""
    objects = changes.pop("objects", ())
    of_scene = {name: changes.pop(name) for name in ("people", "text", "camera") if name in changes}
    shots = tuple(
        Scene(
            start_ms=place * length,
            end_ms=(place + 1) * length,
            description="d",
            brightness=light,
            objects=objects,  # type: ignore[arg-type]
            **of_scene,  # type: ignore[arg-type]
        )
        for place in range(scenes)
    )
    still = {"scenes": shots, "dominant_style": "natural", "motion_pattern": "moderate_movement"}
    return analysis(**(still | changes))


@pytest.mark.parametrize(
    ("seen", "shown"),
    [
        (clip(), set()),
        (clip(light=0.1), {"dark"}),
        (clip(light=0.9), {"bright"}),
        (clip(objects=("street", "person")), {"people"}),
        (clip(objects=("Person",)), {"people"}),
        (clip(detected_effects=("text_overlay",)), {"text"}),
        (clip(people=True), {"people"}),
        (clip(text=True), {"text"}),
        (clip(camera="handheld"), {"shaky"}),
        (clip(camera="pan_left"), set()),
        (clip(motion_pattern="static"), {"still"}),
        (clip(motion_pattern="high_movement"), {"fast"}),
        (clip(scenes=9, length=500), {"busy"}),
        (clip(scenes=1, length=500), set()),
        (clip(scenes=0), set()),
    ],
)
def test_signs_are_read_from_the_analysis(seen: Analysis, shown: set[str]) -> None:
    """Each by itself, so that none stands for another."""
    assert signs(seen) == shown


def test_longer_scenes_count_more_for_the_light() -> None:
    """A flash in the dark is not a bright clip."""
    seen = analysis(
        scenes=(
            Scene(start_ms=0, end_ms=9_000, description="d", brightness=0.1),
            Scene(start_ms=9_000, end_ms=10_000, description="d", brightness=1.0),
        ),
        motion_pattern="low_movement",
    )

    assert "dark" in signs(seen)


@pytest.mark.parametrize("sign", sorted(HOUSE))
def test_each_sign_moves_its_numbers_and_no_others(sign: str) -> None:
    """What holds for every effect, one rule after the other."""
    start = Shift(strength=0.5, steps=20, cfg_scale=6.0)
    moved = shifted(start, {}, frozenset({sign}), house=True)

    assert moved.strength == pytest.approx(0.5 + HOUSE[sign].strength)
    assert moved.steps == 20 + HOUSE[sign].steps
    assert moved.cfg_scale == pytest.approx(6.0 + HOUSE[sign].cfg_scale)
    assert shifted(start, {}, frozenset({sign}), house=False) == start


def test_numbers_stay_within_bounds() -> None:
    """A provider refuses what is outside, or paints nonsense."""
    wild = {sign: Shift(strength=9.0, steps=900, cfg_scale=90.0) for sign in SIGNS}
    high = shifted(Shift(strength=1, steps=40, cfg_scale=12), wild, SIGNS, house=True)
    down = {sign: Shift(strength=-9.0, steps=-900, cfg_scale=-90.0) for sign in SIGNS}
    low = shifted(Shift(strength=1, steps=40, cfg_scale=12), down, SIGNS, house=True)

    assert high == Shift(strength=1.0, steps=40, cfg_scale=12.0)
    assert low == Shift(strength=0.05, steps=8, cfg_scale=1.0)


def test_a_style_that_is_a_guess_moves_half_as_much() -> None:
    """Half right is better than wholly wrong."""
    warm = template("color_correction.cinematic_warm")
    [balanced, *_] = warm.variant
    plain_ = core.numbers(warm, balanced, clip()).strength
    sure = core.numbers(warm, balanced, clip(dominant_style="cinematic_warm", style_confidence=0.9))
    guess = core.numbers(
        warm, balanced, clip(dominant_style="cinematic_warm", style_confidence=0.1)
    )

    assert plain_ - sure.strength == pytest.approx(2 * (plain_ - guess.strength), abs=2e-3)


def test_seeds_differ_by_job_template_and_variant() -> None:
    """Two variants with one seed would show one picture twice."""
    made = {
        parameters.seed(JobId(job), template_id, variant)
        for job in ("job_1", "job_2")
        for template_id in ("a", "b")
        for variant in ("x", "y")
    }

    assert len(made) == 8
    assert all(0 <= each < 2**31 for each in made)


@pytest.mark.parametrize("known", TEMPLATES.all(), ids=lambda known: known.id)
def test_every_template_asks_in_two_to_four_ways_whatever_the_clip(known: core.Template) -> None:
    """One way leaves nothing to compare; five is more than are ever tried."""
    every = (frozenset(), SIGNS, *(frozenset({sign}) for sign in SIGNS))

    for shown in every:
        assert 2 <= len(core.variants_for(known, shown)) <= 4
