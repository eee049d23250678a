"""Shots begin where another place is shown, suddenly or little by little, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import cv2
import numpy as np
import pytest

from benchmarks.composed import Join, Trick, compose
from benchmarks.scenery import painted
from benchmarks.shots import Tally
from effectmesh import clips
from media import scenes
from media.frames import load
from media.scenes import Transition
from media.scenes_alike import Views
from media.scenes_gradual import course
from tests.unit.media_analysis.clips import (
    Frame,
    Frames,
    clipped,
    footage,
    pan,
    plain_frame,
    textured,
)

SHOT = 30
LENGTH = 12


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Many small pictures on a busy machine: threads would wait for each other."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


def two_shots(*, step: float = 0.7) -> tuple[list[Frame], list[Frame]]:
    """Return two shots of different places, each with a join's frames to spare."""
    return (
        pan(textured(1), count=SHOT + LENGTH, step=step),
        pan(textured(2), count=SHOT + LENGTH, step=-step),
    )


def joined(mix: Callable[[Frame, Frame, float], Frame]) -> list[Frame]:
    """Return two shots whose frames 30 to 41 are mixed."""
    old, new = two_shots()
    shares = [(at + 1) / (LENGTH + 1) for at in range(LENGTH)]
    between = [
        mix(one, other, share)
        for one, other, share in zip(old[SHOT:], new[:LENGTH], shares, strict=True)
    ]
    return [*old[:SHOT], *between, *new[LENGTH:]]


def dissolved(one: Frame, other: Frame, share: float) -> Frame:
    """Show both pictures at once."""
    return cv2.addWeighted(one, 1 - share, other, share, 0)


def wiped(one: Frame, other: Frame, share: float) -> Frame:
    """Show the new picture on the left."""
    edge = round(one.shape[1] * share)
    return np.hstack((other[:, :edge], one[:, edge:]))


def faded(one: Frame, other: Frame, share: float) -> Frame:
    """Go down to black and up again."""
    picture, light = (one, 1 - 2 * share) if share < 0.5 else (other, 2 * share - 1)
    return clipped(picture * max(0.0, light - 0.1))


@pytest.mark.parametrize(
    ("mix", "kind"), [(dissolved, "dissolve"), (wiped, "dissolve"), (faded, "fade")]
)
def test_a_gradual_join_is_one_boundary_in_its_middle(
    mix: Callable[[Frame, Frame, float], Frame], kind: str
) -> None:
    """Half of the mixed frames look like either shot, so neither may have them all."""
    frames = joined(mix)

    [found] = scenes.transitions(footage(frames))

    assert found.kind == kind
    assert abs(found.at - (SHOT + LENGTH / 2)) <= 2
    assert found.first <= found.at <= found.end
    assert scenes.cuts(footage(frames)) == (found.at,)


@pytest.mark.parametrize("rate", [12, 25, 60])
def test_a_cut_is_exact_at_any_rate(rate: int) -> None:
    """One frame early shows a flash of the wrong scene in every effect cut along it."""
    old, new = two_shots()

    found = scenes.transitions(footage([*old, *new], fps=rate))

    assert found == (Transition(kind="cut", first=len(old), at=len(old), end=len(old)),)


def test_a_cut_between_two_dark_places_is_found() -> None:
    """At night little changes in numbers and everything in the picture."""
    old, new = two_shots()
    dark = [clipped(frame * 0.3) for frame in [*old, *new]]

    assert scenes.cuts(footage(dark)) == (len(old),)


def test_black_bars_do_not_make_two_places_alike() -> None:
    """The strongest edges of a portrait clip in a wide frame are those of its bars."""
    old, new = two_shots()
    barred = [frame.copy() for frame in [*old, *new]]
    for frame in barred:
        frame[:, :60] = frame[:, -60:] = 0
    views = Views(footage(barred))

    assert views.grey[0].shape[1] < 90
    assert scenes.cuts(footage(barred)) == (len(old),)


def test_a_picture_that_is_black_all_over_has_no_bars() -> None:
    """Cut away, nothing would be left to measure."""
    assert scenes.cuts(footage([plain_frame((0, 0, 0))] * 40)) == ()


@pytest.mark.parametrize("size", [(16, 16), (160, 16), (16, 160), (64, 36)])
def test_small_and_odd_pictures_can_be_looked_at(size: tuple[int, int]) -> None:
    """Whatever was let in must not break the analysis."""
    frames = pan(textured(1, size=size), count=20) + pan(textured(2, size=size), count=20)

    assert all(0 < at < 40 for at in scenes.cuts(footage(frames, size=size)))


def flash(frames: list[Frame]) -> None:
    """Light up the whole picture for three frames."""
    for at in range(20, 23):
        frames[at] = clipped(frames[at] + 160.0)


def light_step(frames: list[Frame]) -> None:
    """Halve the light from one frame on."""
    frames[20:] = [clipped(frame * 0.5) for frame in frames[20:]]


def caption(frames: list[Frame]) -> None:
    """Lay a plain bar over a quarter of the picture for a while."""
    for frame in frames[20:34]:
        frame[90:124] = (200, 30, 30)


def passer(frames: list[Frame]) -> None:
    """Let something plain as wide as half the picture cross it."""
    for at, frame in enumerate(frames[20:30]):
        left = -120 + 36 * at
        frame[:, max(0, left) : max(0, left + 120)] = (30, 60, 40)


def grain(frames: list[Frame]) -> None:
    """Lay noise over six frames."""
    dice = np.random.default_rng(5)
    for at in range(20, 26):
        frames[at] = clipped(frames[at] + dice.normal(0, 40, frames[at].shape))


