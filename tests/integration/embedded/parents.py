"""Small parent processes, to be killed, and what the tests of this folder need to see."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class Startable(Protocol):
    """A server of ours."""

    def start(self) -> str:
        """Start it and return its URL."""
        ...

    def stop(self) -> None:
        """Stop it, however often it was started."""
        ...


REPOSITORY = Path(__file__).parents[3]
WITHIN_S = 20.0


@contextmanager
def running(server: Startable) -> Iterator[str]:
    """Start a server, yield its URL, and stop whatever the test has made of it."""
    try:
        yield server.start()
    finally:
        server.stop()


@contextmanager
def parent(script: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """Run a script that prints pids on one line and then waits; yield it and the pids."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], WITHIN_S)
            assert ready, "the parent said nothing"
            yield process, [int(pid) for pid in process.stdout.readline().split()]
        finally:
            process.kill()


def all_gone(pids: Sequence[int]) -> bool:
    """Wait until none of the processes is there, and say whether that came true in time."""
    deadline = time.monotonic() + WITHIN_S
    left = set(pids)
    while left and time.monotonic() < deadline:
        left = {pid for pid in left if alive(pid)}
        select.select([], [], [], 0.02)
    return not left


def alive(pid: int) -> bool:
    """Return whether a process runs; one that only waits to be collected does not."""
    try:
        os.kill(pid, 0)
        status = Path(f"/proc/{pid}/stat")
        return not status.exists() or ") Z " not in status.read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a parent so that it cannot clean up."""
    process.send_signal(signal.SIGKILL)
    process.wait(WITHIN_S)
