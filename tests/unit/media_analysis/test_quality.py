"""The score follows damage and does not follow the effect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from media import quality
from media.frames import load
from media.looks import measure_look
from tests.unit.media_analysis.clips import (
    DAMAGES,
    Cheat,
    Damage,
    Frame,
    Look,
    dream,
    footage,
    freeze,
    low_key,
    noise,
    pan,
    pixelate,
    plain_frame,
    textured,
    warm,
    write_clip,
)

WARM = {"warmth": 0.06, "contrast": 1.09}


def judged(source: list[Frame], result: list[Frame], **look: float) -> quality.Verdict:
    """Score frames as a warm grade, or as the look that is named."""
    return quality.evaluate(
        footage(source),
        footage(result, size=footage(source).small.shape[2:0:-1]),
        effect_type="color_correction",
        look=look or WARM,
    )


def test_the_same_clip_is_faithful_and_clean(city: list[Frame]) -> None:
    """Every scale needs its zero: no number may find fault with a perfect copy."""
    same = judged(city, city)

    assert same.fidelity == pytest.approx(1.0, abs=0.01)
    assert same.artifacts == pytest.approx(0.0, abs=0.01)
    assert same.temporal_consistency == pytest.approx(1.0, abs=0.01)
    assert same.perceptual_hash_distance == pytest.approx(0.0, abs=0.01)


def test_an_unchanged_clip_has_no_style(city: list[Frame]) -> None:
    """A provider that returns its input must not be paid for an effect."""
    assert judged(city, city).style_adherence <= 0.3


@pytest.mark.parametrize("look", [warm, low_key, dream, pixelate])
def test_a_look_is_not_damage(look: Look, city: list[Frame]) -> None:
    """Fidelity must not punish the effect that was asked for."""
    styled = [look(frame) for frame in city]
    wanted = measure_look(footage(city), footage(styled))

    scored = judged(city, styled, **wanted)

    assert scored.fidelity >= 0.8
    assert scored.artifacts <= 0.15
    assert scored.temporal_consistency >= 0.85
    assert scored.style_adherence >= 0.9


@pytest.mark.parametrize("damage", DAMAGES)
def test_more_damage_scores_lower(damage: Damage, city: list[Frame]) -> None:
    """Warp error or frame difference alone would pay for frozen and blurred results."""
    graded = [warm(frame) for frame in city]

    scores = [judged(city, damage(graded, level)).composite for level in range(4)]

    assert scores == sorted(scores, reverse=True)
    assert scores[0] - scores[3] >= 0.15


def test_coarser_coding_scores_lower(city: list[Frame], tmp_path: Path) -> None:
    """A provider could save storage at the user's expense."""
    source = write_clip(tmp_path / "in.mp4", city, crf=16)
    before = load(source)
    scores = []
    for crf in (18, 32, 44):
        after = load(write_clip(tmp_path / f"{crf}.mp4", [warm(f) for f in city], crf=crf))
        scored = quality.evaluate(before, after, effect_type="color_correction", look=WARM)
        scores.append(scored.composite)

    assert scores == sorted(scores, reverse=True)
    assert scores[0] - scores[-1] >= 0.05


@pytest.mark.parametrize(
    "cheat",
    [
        pytest.param(lambda city: [warm(city[0])] * len(city), id="frozen"),
        pytest.param(
            lambda city: [plain_frame((0, 0, 0), size=(320, 180))] * len(city), id="black"
        ),
        pytest.param(lambda city: city, id="unchanged"),
        pytest.param(lambda city: pan(textured(5, size=(320, 180)), count=len(city)), id="other"),
        pytest.param(lambda city: [dream(frame) for frame in city], id="wrong look"),
        pytest.param(lambda city: [warm(frame) for frame in city[::-1]], id="backwards"),
    ],
)
def test_a_cheat_ranks_below_honest_work(cheat: Cheat, city: list[Frame]) -> None:
    """A lightly graded, slightly blurred result is worth more than any trick."""
    honest = [cv2.GaussianBlur(warm(frame, 0.6), (0, 0), 0.5) for frame in city]

    assert judged(city, cheat(city)).composite < judged(city, honest).composite


def test_frozen_time_is_seen_as_such(city: list[Frame]) -> None:
    """The finding tells a person why a good-looking result lost."""
    scored = judged(city, freeze([warm(frame) for frame in city], 3))

    assert scored.temporal_consistency < 0.3
    assert any("stand still" in finding for finding in scored.findings)


def test_still_footage_may_stay_still() -> None:
    """Nothing moves in the input, so nothing can have been frozen."""
    picture = textured(1)
    still = [picture] * 20

    assert judged(still, [warm(picture)] * 20).temporal_consistency >= 0.95


def test_another_length_is_a_finding(city: list[Frame]) -> None:
    """A wrong length lowers the score; it must not stop the scoring."""
    short = judged(city, [warm(frame) for frame in city[:12]])
    whole = judged(city, [warm(frame) for frame in city])

    assert any("lasts 480 ms" in finding for finding in short.findings)
    assert short.composite < whole.composite
    assert short.confidence < whole.confidence


