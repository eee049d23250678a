"""The source tree as the rules look at it: which files there are, and what they hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]

PACKAGES: Final = (
    "schemas",
    "subjects",
    "economics",
    "media",
    "workflows",
    "actors",
    "gateway",
    "gpu_agent",
    "effectmesh",
)
"""What is installed. Tests may do what the source may not: they are the oracle."""

_BUILT: Final = frozenset(
    {".git", ".venv", ".cache", ".hypothesis", "node_modules", "static", "dist", "build"}
)
_TEXT: Final = frozenset(
    {".py", ".md", ".toml", ".txt", ".json", ".sql", ".yaml", ".yml", ".conf", ".service", ".ts"}
    | {".js", ".svelte", ".html", ".css"}
)
_NAMED: Final = frozenset({"Makefile", "Containerfile", "NOTICE", "LICENSE", "run", ".gitignore"})


def files() -> Iterator[Path]:
    """Yield every text file that belongs to the project, not what was built or fetched."""
    yield from _below(ROOT)


def sources(*packages: str) -> Iterator[Path]:
    """Yield the Python files of some packages, of all that are installed unless told otherwise."""
    for package in packages or PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def actor_packages() -> list[Path]:
    """Return the folder of each of the ten modules."""
    return sorted(
        path.parent
        for path in (ROOT / "actors").glob("*/__init__.py")
        if path.parent.name != "runtime"
    )


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def place(path: Path, node: ast.AST | int) -> str:
    """Return ``file:line`` as an editor opens it."""
    line = node if isinstance(node, int) else getattr(node, "lineno", 1)
    return f"{path.relative_to(ROOT)}:{line}"


def imported(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Yield the module of every import statement in a file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            for each in node.names:
                yield each.name, node
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _BUILT and not path.name.endswith(("_cache", "__pycache__")):
                yield from _below(path)
        elif path.suffix in _TEXT or path.name in _NAMED:
            yield path
