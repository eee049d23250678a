"""The pages are part of the product: what they name exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from effectmesh.cli.app import app
from tests.architecture.tree import ROOT, files, place

TEMPLATE = ROOT / "docs" / "adr" / "template.md"
"""Its links are for who fills it in."""
PAGES = [path for path in files() if path.suffix == ".md" and path != TEMPLATE]

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"(?<![\w/.-])make ([a-z]+)\b")
COMMAND = re.compile(r"(?<![\w/.@:-])effectmesh ((?:[a-z]+\|?)+)(?: ((?:[a-z]+\|?)+))?")
CODE = re.compile(r"`([^`\n]+)`")
COMMENT = re.compile(r"(?:^|\s)#.*$")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A reader who follows a dead link does not come back."""
    dead = []
    for number, line in _prose(page):
        for found in LINK.finditer(line):
            target = found[1] or found[2]
            if "://" in target or target.startswith("mailto:"):
                continue
            name, _, anchor = target.partition("#")
            there = (page.parent / name).resolve() if name else page
            if not there.exists() or (anchor and anchor not in _anchors(there)):
                dead.append(f"{place(page, number)} {target}")

    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_exists(page: Path) -> None:
    """The first thing a reader does is to type what stands there."""
    unknown = [
        f"{place(page, number)} {command}"
        for number, code in _code(page)
        for command in _unknown(code)
    ]

    assert unknown == []


def test_a_command_that_does_not_exist_is_noticed() -> None:
    """The patterns above must not be so shy that they match nothing."""
    assert list(_unknown("effectmesh topology plan|nonsense")) == ["effectmesh topology nonsense"]
    assert list(_unknown("make nothing && effectmesh fly")) == ["make nothing", "effectmesh fly"]
    assert list(_unknown("make demo; effectmesh jobs")) == []


def test_decisions_are_numbered_without_a_gap_and_have_their_sections() -> None:
    """An ADR is found by its number, and read for its consequences."""
    records = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    numbers = [int(path.name.partition("-")[0]) for path in records]

    assert numbers == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert re.match(rf"# {path.name[:4]}\. \S", text), path.name
        parts = ("\nStatus: ", "\n## Context\n", "\n## Decision\n", "\n## Consequences\n")
        assert all(part in text for part in parts), path.name


def _unknown(code: str) -> Iterator[str]:
    """Yield every command in a piece of code that nobody could run."""
    yield from (f"make {made[1]}" for made in MAKE.finditer(code) if made[1] not in _targets())
    commands = _commands()
    for typed in COMMAND.finditer(code):
        for first in typed[1].split("|"):
            parts = commands.get(first)
            if parts is None:
                yield f"effectmesh {first}"
            elif parts:
                for second in (typed[2] or "").split("|"):
                    if second not in parts:
                        yield f"effectmesh {first} {second}"


@cache
def _targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))


@cache
def _commands() -> dict[str, set[str]]:
    """Return every command, hidden ones too, with its sub-commands."""
    commands: dict[str, object] = vars(get_command(app))["commands"]
    return {name: set(vars(command).get("commands", ())) for name, command in commands.items()}


def _prose(page: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a page that are not code, without the code in them."""
    fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, CODE.sub("", line)


def _code(page: Path) -> Iterator[tuple[int, str]]:
    """Yield what stands in fences and between backquotes, without the comments."""
    fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced:
            yield number, COMMENT.sub("", line)
        else:
            for found in CODE.finditer(line):
                yield number, found[1]


def _anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page have where it is shown."""
    headings = [line.lstrip("#") for _, line in _lines(page) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-") for text in headings}


def _lines(page: Path) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line