def test_another_size_is_scored_at_the_input_s_size(city: list[Frame]) -> None:
    """Providers may render smaller; the result is compared, and the size is told."""
    smaller = [cv2.resize(warm(f), (240, 134), interpolation=cv2.INTER_AREA) for f in city]

    scored = judged(city, smaller)

    assert scored.known
    assert any("240x134" in finding for finding in scored.findings)
    assert 0.4 < scored.composite < judged(city, [warm(f) for f in city]).composite


def test_twice_the_frame_rate_is_no_damage(city: list[Frame]) -> None:
    """Frames are matched by time, not by number."""
    graded = [warm(frame) for frame in city]
    doubled = [frame for frame in graded for _ in range(2)]
    fast = footage(doubled, fps=50)

    scored = quality.evaluate(footage(city), fast, effect_type="color_correction", look=WARM)

    assert scored.composite == pytest.approx(judged(city, graded).composite, abs=0.03)


def test_one_frame_cannot_be_judged(city: list[Frame]) -> None:
    """Unknown is an answer; a low score would be a claim."""
    scored = judged(city, city[:1])

    assert not scored.known
    assert scored.confidence == 0.0


def test_a_look_nobody_measures_is_told(city: list[Frame]) -> None:
    """A typing error in a provider record must not make every result unknown."""
    scored = judged(city, [warm(frame) for frame in city], **WARM, sparkle=1.0)

    assert scored.style_adherence >= 0.8
    assert any("sparkle" in finding for finding in scored.findings)


def test_without_a_look_any_change_counts_but_less_surely(city: list[Frame]) -> None:
    """A new effect type has no target yet; it must still be comparable."""
    graded = footage([warm(frame) for frame in city])

    scored = quality.evaluate(footage(city), graded, effect_type="zoom", look={})

    assert scored.style_adherence > 0.3
    assert scored.confidence < judged(city, [warm(frame) for frame in city]).confidence


def test_a_damaged_file_is_trusted_less(city: list[Frame]) -> None:
    """What was decoded before the damage is scored, with half the confidence."""
    broken = replace(footage([warm(frame) for frame in city]), damaged=True)

    scored = quality.evaluate(footage(city), broken, effect_type="color_correction", look=WARM)

    assert scored.confidence < 0.5


def test_one_ruined_dimension_cannot_be_bought_back() -> None:
    """The arithmetic mean would give 0.75 for a result that flickers unbearably."""
    assert quality.composite((1.0, 1.0, 1.0, 0.0), "color_correction") < 0.4


@pytest.mark.parametrize("weights", quality.WEIGHTS.values())
def test_weights_add_up(weights: tuple[float, ...]) -> None:
    """Else composites of two effect types would not mean the same."""
    assert sum(weights) == pytest.approx(1.0)


def test_the_same_pixels_give_the_same_numbers(city: list[Frame]) -> None:
    """Scores of two runs are compared with each other."""
    graded = [warm(frame) for frame in city]
    once, again = judged(city, graded), judged(city, graded)

    assert np.isclose(once.composite, again.composite, atol=1e-6)


def test_the_worst_second_is_told(city: list[Frame]) -> None:
    """A result that is ruined for a moment needs somebody to look at that moment."""
    source = [*city, *city[::-1]] * 2
    graded = [warm(frame) for frame in source]
    ruined = [*graded[:50], *noise(graded[50:75], 3), *graded[75:]]

    scored = judged(source, ruined)

    assert len(scored.curve) == 4
    assert [moment.start_ms for moment in scored.worst] == [2_000]
    assert scored.low < scored.composite < scored.high
    assert scored.confidence < judged(source, graded).confidence


def test_a_scene_has_a_score_of_its_own() -> None:
    """One shot may be ruined and the other good."""
    shots = pan(textured(1), count=25), pan(textured(2), count=25)
    graded = [[warm(frame) for frame in shot] for shot in shots]

    scored = judged([*shots[0], *shots[1]], [*graded[0], *noise(graded[1], 3)])

    assert [(scene.start_ms, scene.end_ms) for scene in scored.scenes] == [(0, 1000), (1000, 2000)]
    assert scored.scenes[0].composite > scored.scenes[1].composite + 0.1


def test_a_copy_that_was_asked_for_is_perfect(city: list[Frame]) -> None:
    """With no effect wanted, any change of colour is damage."""
    same, other = (
        quality.evaluate(
            footage(city), footage(frames), effect_type=quality.NO_EFFECT, look={}
        ).composite
        for frames in (city, [warm(frame) for frame in city])
    )

    assert same == pytest.approx(1.0, abs=0.01)
    assert other < 0.9


def test_an_input_is_measured_once_for_many_results(city: list[Frame]) -> None:
    """And gives the numbers it gives alone."""
    reference = quality.Reference(footage(city))
    graded = footage([warm(frame) for frame in city])

    one = quality.evaluate(reference, graded, effect_type="color_correction", look=WARM)

    assert one == judged(city, [warm(frame) for frame in city])
