"""Names of files as they may be shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

LONGEST: Final = 80


def shown(name: str | Path) -> str:
    """Return a file's name as it may be shown: it is a stranger's, and a terminal obeys some."""
    plain = "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(name)
    )
    return plain if len(plain) <= LONGEST else f"...{plain[3 - LONGEST :]}"


def labels(files: Sequence[Path]) -> list[str]:
    """Return a name to show for each file: no two alike, and as short as that allows."""
    short = [shown(file.name) for file in files]
    long = [shown(file) for file in files]
    names, paths = Counter(short), Counter(long)
    told = []
    for at in range(len(files)):
        name = short[at] if names[short[at]] == 1 else long[at]
        alone = names[short[at]] == 1 or paths[long[at]] == 1
        told.append(name if alone else f"{name} (#{at + 1})")
    return told
