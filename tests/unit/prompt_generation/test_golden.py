"""Prompts compared with the golden set: words may move, meanings may not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from actors.prompt_generation.core import Template
from actors.prompt_generation.files import SHIPPED, TemplateFiles
from tests.unit.prompt_generation import golden
from tests.unit.prompt_generation.golden import Case
from tests.unit.prompt_generation.world import TEMPLATES

GOLDEN = golden.read()
AGAIN = "if it was meant: python -m tests.unit.prompt_generation.golden"


@pytest.mark.parametrize("case", GOLDEN.cases, ids=lambda case: case.name)
async def test_what_is_asked_is_what_the_golden_set_expects(case: Case) -> None:
    """Nearly the same words, all the keywords, nearly the same numbers."""
    assert golden.differences(case, await golden.asked(case)) == [], AGAIN


@pytest.mark.parametrize("known", TEMPLATES.all(), ids=lambda known: known.key)
def test_a_changed_template_is_a_new_version(known: Template) -> None:
    """What a template won is kept by version; changed words would inherit it."""
    assert GOLDEN.digests.get(known.key) == golden.digest(known), (
        f"count up the version of {known.id}, then: python -m tests.unit.prompt_generation.golden"
    )


def test_the_golden_set_has_every_template() -> None:
    """One without a case could say anything. Which of two rivals a job gets, its id decides."""
    used = {each.template_id.partition("@")[0] for case in GOLDEN.cases for each in case.expected}
    looks = {(each.effect_type, each.effect_subtype) for each in TEMPLATES.all()}
    covered = {(e.effect_type, e.effect_subtype) for e in TEMPLATES.all() if e.id in used}

    assert covered == looks
    assert len(GOLDEN.cases) >= 25


def _edited(folder: Path, name: str, edit: Callable[[str], str]) -> TemplateFiles:
    for file in SHIPPED.glob("*.toml"):
        source = file.read_text(encoding="utf-8")
        changed = edit(source) if file.stem == name else source
        assert file.stem != name or changed != source
        (folder / file.name).write_text(changed, encoding="utf-8")
    return TemplateFiles(folder, strict=True)


def _case(name: str) -> Case:
    return next(each for each in GOLDEN.cases if each.name == name)


WARM = "color_correction.cinematic_warm"
CHANGED_MEANINGS = {
    "the opposite colour": (WARM, lambda s: s.replace("warm ", "cold ").replace("Warm ", "Cold ")),
    "one word that turns it around": (WARM, lambda s: s.replace("unchanged", "changed")),
    "another effect": (WARM, lambda s: s.replace("color grade", "watercolour painting of a dog,")),
    "nothing warned of": (WARM, lambda s: s.replace("flicker, banding, ", "")),
    "twice as strong": (WARM, lambda s: s.replace("strength = 0.5", "strength = 0.9")),
    "half the steps": (WARM, lambda s: s.replace("steps = 24", "steps = 12")),
    "a way less": (WARM, lambda s: s.replace('when = ["dark"]', 'when = ["bright"]')),
}


@pytest.mark.parametrize(("name", "edit"), CHANGED_MEANINGS.values(), ids=CHANGED_MEANINGS)
async def test_a_changed_meaning_fails(
    tmp_path: Path, name: str, edit: Callable[[str], str]
) -> None:
    """Otherwise the match would be so loose that it proves nothing."""
    templates = _edited(tmp_path, name, edit)
    case = _case("warm grade of a city at night")

    assert golden.differences(case, await golden.asked(case, templates))


REWORDINGS = {
    "phrases that moved": (
        WARM,
        lambda s: s.replace(
            "golden highlights, gentle contrast", "gentle contrast, golden highlights"
        ),
    ),
    "one word for another": (WARM, lambda s: s.replace("rich contrast", "full contrast")),
    "a number a little higher": (WARM, lambda s: s.replace("strength = 0.5", "strength = 0.53")),
    "commas": (WARM, lambda s: s.replace("highlights, content", "highlights; content")),
}


@pytest.mark.parametrize(("name", "edit"), REWORDINGS.values(), ids=REWORDINGS)
async def test_a_reworded_prompt_passes(
    tmp_path: Path, name: str, edit: Callable[[str], str]
) -> None:
    """Or every comma would need a new golden set, and nobody would read the diffs."""
    templates = _edited(tmp_path, name, edit)
    case = _case("warm grade of a city at night")

    assert golden.differences(case, await golden.asked(case, templates)) == []
