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

from media.children import heard, last_words, started
from media.errors import SandboxBrokenError, StoreFullError
from media.job import (
    POSTER_NAME,
    PREVIEW_NAME,
    READY,
    VIDEO_NAME,
    WAVEFORM_NAME,
    Job,
    ScreenModel,
)
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
_VERDICTS: Final[msgspec.json.Decoder[Verdict]] = msgspec.json.Decoder(Verdict)


class Sandbox:
    """Inspects and normalises files, each in a child process."""

    def __init__(
        self,
        *,
        limits: IntakeLimits | None = None,
        children: int = CHILDREN,
        python: str = sys.executable,
        screen: ScreenModel | None = None,
    ) -> None:
        self.limits = limits or IntakeLimits()
        self._screen = screen
        self._slots = CapacityLimiter(children)
        self._python = python

    async def inspect(
        self, source: Path, limits: IntakeLimits | None = None
    ) -> Inspected | Refusal:
        """Measure a file; ``limits`` are those of its owner, where they differ.

        Raises:
            SandboxBrokenError: no child could be started on this machine.
            StoreFullError: the disk is full.
        """
        with TemporaryDirectory(prefix="inspect-") as folder:
            job = Job(limits=limits or self.limits)
            verdict = await self._judged(source, job, Path(folder))
        if isinstance(verdict, Inspected | Refusal):
            return verdict
        return refuse(Code.UNREADABLE, detail="the child answered another question")

    async def normalize(
        self, source: Path, out_dir: Path, limits: IntakeLimits | None = None
    ) -> Normalized | Refusal:
        """Write the mezzanine of a file and what goes with it into an empty folder.

        Raises:
            SandboxBrokenError: no child could be started on this machine.
            StoreFullError: the disk is full.
        """
        job = Job(limits=limits or self.limits, normalize=True, screen=self._screen)
        verdict = await self._judged(source, job, out_dir)
        if isinstance(verdict, Refusal):
            return verdict
        if not isinstance(verdict, Normalized):
            return refuse(Code.UNREADABLE, detail="the child answered another question")
        # a child that was taken over may point at any file that this process can read
        if not _well_named(verdict) or not await to_thread.run_sync(_made_in, out_dir, verdict):
            return refuse(Code.UNREADABLE, detail="the child made something else")
        return verdict

    async def _judged(self, source: Path, job: Job, folder: Path) -> Verdict:
        # files are closed without waiting, because a cancelled caller may not wait
        with await to_thread.run_sync(source.open, "rb") as file:
            if refusal := size_refusal(os.fstat(file.fileno()).st_size, job.limits):
                return refusal
            async with self._slots:
                verdict = await self._run(job, file, folder)
        if isinstance(verdict, OutOfRoom):
            raise StoreFullError("the normalised clip")
        return verdict

    async def _run(self, job: Job, file: IO[bytes], folder: Path) -> Verdict:
        answer, exit_code = b"", 0
        with await to_thread.run_sync(TemporaryFile) as complaints:
            with anyio.move_on_after(job.limits.wall_seconds) as wall:
                child = await started(
                    "media.child",
                    msgspec.json.encode(job).decode(),
                    complaints=complaints,
                    folder=folder,
                    python=self._python,
                    stdin=file,
                )
                async with child as process:
                    answer = await heard(process, most=MAX_ANSWER_BYTES)
                    exit_code = await process.wait()
            if wall.cancelled_caught:
                return refuse(Code.TIMED_OUT, detail=f"after {job.limits.wall_seconds} s")
            return _verdict(answer, exit_code, last_words(complaints))


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


def _well_named(made: Normalized) -> bool:
    names = made.video, made.poster, made.preview
    return names == (VIDEO_NAME, POSTER_NAME, PREVIEW_NAME) and made.waveform in {
        "",
        WAVEFORM_NAME,
    }


def _made_in(folder: Path, made: Normalized) -> bool:
    names = filter(None, (made.video, made.poster, made.preview, made.waveform))
    return all((folder / name).is_file() and not (folder / name).is_symlink() for name in names)
