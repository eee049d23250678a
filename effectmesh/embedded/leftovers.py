"""What a killed Postgres leaves: a pid file, and in rare cases the server itself.

Postgres refuses to start when the number in the pid file belongs to any process of the same user.
In a container, where numbers start over, that is likely to be somebody else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from effectmesh.embedded.process import ENVIRONMENT

_GONE_WITHIN_S: Final = 10.0
_POLL_S: Final = 0.02
_ASK_WITHIN_S: Final = 5.0


def remove(data: Path) -> None:
    """Take a stale pid file away; stop a server that still runs on this data folder.

    To be called with the home's lock held: then nobody else wants that server.
    """
    pid_file = data / "postmaster.pid"
    try:
        first = pid_file.read_text(encoding="utf-8").partition("\n")[0].strip()
    except FileNotFoundError:
        return
    pid = abs(int(first)) if first.lstrip("-").isdigit() else 0
    if pid and _serves(pid, data):
        _stop(pid)
    pid_file.unlink(missing_ok=True)


def _serves(pid: int, data: Path) -> bool:
    """Return whether a process is a Postgres on this data folder."""
    proc = Path("/proc") / str(pid)
    if proc.parent.joinpath("self").exists():
        try:
            # a postmaster works in its data folder
            return (proc / "cwd").resolve() == data.resolve() and (proc / "cmdline").exists()
        except OSError:
            return False
    asked = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=_ASK_WITHIN_S,
        check=False,
    )
    return "postgres" in asked.stdout and str(data) in asked.stdout


def _stop(pid: int) -> None:
    """Stop a server that is not our child."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + _GONE_WITHIN_S
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(_POLL_S)
        os.kill(pid, signal.SIGKILL)
