"""What is asked for is what is locked, with a hash for every file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements" / "lock.txt").read_text(encoding="utf-8")
LOCKED: dict[str, set[Version]] = {}
for _name, _version in re.findall(r"^([a-z0-9._-]+)==(\S+)", LOCK, flags=re.MULTILINE):
    LOCKED.setdefault(_name, set()).add(Version(_version))
LOCKED_ELSEWHERE = {"vmaf"}
"""Extras that only the benchmarks install."""
WANTED = [
    Requirement(line)
    for lines in (
        PROJECT["dependencies"],
        *(
            each
            for extra, each in PROJECT["optional-dependencies"].items()
            if extra not in LOCKED_ELSEWHERE
        ),
    )
    for line in lines
]


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_every_dependency_is_locked_at_a_version_it_allows(wanted: Requirement) -> None:
    """``make`` installs the lock; a range that it does not satisfy is a lie to whoever reads it."""
    versions = LOCKED.get(wanted.name.lower(), set())

    assert versions
    assert all(wanted.specifier.contains(version) for version in versions)


@pytest.mark.parametrize("wanted", WANTED, ids=lambda wanted: wanted.name)
def test_every_dependency_has_an_upper_bound(wanted: Requirement) -> None:
    """The next major release of somebody else must not break a fresh install."""
    assert any(bound.operator in {"<", "<=", "=="} for bound in wanted.specifier)


def test_every_locked_version_has_a_hash() -> None:
    """An index cannot slip in another file."""
    entries = re.split(r"^(?=[a-z0-9._-]+==)", LOCK, flags=re.MULTILINE)[1:]

    assert len(entries) >= len(WANTED)
    assert all("--hash=sha256:" in entry for entry in entries)
