"""Scoring at arm's length: a pool of child processes, one for each pair of clips.

Whatever the clips do to their child, the caller gets a verdict. A cancelled caller kills it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Final

import anyio
import msgspec
from anyio import CapacityLimiter, to_thread

from media.children import heard, last_words, started
from media.errors import SandboxBrokenError
from media.quality import Verdict, unknown
from media.quality_job import LIMITS, READY, ScoringJob
from media.verdicts import IntakeLimits

CHILDREN: Final = 2
"""How many pairs are scored at once, unless told otherwise."""
MAX_ANSWER_BYTES: Final = 512 * 1024
_VERDICTS: Final[msgspec.json.Decoder[Verdict]] = msgspec.json.Decoder(Verdict)


class ScoringPool:
    """Scores pairs of files, each in a child process."""

    def __init__(
        self,
        *,
        limits: IntakeLimits = LIMITS,
        children: int = CHILDREN,
        python: str = sys.executable,
    ) -> None:
        self._limits = limits
        self._slots = CapacityLimiter(children)
        self._python = python

    async def score(
        self,
        *,
        source: Path,
        result: Path,
        effect_type: str,
        look: Mapping[str, float],
        until_ms: float | None = None,
    ) -> Verdict:
        """Compare a result with its input; only the first ``until_ms`` when that is given.

        Raises:
            SandboxBrokenError: no child could be started on this machine.
            FileNotFoundError: one of the files is not there.
        """
        with (
            await to_thread.run_sync(source.open, "rb") as before,
            await to_thread.run_sync(result.open, "rb") as after,
        ):
            job = ScoringJob(
                source=before.fileno(),
                result=after.fileno(),
                effect_type=effect_type,
                look=dict(look),
                until_ms=until_ms,
                limits=self._limits,
            )
            async with self._slots:
                return await self._run(job)

    async def _run(self, job: ScoringJob) -> Verdict:
        answer, exit_code = b"", 0
        with (
            await to_thread.run_sync(TemporaryFile) as complaints,
            TemporaryDirectory(prefix="score-") as folder,
        ):
            child = await started(
                "media.quality_child",
                msgspec.json.encode(job).decode(),
                complaints=complaints,
                folder=Path(folder),
                python=self._python,
                files=(job.source, job.result),
            )
            async with child as process:
                with anyio.move_on_after(self._limits.wall_seconds) as wall:
                    answer = await heard(process, most=MAX_ANSWER_BYTES)
                    exit_code = await process.wait()
                if wall.cancelled_caught:
                    process.kill()
            if wall.cancelled_caught:
                return unknown(f"scoring took more than {self._limits.wall_seconds:g} s")
            return _verdict(answer, exit_code, last_words(complaints))


def _verdict(answer: bytes, exit_code: int, said: str) -> Verdict:
    """Return what the child said, or what its silence means.

    Raises:
        SandboxBrokenError: it never came to look at the files.
    """
    if exit_code == -signal.SIGXCPU:
        return unknown("scoring used up its processor time")
    if not answer.startswith(READY):
        raise SandboxBrokenError(f"exit code {exit_code}: {said}")
    if exit_code != 0:
        return unknown(f"the scoring child ended with {exit_code}")
    try:
        return _VERDICTS.decode(answer.removeprefix(READY))
    except msgspec.DecodeError as error:
        return unknown(f"the scoring child's answer cannot be read: {error}")
