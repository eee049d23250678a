"""The three folders of a server, and which names may be used in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from gpu_agent.renderer.errors import OutsideFolderError

KINDS: Final = ("input", "output", "temp")
_ANNOTATED: Final = re.compile(r"^(?P<name>.*?) ?\[(?P<kind>input|output|temp)\]$", re.DOTALL)
_NOT_SAVED: Final = "**** ERROR: Saving image outside the output folder is not allowed."
"""As real servers say it, but for their folders."""
_LISTED_FILES_LIMIT: Final = 2000


class Folders:
    """``input``, ``output`` and ``temp`` below one root."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        for kind in KINDS:
            (self.root / kind).mkdir(parents=True, exist_ok=True)

    def folder(self, kind: str) -> Path:
        """Return one of the three folders."""
        return self.root / kind

    def inside(self, kind: str, subfolder: str, name: str = "") -> Path:
        """Return a path below a folder.

        Raises:
            OutsideFolderError: the parts lead out of it.
        """
        base = self.folder(kind)
        if "\0" in subfolder + name:
            raise OutsideFolderError("a name with a null byte")
        path = (base / subfolder / name).resolve()
        if path != base and base not in path.parents:
            raise OutsideFolderError(f"outside the {kind} folder: {subfolder}/{name}")
        return path

    def source(self, name: str) -> Path | None:
        """Return the file a loader names, as ``sub/x.mp4`` or ``sub/x.mp4 [output]``."""
        bare, kind = annotated(name, "input")
        try:
            path = self.inside(kind, bare)
        except OutsideFolderError:
            return None
        return path if is_file(path) else None

    def listed(self) -> list[str]:
        """Return the files at the top of the input folder, as the loaders' lists show them."""
        names = sorted(p.name for p in self.folder("input").iterdir() if p.is_file())
        return names[:_LISTED_FILES_LIMIT]

    def next_name(self, kind: str, prefix: str) -> tuple[Path, str, str, int]:
        """Return folder, subfolder, stem and the next free number for a prefix like ``a/b/out``.

        Raises:
            OutsideFolderError: the prefix leads out of the folder.
        """
        subfolder, _, stem = prefix.rpartition("/")
        if prefix.startswith("/"):
            raise OutsideFolderError(_NOT_SAVED)
        try:
            folder = self.inside(kind, subfolder)
        except OutsideFolderError as problem:
            raise OutsideFolderError(_NOT_SAVED) from problem
        folder.mkdir(parents=True, exist_ok=True)
        pattern = re.compile(re.escape(stem) + r"_(\d+)_?(\..*)?$", re.IGNORECASE)
        taken = [int(m[1]) for p in folder.iterdir() if (m := pattern.match(p.name))]
        shown = str(folder.relative_to(self.folder(kind)))
        return folder, "" if shown == "." else shown, stem, max(taken, default=0) + 1


def is_file(path: Path) -> bool:
    """Say whether a file is there; a name that cannot be one is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def annotated(name: str, default: str) -> tuple[str, str]:
    """Split ``x.mp4 [output]`` into name and folder."""
    match = _ANNOTATED.match(name)
    return (match["name"], match["kind"]) if match else (name, default)
