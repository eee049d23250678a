"""A template that cannot be used is refused by checks, and skipped by a running module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from actors.prompt_generation import core
from actors.prompt_generation.core import Template
from actors.prompt_generation.errors import (
    BrokenTemplateError,
    TemplateFailedError,
    TemplatesMissingError,
)
from actors.prompt_generation.files import MAX_FILE, SHIPPED, TemplateFiles
from actors.prompt_generation.words import tokens
from tests.builders import analysis, content_analyzed
from tests.unit.prompt_generation.world import TEMPLATES, asking, module, prompts

VICTIM = "style_transfer.dream.toml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the shipped templates."""
    for file in SHIPPED.glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def test_every_shipped_template_passes_the_strict_check() -> None:
    """What ships is what was tried."""
    assert len(TemplateFiles(strict=True).all()) == len(list(SHIPPED.glob("*.toml")))
    assert TEMPLATES.broken == ()


def replacing(old: str, new: str) -> Callable[[str], str]:
    """Return an edit; one that finds nothing to edit would test nothing."""

    def edit(source: str) -> str:
        assert old in source
        return source.replace(old, new)

    return edit


BROKEN = {
    "no toml": (lambda _: "id = ", "Invalid value"),
    "no text": (lambda source: source + "\udcff", "utf-8"),
    "a misspelt field": (replacing("negative =", "negativ ="), "negativ"),
    "a wrong type": (replacing("version = 1", 'version = "one"'), "version"),
    "no such fact": (replacing("{{ brightness }}", "{{ brightnes }}"), "brightnes"),
    "a syntax error": (replacing("{{ brightness }}", "{{ brightness "), "balanced"),
    "the user's words unquoted": (replacing("{{ brightness }}", "{{ wish }}"), "wish"),
    "a reach into Python": (replacing("{{ brightness }}", "{{ style.__class__ }}"), "unsafe"),
    "a loop": (
        replacing("{{ brightness }}", "{% for x in colours %}{{ x }}{% endfor %}"),
        "may not have a for",
    ),
    "a product": (replacing("{{ brightness }}", '{{ "a" * 999999999 }}'), "may not have a mul"),
    "a call": (replacing("{{ brightness }}", "{{ style.center(9999999) }}"), "may not have a call"),
    "a filter that pads": (
        replacing("{{ brightness }}", "{{ style | center(9999999) }}"),
        "center",
    ),
    "one way only": (lambda source: source[: source.index("[[variant]]", 400)], "variants"),
    "a number out of bounds": (replacing("strength = 0.65", "strength = 1.65"), "out of bounds"),
    "an unknown sign": (
        replacing("[strength_by_motion]", "[by_sign.drak]\nsteps = 1\n\n[strength_by_motion]"),
        "drak",
    ),
    "a name used twice": (replacing('name = "light"', 'name = "deep"'), "one name"),
    "an id that is taken": (replacing('id = "style_transfer.dream"', 'id = "generic"'), "taken"),
    "words over the budget": (
        replacing("Light dreamy bloom", "Light dreamy bloom " + "and more " * 200),
        "tokens",
    ),
    "a budget without room": (replacing("default = true", "max_tokens = 5"), "max_tokens"),
    "no version": (replacing("version = 1", "version = 0"), "below 1"),
    "too large": (lambda source: source + "#" * MAX_FILE, "bytes"),
}


@pytest.mark.parametrize(("edit", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_template_is_refused_with_its_file_and_the_reason(
    folder: Path, edit: Callable[[str], str], reason: str
) -> None:
    """Whoever broke it must find it."""
    source = (folder / VICTIM).read_text(encoding="utf-8")
    (folder / VICTIM).write_bytes(edit(source).encode(errors="surrogateescape"))

    with pytest.raises(BrokenTemplateError, match=reason) as refused:
        TemplateFiles(folder, strict=True)

    name = "style_transfer.dream.toml" if reason != "taken" else refused.value.file
    assert refused.value.file == name


@pytest.mark.parametrize(("edit", "reason"), BROKEN.values(), ids=BROKEN)
async def test_a_running_module_skips_what_is_broken_and_says_so(
    folder: Path, edit: Callable[[str], str], reason: str
) -> None:
    """One bad file must not stop the jobs of every effect, nor those of its own."""
    source = (folder / VICTIM).read_text(encoding="utf-8")
    (folder / VICTIM).write_bytes(edit(source).encode(errors="surrogateescape"))

    files = TemplateFiles(folder)
    said = await prompts(
        content_analyzed(request=asking("style_transfer", "dream")), module(templates=files)
    )
    other = await prompts(
        content_analyzed(request=asking("style_transfer", "noir")), module(templates=files)
    )

    [broken] = files.broken
    assert broken.file.endswith(".toml")
    assert broken.why
    assert said.fallback_used
    assert said.prompt_variants
    assert not other.fallback_used


def test_nothing_works_without_the_generic_template(folder: Path) -> None:
    """Better at start than in the middle of a job; so it is when the file is broken."""
    (folder / "generic.toml").write_text("id = 7", encoding="utf-8")

    with pytest.raises(TemplatesMissingError):
        TemplateFiles(folder)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    """A mistyped folder is not a choice of no templates."""
    with pytest.raises(TemplatesMissingError):
        TemplateFiles(tmp_path)


def test_two_generic_templates_are_refused(folder: Path) -> None:
    """Nobody could say which of them is meant."""
    source = (folder / "generic.toml").read_text(encoding="utf-8")
    (folder / "other.toml").write_text(
        source.replace('id = "generic"', 'id = "other"'), encoding="utf-8"
    )

    with pytest.raises(TemplatesMissingError):
        TemplateFiles(folder)


async def test_a_template_without_weight_is_given_no_job(folder: Path) -> None:
    """That is how one is retired, with what it won still to be read."""
    source = (folder / VICTIM).read_text(encoding="utf-8")
    (folder / VICTIM).write_text("weight = 0.0\n" + source, encoding="utf-8")

    files = TemplateFiles(folder)
    said = await prompts(
        content_analyzed(request=asking("style_transfer", "dream")), module(templates=files)
    )

    assert said.fallback_used
    assert "style_transfer.dream" in {each.id for each in files.all()}


def test_a_template_cannot_reach_python() -> None:
    """Templates are data that an operator may change; the sandbox holds for them as well."""
    known = core.generic(TEMPLATES.all())
    evil = core.Variant(
        name="evil", prompt="{{ effect.__class__.__mro__ }}", strength=0.5, steps=8, cfg_scale=1.0
    )

    with pytest.raises(TemplateFailedError):
        TEMPLATES.render(known, evil, {"effect": "x"})


@pytest.mark.parametrize("known", TEMPLATES.all(), ids=lambda known: known.id)
def test_every_shipped_template_leaves_room_for_a_wish(known: Template) -> None:
    """For an empty analysis and for a full one, within one window of an encoder."""
    for seen in (analysis(scenes=()), analysis()):
        facts = core.facts(known, content_analyzed(seen=seen).payload)
        for variant in known.variant:
            assert 0 < tokens(TEMPLATES.render(known, variant, facts)) <= core.WINDOW