def stutter(frames: list[Frame]) -> None:
    """Stand still for six frames, then jump."""
    frames[20:26] = [frames[19]] * 6


def darkness(frames: list[Frame]) -> None:
    """Lose the picture for three frames."""
    for at in range(20, 23):
        frames[at] = plain_frame((0, 0, 0), size=(240, 136))


@pytest.mark.parametrize(
    "trick",
    [flash, light_step, caption, passer, grain, stutter, darkness],
    ids=lambda t: t.__name__,
)
def test_what_stays_in_one_place_is_no_boundary(trick: Callable[[list[Frame]], None]) -> None:
    """A false boundary cuts an effect in two."""
    frames = [frame.copy() for frame in pan(textured(1), count=48, step=1.0)]
    trick(frames)

    assert scenes.transitions(footage(frames)) == ()


def test_a_clip_that_begins_and_ends_in_darkness_is_one_shot() -> None:
    """Nothing comes before a fade in."""
    frames = pan(textured(1), count=60)
    light = np.clip(np.minimum(np.arange(60), np.arange(60)[::-1]) / 12, 0, 1)

    assert scenes.cuts(footage([clipped(f * s) for f, s in zip(frames, light, strict=True)])) == ()


def test_a_swing_of_the_camera_is_no_cut() -> None:
    """Every frame of it shows another place, so none of them is where a shot begins."""
    swing = [cv2.blur(textured(seed), (60, 1)) for seed in (5, 6)]
    frames = [*pan(textured(1), count=24), *swing, *pan(textured(2), count=24)]

    assert scenes.cuts(footage(frames)) == ()


@pytest.mark.parametrize("step", [0.0, 0.5, 3.0, 12.0])
def test_a_pan_is_no_dissolve(step: float) -> None:
    """Its first and its last picture have nothing in common either."""
    assert scenes.cuts(footage(pan(textured(4), count=70, step=step))) == ()


def test_light_and_place_are_told_apart() -> None:
    """All of detection rests on this."""
    place = textured(1)
    moved = pan(place, count=8, step=3)[-1]
    seen = Views(footage([place, clipped(place * 0.5), moved, textured(2), *[place] * 20]))

    assert seen.alike(0, 1) > 0.8
    assert seen.alike(0, 2) > 0.8
    assert seen.alike(0, 3) < 0.35


def test_comparing_twice_gives_the_same() -> None:
    """What the comparison is given must not be changed by it."""
    # at this size nothing is padded, so the comparison works on what it is given
    pictures = [textured(seed, size=(160, 90)) for seed in range(1, 5)]
    seen, again = (Views(footage([*pictures, *[pictures[0]] * 20])) for _ in range(2))
    for other in (2, 3):
        seen.alike(0, other)

    assert seen.alike(0, 1) == again.alike(0, 1)


def test_a_mix_goes_straight_and_a_pan_does_not() -> None:
    """The difference between a dissolve and a camera move."""
    mixed = Views(footage(joined(dissolved))).grid[SHOT - 1 : SHOT + LENGTH + 1]
    panned = Views(footage(pan(textured(1), count=40, step=9))).grid[10:24]

    assert course(mixed).stray < 0.15
    assert course(mixed).detour < 2
    assert course(panned).stray > 0.3
    assert course(mixed).share[-1] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("count", [1, 15, 16, 70])
def test_spans_cover_the_clip(count: int) -> None:
    """Every frame belongs to exactly one shot."""
    frames: Frames = joined(dissolved)[:count]

    spans = scenes.spans(footage(frames))

    assert spans[0][0] == 0
    assert spans[-1][1] == len(frames)
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert all(first < end for first, end in spans)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("bikes.mp4", (30, 76, 137, 187, 242)),
        ("cityCC0.mpg", (116,)),
        ("bigbuckbunny.mp4", ()),
        ("carphone_pristine.mp4", ()),
    ],
)
def test_real_clips_are_cut_where_they_are(name: str, wanted: tuple[int, ...]) -> None:
    """Known truth, told by looking."""
    assert scenes.cuts(load(clips.find_clip(name))) == wanted


def test_a_short_composed_clip_is_read_rightly() -> None:
    """A slice of the benchmark: ``make bench ONLY=shots`` composes many, with footage."""
    tally = Tally()
    for seed in (3, 4):
        made = compose([painted("shapes"), painted("cells")], seed=seed, shots=4)
        tally.add(scenes.transitions(footage(made.frames)), made.joins, made.tricks)

    assert tally.f1 >= 0.9
    assert tally.found.total() == tally.there.total() > 0
    assert tally.fooled.total() == 0
    assert max(tally.offsets, default=0) <= 0.2


def test_the_same_seed_composes_the_same_clip() -> None:
    """Figures of two days are compared with each other."""
    once, again = (compose([painted("rooms")], seed=8, shots=2) for _ in range(2))

    assert once.joins == again.joins
    assert once.tricks == again.tricks
    assert np.array_equal(np.stack(once.frames), np.stack(again.frames))


def test_scoring_counts_a_place_once_and_a_trick_as_wrong() -> None:
    """A detector that names every frame must not score well."""
    joins = [Join(kind="cut", first=40, end=40), Join(kind="dissolve", first=80, end=100)]
    seen = [Transition(kind="cut", first=at, at=at, end=at) for at in (20, 41, 82, 90, 120)]
    tally = Tally()

    tally.add(seen, joins, [Trick(kind="flash", first=19, end=22)])

    assert (tally.right, tally.missed, tally.wrong) == (1, 0, 3)
    assert tally.offsets == [1]
    assert tally.found == {"dissolve": 1}
    assert tally.fooled == {"flash": 1}
