"""The whole corpus: every file gets its one right answer, and touches nothing but itself."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from shlex import quote

import pytest
from anyio import to_thread

from media.sandbox import Sandbox
from media.verdicts import Code, Inspected, IntakeLimits, Normalized, Refusal
from tests.integration.video_intake.hostile import CASES, OK, Case, made

PYTHON = quote(sys.executable)
NAMED = {case.name: case for case in CASES}
REACHING_OUT = (
    "playlist of a neighbour",
    "playlist of a path",
    "playlist of a password file",
    "playlist of an address",
    "concat script",
    "streaming manifest",
    "session description",
    "pictures in another file",
)
OPENED = re.compile(r'(?:open|openat|openat2|creat)\((?:AT_FDCWD, )?"([^"]*)".*\) = -?\d+')
REACHED = re.compile(r"\b(connect|socket|bind|sendto|sendmsg)\(")
"""Also what was tried and refused: another host may have let it."""
INSTALLED = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[3] / "media"))
"""Where a module that is loaded late may come from."""


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    """Return where an upload is written, with no neighbours."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    return folder / "upload.mp4"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_every_file_gets_its_right_answer(case: Case, upload: Path) -> None:
    """The code is what a client acts on; a file that is taken was measured, not believed."""
    verdict = await Sandbox().inspect(made(case, upload))

    if case.code == OK:
        assert isinstance(verdict, Inspected), verdict
        measured = verdict.metadata
        assert (measured.resolution, measured.duration_ms) == (case.resolution, case.duration_ms)
        return
    assert isinstance(verdict, Refusal), verdict
    assert verdict.code == case.code, verdict.detail
    assert verdict.reason.endswith(".")
    assert verdict.hint.endswith(".")
    assert "the child ended" not in verdict.detail


def test_the_corpus_is_as_large_as_promised() -> None:
    """And every code that a file alone can cause is in it."""
    assert len(NAMED) == len(CASES) >= 60
    assert {case.code for case in CASES} >= set(Code) - {Code.TIMED_OUT}


@pytest.mark.parametrize("name", ["noise", "a few bits wrong", "pictures wiped out"])
def test_the_corpus_is_the_same_every_time(name: str, upload: Path) -> None:
    """A failure that cannot be had again cannot be fixed."""
    first = made(NAMED[name], upload).read_bytes()

    assert made(NAMED[name], upload).read_bytes() == first


@pytest.mark.parametrize(
    "name",
    [
        "absurd pixels",
        "one frame a second",
        "a thousand frames a second",
        "see-through",
        "grey",
        "hlg, ten bits",
        "sound before the pictures",
        "eight megabytes of title",
        "two sizes in one stream",
        "a header of a hundred hours",
        "a few bits wrong",
    ],
)
async def test_what_is_taken_can_be_normalised(name: str, upload: Path, tmp_path: Path) -> None:
    """An accepted upload that cannot be worked on would cost its owner a job."""
    out = tmp_path / "out"
    out.mkdir()
    verdict = await Sandbox().normalize(made(NAMED[name], upload), out)

    assert isinstance(verdict, Normalized), verdict
    assert abs(verdict.metadata.duration_ms - verdict.source.duration_ms) <= 60
    size = (out / verdict.video).stat().st_size
    assert size < 1_000_000  # and nothing of eight megabytes of title


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what a process opens")
@pytest.mark.parametrize("name", [*REACHING_OUT, "ordinary"])
async def test_a_file_opens_nothing_but_itself(name: str, upload: Path, tmp_path: Path) -> None:
    """A clip that names another tenant's upload, or an address, gets neither."""
    log = tmp_path / "calls"
    watched = tmp_path / "python"
    watched.write_text(
        f"#!/bin/sh\nexec strace -f -o {quote(str(log))} "
        f'-e trace=%file,%network,write {PYTHON} "$@"\n'
    )
    watched.chmod(0o755)
    await Sandbox(python=str(watched)).inspect(made(NAMED[name], upload))
    lines = (await to_thread.run_sync(log.read_text)).splitlines()
    # until it says that it is ready, the child only loads itself
    looked = lines[next(at for at, line in enumerate(lines) if 'write(1, "ready' in line) :]
    opened = [match[1] for line in looked if (match := OPENED.search(line))]
    foreign = [path for path in opened if not path.startswith(INSTALLED)]

    assert foreign == []
    assert [line for line in looked if REACHED.search(line)] == []


def test_the_watch_would_see_a_neighbour_opened(tmp_path: Path) -> None:
    """The pattern finds what it looks for."""
    line = f'1 openat(AT_FDCWD, "{tmp_path}/victim.ts", O_RDONLY|O_CLOEXEC) = 4'
    found = OPENED.search(line)

    assert found is not None
    assert not found[1].startswith(INSTALLED)
    assert REACHED.search("1 connect(3, {sa_family=AF_INET, sin_port=htons(9)}, 16) = -1")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what a process gives up")
async def test_the_child_gives_the_network_up_before_it_decodes(
    upload: Path, tmp_path: Path
) -> None:
    """A library that starts a thread as it is loaded would make the kernel refuse it."""
    log, watched = tmp_path / "calls", tmp_path / "python"
    watched.write_text(
        f'#!/bin/sh\nexec strace -f -o {quote(str(log))} -e trace=unshare,write {PYTHON} "$@"\n'
    )
    watched.chmod(0o755)
    await Sandbox(python=str(watched)).inspect(made(NAMED["ordinary"], upload))
    calls = await to_thread.run_sync(log.read_text)
    [given_up] = [line for line in calls.splitlines() if "unshare(" in line]

    assert calls.index("unshare(") < calls.index('write(1, "ready')
    assert given_up.endswith("= 0") is await to_thread.run_sync(host_lets_go)
    assert "CLONE_NEWNET" in given_up


async def test_a_child_that_gave_the_network_up_has_none(tmp_path: Path) -> None:
    """Not even this machine's own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        script = (
            "import socket, sys\n"
            "from media import child\n"
            "gone = child.isolate()\n"
            "try:\n"
            f"    socket.create_connection(('127.0.0.1', {port}), timeout=5)\n"
            "except OSError:\n"
            "    sys.exit('alone')\n"
            "sys.exit('the host refuses' if not gone else 'connected')\n"
        )
        said = (await to_thread.run_sync(partial(run, script))).strip()

    assert said == ("alone" if await to_thread.run_sync(host_lets_go) else "the host refuses")


def run(script: str) -> str:
    """Run a script; return its last words."""
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stderr


def host_lets_go() -> bool:
    """Tell whether a process of this host may give its network up at all."""
    script = "import ctypes, sys; sys.exit(str(ctypes.CDLL(None).unshare(0x50000000)))"
    return run(script).strip() == "0"


async def test_a_file_that_wants_all_memory_costs_its_child_only(upload: Path) -> None:
    """A picture of 144 million dots is refused before it is unpacked."""
    limits = IntakeLimits(memory_bytes=700_000_000)
    verdict = await Sandbox(limits=limits).inspect(made(NAMED["large png in mov"], upload))

    assert isinstance(verdict, Refusal)
    assert verdict.code == "TOO_MANY_PIXELS"
