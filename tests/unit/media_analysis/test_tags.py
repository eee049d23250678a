"""What a scene is said to show: right where the subject is clear, silent where it is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from effectmesh.clips import find_clip
from media.tag_labels import KINDS, THINGS
from media.tag_model import Look, TagModel, find_tag_model
from media.tags import MOST_TAGS, Tag, labels, person
from tests.unit.media_analysis.clips import Frame, read_frames, textured


@pytest.fixture(scope="module")
def model() -> TagModel:
    """Return the real model."""
    found = find_tag_model()
    assert found is not None
    return found


def look(**scores: float) -> Look:
    """Return what a model would say; what is not named has no score."""
    named = {name.replace("_", " "): value for name, value in scores.items()}
    assert set(named) <= {*THINGS, *KINDS}
    return Look(
        scores=dict.fromkeys((*THINGS, *KINDS), 0.0) | named,
        early=np.zeros(144, np.float32),
        semantic=np.zeros(1280, np.float32),
    )


def frames(path: Path, size: tuple[int, int], *, first: int, count: int, step: int) -> list[Frame]:
    """Return every so many frames of a clip."""
    return read_frames(path, size=size, first=first, count=count)[::step]


def test_a_thing_that_holds_up_is_named_and_not_its_kind() -> None:
    """Who reads "cat" need not be told "animal"."""
    assert labels([look(cat=0.9, animal=0.92)] * 3) == (Tag(name="cat", confidence=0.9),)


def test_where_only_the_kind_is_sure_the_kind_is_named() -> None:
    """A street spreads over cars, buses and trams, and is full of vehicles all the same."""
    seen = [look(car=0.25, bus=0.2, train=0.2, vehicle=0.65)] * 3

    assert labels(seen) == (Tag(name="vehicle", confidence=0.65),)


def test_below_the_threshold_nothing_is_named() -> None:
    """Unknown is an answer."""
    seen = [look(cat=0.15, animal=0.19)] * 3

    assert labels(seen) == ()
    assert labels(seen, least=0.1) == (Tag(name="cat", confidence=0.15),)
    assert labels([]) == ()


def test_one_frame_of_many_names_nothing() -> None:
    """A mistake is rarely made twice; a subject stays in the picture."""
    assert labels([look(bird=1.0, animal=1.0), *[look()] * 4]) == ()


def test_a_single_frame_is_believed_less() -> None:
    """Nothing else confirms it."""
    [alone] = labels([look(clock=0.8)])
    [often] = labels([look(clock=0.8)] * 4)

    assert alone.confidence < often.confidence


def test_the_surest_come_first_and_few_at_all() -> None:
    """The order is settled by name where the scores are equal, or two runs would differ."""
    seen = [look(clock=0.3, furniture=0.5, electronics=0.3, toy=0.4, tool=0.21, weapon=0.2)] * 2
    found = [tag.name for tag in labels(seen)]

    assert found == ["furniture", "toy", "clock", "electronics"]
    assert len(found) == MOST_TAGS


def test_somebody_is_seen_by_a_face_or_by_what_is_worn() -> None:
    """A face finder misses whoever turns away."""
    assert person(0.7) == Tag(name="person", confidence=0.7)
    assert person(0.3) is None
    assert person(0.0, [look(clothing=0.9)] * 3) == Tag(name="person", confidence=0.63)
    assert person(0.0, [look(clothing=0.5)] * 3) is None


@pytest.mark.parametrize(
    ("name", "size", "first", "right"),
    [
        ("bikes.mp4", (640, 272), 242, {"bicycle", "vehicle"}),
        ("bikes.mp4", (640, 272), 76, {"bicycle", "bus", "car", "train", "vehicle"}),
        ("carphone_pristine.mp4", (176, 144), 0, {"clothing"}),
    ],
)
def test_a_clear_subject_is_named(
    model: TagModel, name: str, size: tuple[int, int], first: int, right: set[str]
) -> None:
    """Real footage, several frames of one scene."""
    found = labels(model.look(frames(find_clip(name), size, first=first, count=8, step=2)))

    assert {tag.name for tag in found} & right
    assert [tag for tag in found if tag.confidence > 0.6 and tag.name not in right] == []


@pytest.mark.parametrize("first", range(0, 120, 24))
def test_a_cartoon_is_not_taken_for_something_else(model: TagModel, first: int) -> None:
    """The network calls this rabbit an albatross and gives it 0.78."""
    clip = find_clip("bigbuckbunny.mp4")
    found = labels(model.look(frames(clip, (640, 360), first=first, count=10, step=3)))

    assert [tag for tag in found if tag.confidence > 0.6 and tag.name != "animal"] == []


@pytest.mark.parametrize("seed", range(6))
def test_no_subject_has_no_name(model: TagModel, seed: int) -> None:
    """Shapes without a meaning are not even an animal."""
    assert labels(model.look([textured(seed)] * 3), least=0.35) == ()
