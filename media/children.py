"""What each parent of a decoding child does: start it, hear it, read what it complained of."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL
from typing import IO, Final

import anyio
from anyio.abc import Process

from media.errors import SandboxBrokenError

ENVIRONMENT: Final = {
    "LC_ALL": "C.UTF-8",
    # some releases of the runtime that models need report home unless told before they are loaded
    "ORT_DISABLE_TELEMETRY": "1",
    # a pool of threads that nobody uses, each with room reserved for it
    "OPENBLAS_NUM_THREADS": "1",
}
MAX_COMPLAINT_BYTES: Final = 500


async def started(
    module: str,
    argument: str,
    *,
    complaints: IO[bytes],
    folder: Path,
    python: str = sys.executable,
    stdin: IO[bytes] | int = DEVNULL,
    files: Sequence[int] = (),
    own_session: bool = False,
    environment: Mapping[str, str] = ENVIRONMENT,
) -> Process:
    """Start ``python -m module argument`` in a folder, with these files open and no others.

    Raises:
        SandboxBrokenError: no child can be started on this machine.
    """
    try:
        # half started, a child could be neither killed nor waited for
        with anyio.CancelScope(shield=True):
            process = await anyio.open_process(
                [python, "-P", "-s", "-m", module, argument],
                stdin=stdin,
                stderr=complaints,
                cwd=folder,
                pass_fds=files,
                start_new_session=own_session,
                # what this process can import, and not a word of what it knows
                env={"PYTHONPATH": _importable(), **environment},
            )
    except OSError as error:
        raise SandboxBrokenError(str(error)) from error
    return process


async def heard(process: Process, *, most: int, end: Callable[[], None] | None = None) -> bytes:
    """Read the answer; a child that goes on talking is no longer the one we wrote."""
    assert process.stdout is not None
    answer = bytearray()
    async for piece in process.stdout:
        answer += piece
        if len(answer) > most:
            (end or process.kill)()
            return bytes(answer[:most])
    return bytes(answer)


def last_words(complaints: IO[bytes]) -> str:
    """Return the end of what a child wrote to its standard error."""
    size = os.fstat(complaints.fileno()).st_size
    said = os.pread(complaints.fileno(), MAX_COMPLAINT_BYTES, max(0, size - MAX_COMPLAINT_BYTES))
    return said.decode(errors="replace").strip()


def _importable() -> str:
    # an empty entry would mean the child's own folder, where it writes
    return os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)
