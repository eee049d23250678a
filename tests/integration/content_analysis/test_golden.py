"""Real footage that a person has described: the analyzer must mostly agree, and never invent.

Tolerance: of eleven clips, light, colours, words and effects must agree in at least nine, camera,
movement and style in eight, people in seven, as only faces are found without a model. An effect
that nobody could argue for may be seen once in all.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from actors.content_analysis import core
from effectmesh.clips import find_clip
from media import analysis
from schemas.video import Analysis
from tests.unit.media_analysis.clips import read_frames, write_clip

GOLDEN: Final[list[dict[str, Any]]] = tomllib.loads(
    Path(__file__).with_name("golden.toml").read_text(encoding="utf-8")
)["clip"]
SIZES: Final = {
    "cityCC0.mpg": (720, 404),
    "bigbuckbunny.mp4": (960, 540),
    "bikes.mp4": (640, 272),
    "carphone_pristine.mp4": (176, 144),
    "carphone_distorted.mp4": (176, 144),
    "b.mp4": (480, 270),
    "a.mp4": (960, 540),
}
LIGHTS: Final = ("dark", "dim", "evenly lit", "bright")
PATTERNS: Final = ("static", "low_movement", "moderate_movement", "high_movement")
LEAST: Final = {
    "light": 9,
    "colours": 9,
    "text": 9,
    "effects": 9,
    "camera": 8,
    "moves": 8,
    "style": 8,
    "people": 7,
}
MOST_INVENTED: Final = 1


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[Analysis]:
    """Return what is said about every clip, in the order of the list."""
    folder = tmp_path_factory.mktemp("golden")
    found = []
    for each in GOLDEN:
        first, end = each["frames"]
        path = find_clip(each["file"])
        frames = read_frames(path, size=SIZES[each["file"]], first=first, count=end - first)
        clip = write_clip(folder / "clip.mp4", frames)
        found.append(core.describe(analysis.watch(clip)))
    return found


def agrees(field: str, seen: Analysis, wanted: dict[str, Any]) -> bool:
    """Say whether one answer is what a person would accept."""
    scene = max(seen.scenes, key=lambda each: each.end_ms - each.start_ms)
    if field == "light":
        word = "evenly lit" if wanted["light"] == "even" else wanted["light"]
        said = next(each for each in LIGHTS if each in scene.description)
        return abs(LIGHTS.index(word) - LIGHTS.index(said)) <= 1
    if field == "moves":
        return abs(PATTERNS.index(wanted["moves"]) - PATTERNS.index(seen.motion_pattern)) <= 1
    answers: dict[str, bool] = {
        "colours": bool(set(scene.colors[:2]) & set(wanted["colours"])),
        "camera": scene.camera in wanted["camera"],
        "people": scene.people == wanted["people"],
        "text": scene.text == wanted["text"],
        "style": seen.dominant_style in wanted["style"],
        "effects": set(wanted["has"]) <= set(seen.detected_effects),
    }
    return answers[field]


@pytest.mark.parametrize("field", LEAST)
def test_the_analyzer_sees_what_a_person_sees(field: str, told: list[Analysis]) -> None:
    """In the share of clips that the tolerance names."""
    wrong = [
        wanted["name"]
        for seen, wanted in zip(told, GOLDEN, strict=True)
        if not agrees(field, seen, wanted)
    ]

    assert len(GOLDEN) - len(wrong) >= LEAST[field], wrong


def test_no_effect_is_invented(told: list[Analysis]) -> None:
    """A wrong one misleads prompts and prices."""
    invented = [
        (wanted["name"], name)
        for seen, wanted in zip(told, GOLDEN, strict=True)
        for name in seen.detected_effects
        if name not in (*wanted["has"], *wanted["may_have"])
    ]

    assert len(invented) <= MOST_INVENTED, invented


def test_a_cartoon_is_no_person(told: list[Analysis]) -> None:
    """A rabbit with a face is the hardest of the negatives."""
    [rabbit] = [
        seen for seen, wanted in zip(told, GOLDEN, strict=True) if "rabbit" in wanted["name"]
    ]

    assert not any(scene.people for scene in rabbit.scenes)


def test_without_a_model_every_clip_is_answered_and_marked(told: list[Analysis]) -> None:
    """The golden answers are the ones that need nothing installed."""
    assert all(seen.degraded and seen.scenes and seen.eligibility for seen in told)
