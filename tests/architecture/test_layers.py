"""Who may know whom. ``make check`` runs the import contracts; here is that they exist."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.tree import (
    PACKAGES,
    ROOT,
    actor_packages,
    imported,
    parsed,
    place,
    sources,
)

IMPURE = frozenset(
    {"anyio", "asyncio", "asyncpg", "boto3", "httpx", "nats", "os", "random", "redis", "secrets"}
    | {"socket", "subprocess", "threading", "time", "uuid"}
)
"""What waits, rolls dice, reads a clock or reaches outside."""

ACTOR = re.compile(r"actors\.\w+\.actor")


def _contracts() -> list[dict[str, Any]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts: list[dict[str, Any]] = project["tool"]["importlinter"]["contracts"]
    return contracts


def test_the_layers_are_under_contract() -> None:
    """Without it an import upwards would pass the check."""
    [layers] = [each for each in _contracts() if each["type"] == "layers"]

    assert layers["layers"] == [
        "effectmesh",
        "gateway | gpu_agent",
        "actors",
        "economics | media | subjects | workflows",
        "schemas",
    ]


def test_every_actor_is_under_the_contracts() -> None:
    """A new actor whose name nobody adds could import any other."""
    names = {f"actors.{folder.name}" for folder in actor_packages()}
    [apart] = [each for each in _contracts() if each["type"] == "independence"]
    [edges] = [each for each in _contracts() if "gateway" in each.get("source_modules", ())]

    assert set(apart["modules"]) == names
    assert names < set(edges["forbidden_modules"])


def test_the_check_runs_the_contracts() -> None:
    """A contract that nobody runs holds nobody."""
    assert "lint_imports_command" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_no_python_lies_below_nats() -> None:
    """A package of that name would hide the client library, and ``import nats`` would find it."""
    assert list((ROOT / "nats").rglob("*.py")) == []


def test_there_are_ten_modules() -> None:
    """So that a rule about every actor is not a rule about none."""
    assert len(actor_packages()) == 10


@pytest.mark.parametrize("folder", actor_packages(), ids=lambda folder: folder.name)
def test_an_actor_package_has_its_shape(folder: Path) -> None:
    """Who knows one module finds the way in all of them."""
    there = {path.name for path in folder.glob("*.py")}

    assert {"__init__.py", "core.py", "ports.py", "actor.py"} <= there


@pytest.mark.parametrize("folder", actor_packages(), ids=lambda folder: folder.name)
def test_imports_within_an_actor_point_from_shell_to_core(folder: Path) -> None:
    """A core that knows its shell cannot be tested without it."""
    own = f"actors.{folder.name}"
    outer = {f"{own}.{path.stem}" for path in folder.glob("*.py")} - {f"{own}.core", f"{own}.ports"}
    shells = {name for name in outer if _is_shell(folder / f"{name.rpartition('.')[2]}.py")}

    core = {name for name, _ in imported(folder / "core.py")}
    ports = {name for name, _ in imported(folder / "ports.py")}

    assert core & (shells | {f"{own}.ports"}) == set()
    assert ports & shells == set()


@pytest.mark.parametrize("folder", actor_packages(), ids=lambda folder: folder.name)
def test_a_core_neither_waits_nor_reaches_out(folder: Path) -> None:
    """Same input, same output: the replay of recorded histories depends on it."""
    core = folder / "core.py"
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)

    waiting = [place(core, node) for node in ast.walk(parsed(core)) if isinstance(node, waits)]
    reaching = [
        place(core, node) for name, node in imported(core) if name.partition(".")[0] in IMPURE
    ]

    assert waiting == []
    assert reaching == []


def test_only_the_composition_root_builds_actors() -> None:
    """Everybody else would get an actor with other parts than the ones that run."""
    others = [name for name in PACKAGES if name != "effectmesh"]
    known = [
        place(path, node)
        for path in sources(*others)
        for name, node in imported(path)
        if ACTOR.fullmatch(name)
    ]
    built = [
        place(path, node)
        for folder in actor_packages()
        for path in folder.glob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _actors_of(folder)
    ]

    assert known == []
    assert built == []


def _is_shell(path: Path) -> bool:
    """Tell whether a module waits for something, as an adapter or an actor does."""
    return any(isinstance(node, ast.AsyncFunctionDef) for node in ast.walk(parsed(path)))


def _actors_of(folder: Path) -> set[str]:
    """Return the classes in the ``actor.py`` of a package."""
    tree = parsed(folder / "actor.py")
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    }
