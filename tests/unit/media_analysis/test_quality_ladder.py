"""A short slice of the ladder of damage; ``make bench ONLY=quality`` climbs the whole of it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from media import quality
from media.looks import measure_look
from media.quality import NO_EFFECT, Reference
from tests.degradations import FAMILIES, Family
from tests.degradations_unseen import LOOKS
from tests.unit.media_analysis.clips import Frame, footage

SLICE = (0, 1, 3, 5)
FRAMES = 20


@pytest.fixture(scope="module")
def short(city: list[Frame]) -> list[Frame]:
    """Return less than a second of towers at night."""
    return city[:FRAMES]


@pytest.fixture(scope="module")
def reference(short: list[Frame]) -> Reference:
    """Return the input, measured once."""
    return Reference(footage(short))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_each_step_down_scores_lower(
    family: Family, short: list[Frame], reference: Reference
) -> None:
    """And what the damage has nothing to do with stays where it was."""
    said = [
        quality.evaluate(
            reference, footage(family.at(short, level)), effect_type=NO_EFFECT, look={}
        )
        for level in SLICE
    ]

    assert all(better.composite >= worse.composite for better, worse in pairwise(said))
    assert said[0].composite >= 0.95
    assert said[1].composite > said[2].composite > said[3].composite
    assert said[0].composite - said[3].composite >= 0.05
    for name in family.spares:
        assert abs(getattr(said[-1], name) - getattr(said[0], name)) <= 0.15, name


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.__name__)
def test_a_faithful_look_is_no_damage_and_damage_to_it_is(
    look: object, short: list[Frame], reference: Reference
) -> None:
    """PSNR and MS-SSIM rise when a drawn clip is blurred."""
    assert callable(look)
    styled = [look(frame) for frame in short]
    wanted = measure_look(reference.footage, footage(styled))
    families = {family.name: family for family in FAMILIES}

    def scored(frames: list[Frame]) -> quality.Verdict:
        return quality.evaluate(
            reference, footage(frames), effect_type="style_transfer", look=wanted
        )

    clean = scored(styled)
    worse = [scored(families[name].at(styled, 3)) for name in ("blur", "noise", "boil", "freeze")]

    assert clean.fidelity >= 0.8
    assert clean.artifacts <= 0.15
    assert clean.temporal_consistency >= 0.85
    assert max(each.composite for each in worse) < clean.composite - 0.1


def test_the_same_seed_gives_the_same_damage(short: list[Frame]) -> None:
    """Figures of two days are compared with each other. The coder promises less than the dice."""
    for family in FAMILIES[1:]:
        once, again = family.at(short, 3), family.at(short, 3)

        assert len(once) == len(short)
        assert np.array_equal(np.stack(once), np.stack(again)), family.name
