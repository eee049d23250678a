"""SQL in files beside the adapter, one named query after another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


def named_queries(path: Path) -> Mapping[str, str]:
    """Return the queries of a file by name; each starts with a line ``-- name: the_name``.

    Raises:
        ValueError: a name stands twice.
    """
    _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
    names, bodies = parts[0::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"a query name stands twice in {path.name}")
    return {name: body.strip() for name, body in zip(names, bodies, strict=True)}
