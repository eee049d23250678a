"""Decoding at arm's length: a child process per file, with limits on all it could use up.

Whatever a file does to its child, the caller gets a verdict. The child has the file by number, not
by name, a folder of its own, no network where the host allows it, and nothing of this process's
environment. A cancelled caller kills it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Final

import anyio
import msgspec
from anyio import CapacityLimiter, to_thread
from anyio.abc import Process

from media.errors import SandboxBrokenError, StoreFullError
from media.job import POSTER_NAME, READY, VIDEO_NAME, Job
from media.verdicts import (
    Code,
    Inspected,
    IntakeLimits,
    Normalized,
    OutOfRoom,
    Refusal,
    Verdict,
    refuse,
    size_refusal,
)

CHILDREN: Final = 2
"""How many children run at once, unless told otherwise; each uses two threads."""
MAX_ANSWER_BYTES: Final = 64 * 1024
_MAX_COMPLAINT_BYTES: Final = 500
_VERDICTS: Final[msgspec.json.Decoder[Verdict]] = msgspec.json.Decoder(Verdict)


class Sandbox:
    """Inspects and normalises files, each in a child process."""

    def __init__(
        self,
        *,
        limits: IntakeLimits | None = None,
        children: int = CHILDREN,
        python: str = sys.executable,
    ) -> None:
        self.limits = limits or IntakeLimits()
        self._slots = CapacityLimiter(children)
        self._python = python

    async def inspect(self, source: Path) -> Inspected | Refusal:
        """Measure a file.

        Raises:
            SandboxBrokenError: no child could be started on this machine.
            StoreFullError: the disk is full.
        """
        with TemporaryDirectory(prefix="inspect-") as folder:
            verdict = await self._judged(source, Job(limits=self.limits), Path(folder))
        if isinstance(verdict, Inspected | Refusal):
            return verdict
        return refuse(Code.UNREADABLE, detail="the child answered another question")

    async def normalize(self, source: Path, out_dir: Path) -> Normalized | Refusal:
        """Write the mezzanine and the poster of a file into an empty folder.

        Raises:
            SandboxBrokenError: no child could be started on this machine.
            StoreFullError: the disk is full.
        """
        job = Job(limits=self.limits, normalize=True)
        verdict = await self._judged(source, job, out_dir)
        if isinstance(verdict, Refusal):
            return verdict
        if not isinstance(verdict, Normalized):
            return refuse(Code.UNREADABLE, detail="the child answered another question")
        # a child that was taken over may point at any file that this process can read
        if (verdict.video, verdict.poster) != (
            VIDEO_NAME,
            POSTER_NAME,
        ) or not await to_thread.run_sync(_made_in, out_dir):
            return refuse(Code.UNREADABLE, detail="the child made something else")
        return verdict

    async def _judged(self, source: Path, job: Job, folder: Path) -> Verdict:
        # files are closed without waiting, because a cancelled caller may not wait
        with await to_thread.run_sync(source.open, "rb") as file:
            if refusal := size_refusal(os.fstat(file.fileno()).st_size, self.limits):
                return refusal
            async with self._slots:
                verdict = await self._run(job, file, folder)
        if isinstance(verdict, OutOfRoom):
            raise StoreFullError("the normalised clip")
        return verdict

    async def _run(self, job: Job, file: IO[bytes], folder: Path) -> Verdict:
        answer, exit_code = b"", 0
        with await to_thread.run_sync(TemporaryFile) as complaints:
            with anyio.move_on_after(self.limits.wall_seconds) as wall:
                async with await self._started(job, file, complaints, folder) as process:
                    answer = await _heard(process)
                    exit_code = await process.wait()
            if wall.cancelled_caught:
                return refuse(Code.TIMED_OUT, detail=f"after {self.limits.wall_seconds} s")
            return _verdict(answer, exit_code, _last_words(complaints))

    async def _started(self, job: Job, file: IO[bytes], errors: IO[bytes], folder: Path) -> Process:
        try:
            return await anyio.open_process(
                [self._python, "-P", "-s", "-m", "media.child", msgspec.json.encode(job).decode()],
                stdin=file,
                stderr=errors,
                cwd=folder,
                # what this process can import, and not a word of what it knows
                env={"PYTHONPATH": _importable(), "LC_ALL": "C.UTF-8"},
            )
        except OSError as error:
            raise SandboxBrokenError(str(error)) from error


def _importable() -> str:
    # an empty entry would mean the child's own folder, where it writes
    return os.pathsep.join(str(Path(entry).resolve()) for entry in sys.path)


async def _heard(process: Process) -> bytes:
    """Read the answer; a child that goes on talking is no longer the one we wrote."""
    assert process.stdout is not None
    answer = bytearray()
    async for piece in process.stdout:
        answer += piece
        if len(answer) > MAX_ANSWER_BYTES:
            process.kill()
            return bytes(answer[:MAX_ANSWER_BYTES])
    return bytes(answer)


def _verdict(answer: bytes, exit_code: int, said: str) -> Verdict:
    """Return what the child said, or what its silence means.

    Raises:
        SandboxBrokenError: it never came to look at the file.
    """
    if exit_code == -signal.SIGXCPU:
        return refuse(Code.TIMED_OUT, detail="it used up its processor time")
    if not answer.startswith(READY):
        raise SandboxBrokenError(f"exit code {exit_code}: {said}")
    if exit_code != 0:
        return refuse(Code.UNREADABLE, detail=f"the child ended with {exit_code}: {said}")
    try:
        return _VERDICTS.decode(answer.removeprefix(READY))
    except msgspec.DecodeError as error:
        return refuse(Code.UNREADABLE, detail=f"the child's answer: {error}")


def _made_in(folder: Path) -> bool:
    made = (folder / VIDEO_NAME, folder / POSTER_NAME)
    return all(path.is_file() and not path.is_symlink() for path in made)


def _last_words(complaints: IO[bytes]) -> str:
    size = os.fstat(complaints.fileno()).st_size
    said = os.pread(complaints.fileno(), _MAX_COMPLAINT_BYTES, max(0, size - _MAX_COMPLAINT_BYTES))
    return said.decode(errors="replace").strip()
